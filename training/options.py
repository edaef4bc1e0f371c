"""What a training run is told: one frozen value, written into its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from core.errors import UsageError
from core.model_card import PreprocessSettings, is_count
from core.networks import NETWORK_NAMES
from training.augment import AugmentSettings
from training.losses import LOSSES


@dataclass(frozen=True, slots=True)
class Stage:
    """Epochs at one resolution, with a learning rate that rises to `peak` and falls again.

    Attributes:
        epochs: passes over the slices with lesion.
        shrink: pixels of the network's grid, along one axis, that become one pixel.
        window: pixels of the square that is cut.
        peak: the highest learning rate.
    """

    epochs: int
    shrink: int
    window: int
    peak: float


# Windows of 192 pixels of the grid hold most of a head. Half the resolution costs a quarter and teaches nearly all; two
# cycles at the full one find outlines and faint tumours: see docs/recipe.md. The nested network's epochs take twice as
# long.
HALF, FULL = Stage(36, 2, 96, 1.5e-3), Stage(8, 1, 192, 8e-4)
SHORT_HALF, SHORT_FULL = replace(HALF, epochs=24), replace(FULL, epochs=6)
STAGES = {"attention-unet": (HALF, FULL, FULL), "nested-unet": (SHORT_HALF, SHORT_FULL, SHORT_FULL)}

CLAHE = PreprocessSettings(standardise=True)
NO_CLAHE = replace(CLAHE, clip_limit=-1.0)
PREPROCESSING = {"attention-unet": CLAHE, "nested-unet": NO_CLAHE}


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """One run.

    Attributes:
        data: folder of image and mask pairs.
        out: folder of the run: checkpoint, logs, manifest, and `model/` at the end.
        network: one of `core.networks.NETWORK_NAMES`.
        filters: features of each level.
        folds: name of a shipped fold file, or a path; None divides `data` anew.
        fold: the fold that is held out and never looked at; None learns from everybody.
        patients: how names tell patients: an expression or a CSV file, see `core.evaluation.patients.parse_rule`; None
            takes the fold file's rule.
        each_image: every image is of another patient.
        may_share: patients may share images, which is refused otherwise; only to measure what such a leak is worth.
        channel: which one to take, where the set does not tell.
        inner: share of the training patients that is kept for watching the run.
        stages: of the course; () takes the network's own from `STAGES`.
        batch: slices a step.
        empties: slices without lesion an epoch, for each slice with.
        loss: one of `training.losses.LOSSES`.
        average: of the weights' moving average; at most so much that it spans a tenth of the course's steps.
        ends: of so many of the last stages the moving averages at their ends are averaged once more, and kept.
        weight_decay: AdamW's.
        neighbours: for the model's card, see `core.inference.evidence`; nothing is learnt by it.
        seed: of everything that is drawn.
        device, precision: see `training.machine.choose_machine`.
        threads: of torch; 0 leaves its own choice.
        cache: folder for the preprocessed set.
        preprocessing: goes into the model's card, with the last stage's `shrink`; None takes the network's own from
            `PREPROCESSING`.
        augmentation: how strongly batches are changed.
        resume: go on from the last finished epoch where `out` holds one.

    Raises:
        UsageError: a value makes no sense.
    """

    data: Path
    out: Path
    network: str
    filters: tuple[int, ...] = (16, 32, 64, 128, 256)
    folds: str | Path | None = "lgg"
    fold: int | None = 0
    patients: str | None = None
    each_image: bool = False
    may_share: bool = False
    channel: int | str | None = None
    inner: float = 0.15
    stages: tuple[Stage, ...] = ()
    batch: int = 8
    empties: float = 0.5
    loss: str = "dice-ce"
    average: float = 0.998
    ends: int = 1
    weight_decay: float = 1e-2
    neighbours: float = 0.2
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    cache: Path = Path(".cache/pairs")
    preprocessing: PreprocessSettings = None  # type: ignore[assignment]  # the network's own, set below
    augmentation: AugmentSettings = field(default_factory=AugmentSettings)
    resume: bool = True

    @property
    def course(self) -> tuple[Stage, ...]:
        """The stages that will be run."""
        return self.stages or STAGES[self.network]

    @property
    def recipe(self) -> dict[str, Any]:
        """What of all this makes the model, but its network and preprocessing; for its card."""
        return {
            "stages": [asdict(stage) for stage in self.course],
            "loss": self.loss,
            "batch": self.batch,
            "empties": self.empties,
            "average": self.average,
            "ends": self.ends,
            "weight_decay": self.weight_decay,
            "augmentation": asdict(self.augmentation),
            "seed": self.seed,
        }

    def share_done(self, epochs: float) -> float:
        """What part of the course's computing so many epochs are, from its start; an epoch costs as its windows do."""
        done = whole = 0.0
        for stage in self.course:
            cost = stage.window**2
            done += cost * min(max(epochs, 0), stage.epochs)
            whole += cost * stage.epochs
            epochs -= stage.epochs
        return done / whole

    def __post_init__(self) -> None:
        if self.preprocessing is None:  # not at each use, as the course: a run's manifest is to say how it was prepared
            object.__setattr__(self, "preprocessing", PREPROCESSING.get(self.network, CLAHE))
        try:
            wrong = next((what for what, holds in self._checks() if not holds), None)
        except TypeError:
            wrong = "the options are of the wrong kind"
        if wrong:
            raise UsageError(f"{wrong}; see docs/training.md")

    def _checks(self) -> Iterator[tuple[str, bool]]:
        """What must hold, each with the sentence that says so."""
        yield f"the network must be one of {', '.join(NETWORK_NAMES)}", self.network in NETWORK_NAMES
        yield f"the loss must be one of {', '.join(LOSSES)}", self.loss in LOSSES
        levels = isinstance(self.filters, tuple) and 2 <= len(self.filters) <= 8
        yield "the filters must be 2 to 8 whole numbers from 1", levels and all(map(is_count, self.filters))
        yield "the batch must be a whole number from 1", is_count(self.batch)
        yield "the seed must be a whole number from 0 to 4294967295", is_count(self.seed + 1) and self.seed < 2**32
        yield "the threads must be a whole number from 0", is_count(self.threads + 1)
        yield "the inner part must be a share from 0, below 1", 0 <= self.inner < 1
        yield "the slices without lesion must be a share from 0", self.empties >= 0
        yield "the moving average must lie in 0 to 1", 0 <= self.average <= 1
        ends = is_count(self.ends) and self.ends <= len(self.course)
        yield "the ends must be a whole number from 1, not above the number of stages", ends
        yield "the weight decay must not be negative", self.weight_decay >= 0
        yield "the neighbours' weight must lie in 0 to 1/3", 0 <= self.neighbours <= 1 / 3
        for stage in self.course:
            counts = (stage.epochs, stage.shrink, stage.window)
            yield "a stage's epochs, shrink and window must be whole numbers from 1", all(map(is_count, counts))
            yield "a stage's peak must be above 0", stage.peak > 0
            stride = 2 ** (len(self.filters) - 1)
            yield (
                f"a stage's window must be a multiple of {stride} for {len(self.filters)} filters",
                stage.window % stride == 0,
            )
