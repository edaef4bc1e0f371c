"""What a model folder's `card.json` says: the network, what it wants to see, where it comes from, what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from core.errors import ModelDamaged

GridMode = Literal["auto", "fit", "stretch", "native"]


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Arguments of `core.networks.build_network`."""

    name: str
    in_channels: int
    filters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PreprocessSettings:
    """How a scan becomes what the network sees: channels, intensity, grid, CLAHE, in that order.

    Attributes:
        channels: the inputs by name; the shipped models take one.
        percentiles: of the foreground; only for input wider than 8 bit.
        grid: "auto" goes by spacing where it and `reference_mm` are known and is "fit" otherwise; "fit" brings the
            longer side to `size`; "stretch" makes it `size` × `size`; "native" leaves it.
        size: pixels of the network's grid.
        reference_mm: millimetres per pixel that the model learnt at, or None where its data did not say.
        clip_limit: CLAHE's; 0 means none, a negative value that CLAHE is left out.
        tile_px: pixels per CLAHE tile on the network's grid.
    """

    channels: tuple[str, ...] = ("flair",)
    percentiles: tuple[float, float] = (0.5, 99.5)
    grid: GridMode = "auto"
    size: int = 256
    reference_mm: float | None = None
    clip_limit: float = 2.0
    tile_px: int = 32


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """The weights beside the card."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model folder's own account of itself.

    Attributes:
        name: the model's name, also its folder's.
        version: raised whenever the weights change.
        summary: one line for lists.
        network, preprocessing, weights: what loading needs.
        threshold: probability from which a voxel is lesion.
        data, recipe, metrics: free-form accounts of what it learnt from, how, and how it did; shown as they are.
        limits: sentences a user must read.
        licence: of the weights.
    """

    name: str
    version: str
    summary: str
    network: NetworkSettings
    preprocessing: PreprocessSettings
    weights: WeightsFile
    threshold: float = 0.5
    data: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    licence: str = ""

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> ModelCard:
        """Build a card from parsed JSON.

        Raises:
            ModelDamaged: a needed entry is missing, unknown or of the wrong kind.
        """
        try:
            raw = dict(values)
            network = dict(raw.pop("network"))
            network["filters"] = tuple(int(f) for f in network["filters"])
            preprocessing = dict(raw.pop("preprocessing"))
            for key in ("channels", "percentiles"):
                if key in preprocessing:
                    preprocessing[key] = tuple(preprocessing[key])
            settings = PreprocessSettings(**preprocessing)
            if settings.grid not in get_args(GridMode):
                raise ValueError(f"grid {settings.grid!r}")
            raw["limits"] = tuple(raw.get("limits", ()))
            return ModelCard(
                network=NetworkSettings(**network),
                preprocessing=settings,
                weights=WeightsFile(**raw.pop("weights")),
                **raw,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelDamaged(f"the model's card.json cannot be used ({error}); install the model again") from error

    def to_json(self) -> dict[str, Any]:
        """The card as JSON-ready values, in the order of the fields."""
        return asdict(self)
