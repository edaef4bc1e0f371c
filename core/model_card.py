"""What a model folder's `card.json` says: the network, what it wants to see, where it comes from, what it is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from core.errors import ModelDamaged

GridMode = Literal["auto", "fit", "stretch", "native"]
MOST_FILTERS = 1 << 14
LARGEST_SIZE = 8192
"""Pixels on the network's grid that a card may ask for."""
HIGHEST_CLIP_LIMIT = 1e4


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Arguments of `core.networks.build_network`."""

    name: str
    in_channels: int
    filters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PreprocessSettings:
    """How a scan becomes what the network sees: channels, intensity, grid, CLAHE, shrinking, grey scale, in that order.

    Attributes:
        channels: the inputs by name; the shipped models take one.
        percentiles: the lower one of all voxels, the upper one of the foreground; only for input wider than 8 bit.
        grid: "auto" goes by spacing where it and `reference_mm` are known and is "fit" otherwise; "fit" brings the
            longer side to `size`; "stretch" makes it `size` × `size`; "native" leaves it.
        size: pixels of the network's grid.
        reference_mm: millimetres per pixel that the model learnt at, or None where its data did not say.
        clip_limit: CLAHE's; 0 means none, a negative value that CLAHE is left out.
        tile_px: pixels per CLAHE tile on the network's grid.
        shrink: pixels of the grid, along one axis, whose mean after CLAHE is one that the network sees.
        standardise: grey levels after CLAHE are counted from the median of the volume's head, in units of its spread,
            instead of from 0 to 1; see `core.preprocess.levels`.
    """

    channels: tuple[str, ...] = ("flair",)
    percentiles: tuple[float, float] = (0.5, 99.5)
    grid: GridMode = "auto"
    size: int = 256
    reference_mm: float | None = None
    clip_limit: float = 2.0
    tile_px: int = 32
    shrink: int = 1
    standardise: bool = False


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
        version: raised whenever the answers change.
        summary: one line for lists.
        network, preprocessing, weights: what loading needs.
        threshold: probability from which a voxel is lesion.
        neighbours: weight of the slice above's logits, and of the slice below's, in a slice's own; see
            `core.inference.evidence`.
        temperature: by which the logits of the final probabilities are divided.
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
    neighbours: float = 0.0
    temperature: float = 1.0
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
            network["filters"] = tuple(network["filters"])
            preprocessing = dict(raw.pop("preprocessing"))
            for key in ("channels", "percentiles"):
                if key in preprocessing:
                    preprocessing[key] = tuple(preprocessing[key])
            raw["limits"] = tuple(raw.get("limits", ()))
            card = ModelCard(
                network=NetworkSettings(**network),
                preprocessing=PreprocessSettings(**preprocessing),
                weights=WeightsFile(**raw.pop("weights")),
                **raw,
            )
            wrong = [what for what, right in _checks(card) if not right]
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise ModelDamaged(
                "the model's card.json lacks an entry, or has one that is unknown or of the wrong kind; "
                "install the model again"
            ) from error
        if wrong:
            raise ModelDamaged(f"the model's card.json is wrong about {wrong[0]}; install the model again")
        return card

    def to_json(self) -> dict[str, Any]:
        """The card as JSON-ready values, in the order of the fields."""
        return asdict(self)


def _checks(card: ModelCard) -> Iterator[tuple[str, bool]]:
    """What everybody who uses a card relies on, entry by entry, and whether it holds; stops at a wrong kind."""
    network, settings = card.network, card.preprocessing
    for what, text in (
        ("its name", card.name),
        ("its version", card.version),
        ("its summary", card.summary),
        ("the weights' file", card.weights.file),
        ("the weights' hash", card.weights.sha256),
        ("the network's name", network.name),
    ):
        yield what, isinstance(text, str)
    filters = network.filters
    yield "the network's filters", 2 <= len(filters) <= 8 and all(is_count(f) and f <= MOST_FILTERS for f in filters)
    yield "the network's inputs", is_count(network.in_channels) and network.in_channels == len(settings.channels)
    yield "the channels", all(isinstance(channel, str) for channel in settings.channels)
    yield "the grid", settings.grid in get_args(GridMode)
    yield "the size", is_count(settings.size) and settings.size <= LARGEST_SIZE
    yield "the tiles", is_count(settings.tile_px)
    yield "the shrinking", is_count(settings.shrink) and settings.shrink <= settings.size
    yield "the grey scale", isinstance(settings.standardise, bool)
    yield "the clip limit", math.isfinite(settings.clip_limit) and settings.clip_limit <= HIGHEST_CLIP_LIMIT
    reference = settings.reference_mm
    yield "the reference spacing", reference is None or (reference > 0 and math.isfinite(reference))
    low, high = settings.percentiles
    yield "the percentiles", 0 <= low < high <= 100
    yield "the threshold", 0 <= card.threshold <= 1
    yield "the neighbours' weight", 0 <= card.neighbours <= 1 / 3
    yield "the temperature", card.temperature > 0 and math.isfinite(card.temperature)


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
