"""What a training run is told: one frozen value, written into its manifest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from core.model_card import PreprocessSettings
from training.augment import AugmentSettings


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


# Windows of 192 pixels of the grid hold most of a head. Half the resolution costs a quarter and teaches nearly all; the
# full one finds outlines and faint tumours: see docs/recipe.md. The nested network's epochs take twice as long.
HALF, FULL = Stage(36, 2, 96, 1.5e-3), Stage(8, 1, 192, 8e-4)
STAGES = {"attention-unet": (HALF, FULL), "nested-unet": (replace(HALF, epochs=24), replace(FULL, epochs=6))}


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
        average: of the weights' moving average.
        weight_decay: AdamW's.
        neighbours: for the model's card, see `core.inference.evidence`; nothing is learnt by it.
        seed: of everything that is drawn.
        device, precision: "auto", or Lightning's accelerator and precision words.
        threads: of torch; 0 leaves its own choice.
        cache: folder for the preprocessed set.
        preprocessing: goes into the model's card, with the last stage's `shrink`.
        augmentation: how strongly batches are changed.
        resume: go on from the last finished epoch where `out` holds one.
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
    weight_decay: float = 1e-2
    neighbours: float = 0.2
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    cache: Path = Path(".cache/pairs")
    preprocessing: PreprocessSettings = field(default_factory=lambda: PreprocessSettings(standardise=True))
    augmentation: AugmentSettings = field(default_factory=AugmentSettings)
    resume: bool = True

    @property
    def course(self) -> tuple[Stage, ...]:
        """The stages that will be run."""
        return self.stages or STAGES[self.network]
