"""What a user asks of a run, and what of it decides whether an earlier result is the same."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

from core.errors import UsageError
from core.io.write import Form
from core.model_card import GridMode, ModelCard
from core.model_store import find_model, load_card
from core.system import check_names


@dataclass(frozen=True, slots=True)
class Request:
    """One model and its settings for all cases of a run.

    Attributes:
        folder: the model's folder.
        card: its card.
        device, precision: as asked, "auto" included.
        threshold: probability from which a voxel is lesion.
        tta: whether mirrored images are segmented too and averaged.
        min_lesion: voxels below which a component is dropped.
        grid: how slices are brought onto the network's grid.
        channel: the user's choice of a channel, or None.
        series: which series or volume to take of inputs that hold several, or None.
        form: how masks are written; "auto" goes by what each case was read from.
        probability: whether probabilities are written too.
        deidentify: whether written DICOM names another patient.
    """

    folder: Path
    card: ModelCard
    device: str
    precision: str
    threshold: float
    tta: bool
    min_lesion: int
    grid: GridMode
    channel: int | str | None
    series: str | None = None
    form: Form = "auto"
    probability: bool = False
    deidentify: bool = False

    def model(self) -> dict[str, Any]:
        """Which model, for a manifest, with a hash of what its card decides besides the weights."""
        decided = [asdict(self.card.preprocessing), self.card.neighbours, self.card.temperature]
        return {
            "name": self.card.name,
            "version": self.card.version,
            "sha256": self.card.weights.sha256,
            "card": hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:16],
        }

    def settings(self) -> dict[str, Any]:
        """Everything a result depends on besides its input and the model, for a manifest."""
        return {
            "threshold": self.threshold,
            "tta": self.tta,
            "min_lesion": self.min_lesion,
            "grid": self.grid,
            "channel": self.channel,
            "series": self.series,
            "form": self.form,
            "probability": self.probability,
            "deidentify": self.deidentify,
            "device": self.device,
            "precision": self.precision,
        }


def make_request(
    model: str | Path | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    threshold: float | None = None,
    tta: bool = False,
    min_lesion: int = 0,
    grid: str | None = None,
    channel: int | str | None = None,
    series: str | None = None,
    form: str = "auto",
    probability: bool = False,
    deidentify: bool = False,
) -> Request:
    """Check options and fill in what the model's card decides, without importing torch.

    Raises:
        UsageError: a value makes no sense.
        ModelNotFound, ModelDamaged: the model, see `core.model_store`.
    """
    folder = find_model(model)
    card = load_card(folder)
    threshold = card.threshold if threshold is None else threshold
    if not (math.isfinite(threshold) and 0 <= threshold <= 1):
        raise UsageError("the threshold is a probability between 0 and 1")
    if min_lesion < 0:
        raise UsageError("the smallest lesion is counted in voxels, from 0")
    chosen = card.preprocessing.grid if grid is None else grid
    if chosen not in get_args(GridMode):
        raise UsageError(f"the grid must be one of {', '.join(get_args(GridMode))}", source=str(grid))
    if isinstance(channel, str) and channel.isascii() and channel.isdigit():
        channel = int(channel)
    check_names(device, precision)
    if form not in get_args(Form):
        raise UsageError(f"results are written as one of {', '.join(get_args(Form))}", source=form)
    return Request(
        folder,
        card,
        device,
        precision,
        threshold,
        tta,
        min_lesion,
        cast(GridMode, chosen),
        channel,
        series,
        cast(Form, form),
        probability,
        deidentify,
    )
