"""How a network learns: loss, optimiser, schedule, moving average, watching the inner part."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn
from torch.utils.data import DataLoader

from core.networks import build_network
from core.preprocess.levels import standardise
from training.augment import augment
from training.batches import EpochBatches, SliceSource, steps_per_epoch
from training.losses import LOSSES
from training.options import Stage, TrainOptions
from training.pairs import Pairs


class SegmentationTask(pl.LightningModule):
    """One run's course over the training patients' slices.

    Args:
        options: of the run.
        pairs: the whole set.
        learn: patients to learn from.
        watch: patients of the inner part, may be empty.
    """

    def __init__(self, options: TrainOptions, pairs: Pairs, learn: tuple[str, ...], watch: tuple[str, ...]) -> None:
        super().__init__()
        self.options = options
        self.pairs = pairs
        self.watch = watch
        slices = pairs.of(learn)
        # One at a time: the set need not fit into memory.
        has_lesion = np.fromiter((pairs.truths[index].any() for index in slices), bool, len(slices))
        self.lesions, self.others = slices[has_lesion], slices[~has_lesion]
        self.network = build_network(options.network, pairs.images.shape[1], options.filters)
        self.network.to(memory_format=torch.channels_last)
        self.steps = steps_per_epoch(len(self.lesions), len(self.others), options.empties, options.batch)
        whole = self.steps * sum(stage.epochs for stage in options.course)
        # Over a short course the average would otherwise be mostly of weights that have learnt little.
        decay = max(min(options.average, 1 - 10 / whole), 0.0)
        self.average = _mean_of(self.network, get_ema_multi_avg_fn(decay))
        self.kept = _mean_of(self.network, get_swa_multi_avg_fn())
        self.ends = tuple(accumulate(stage.epochs for stage in options.course))[-options.ends :]
        self.loss = LOSSES[options.loss]
        self.source: SliceSource | None = None
        self._counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(2, np.int64))

    @property
    def stage(self) -> Stage:
        """The stage of the current epoch."""
        left = self.current_epoch
        for stage in self.options.course:
            if left < stage.epochs:
                return stage
            left -= stage.epochs
        return self.options.course[-1]

    def train_dataloader(self) -> EpochBatches:
        """The current epoch's batches; Lightning asks anew before each epoch."""
        options = self.options
        return EpochBatches(self.lesions, self.others, options.batch, options.empties, options.seed, self.current_epoch)

    def transfer_batch_to_device(
        self, batch: tuple[NDArray[np.int64], Any], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, Tensor, Tensor, Any]:
        """The slices that a batch names, and what is told of them: a step's seed, or whose they are."""
        chosen, told = batch
        if self.source is None:
            self.source = SliceSource(self.pairs, device)
        return *self.source.take(chosen), told

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, int], _: int) -> Tensor:
        """Loss of a batch; with deep supervision the mean over the heads."""
        images, truths, levels, seed = batch
        generator = torch.Generator().manual_seed(seed)
        stage = self.stage
        with torch.autocast(images.device.type, enabled=False):
            pictures, masks = augment(
                images, truths, levels, stage.window, stage.shrink, self.options.augmentation, generator
            )
            pictures = self._on_scale(pictures, levels)
        logits = self.network(pictures)
        heads = logits if isinstance(logits, list) else [logits]
        loss = torch.stack([self.loss(head, masks) for head in heads]).mean()
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def _on_scale(self, pictures: Tensor, levels: Tensor) -> Tensor:
        """(N, C, H, W) on the scale of their heads, to the scale that the network is to see; channels-last."""
        if not self.options.preprocessing.standardise:
            centre, spread = levels[..., None, None].unbind(2)  # (N, C, 1, 1) each
            pictures = ((pictures * spread + centre) / 255).clamp(0, 1)
        return pictures.contiguous(memory_format=torch.channels_last)

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.network)

    def on_train_epoch_end(self) -> None:
        if self.current_epoch + 1 in self.ends:
            self.kept.update_parameters(self.average.module)

    def configure_optimizers(self) -> Any:
        # Not fused: Lightning does not clip the gradients of a fused optimiser in mixed precision.
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=1.0, weight_decay=self.options.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate(step / self.steps, self.options.course)
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor, str], _: int) -> None:
        """Count what the averaged network finds in a few whole slices of one patient."""
        images, truths, levels, patient = batch
        pictures = functional.avg_pool2d(images.float() / 255, self.stage.shrink)
        pictures = self._on_scale(standardise(pictures, levels), levels)
        probability = torch.sigmoid(self.average.module(pictures).float())
        probability = functional.interpolate(probability, images.shape[2:], mode="bilinear", align_corners=False)
        found = probability[:, 0] >= 0.5  # (N, H, W)
        truth = truths > 0
        both = int((found & truth).sum())
        self._counts[patient] += [2 * both, int(found.sum()) + int(truth.sum())]

    def on_validation_epoch_end(self) -> None:
        scores = [both / size if size else 1.0 for both, size in self._counts.values()]
        self._counts.clear()
        if scores:
            self.log("inner_dice", float(np.mean(scores)))
            self.log("inner_dice_median", float(np.median(scores)))

    def val_dataloader(self) -> DataLoader[tuple[NDArray[np.int64], str]]:
        """Whole slices of the inner part's patients, a patient's in chunks."""
        chunks = []
        for patient in self.watch:
            slices = self.pairs.of([patient])
            chunks += [(part, patient) for part in np.array_split(slices, max(len(slices) // 8, 1))]
        return DataLoader(chunks, batch_size=None, collate_fn=tuple)  # type: ignore[arg-type]


def _mean_of(network: nn.Module, step: Callable[..., None]) -> AveragedModel:
    """A mean of a network's weights over its updates; of what is counted, the latest."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            step(averaged, current, steps)
        else:
            torch._foreach_copy_(averaged, current)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True).requires_grad_(False)


def learning_rate(epoch: float, stages: tuple[Stage, ...], rise: float = 0.2) -> float:
    """One cycle a stage: half a cosine from peak / 25 up to the peak over `rise` of it, then one down to peak / 1000.

    Args:
        epoch: epochs done since the beginning of the first stage, with fractions.
        stages: in order.
        rise: share of a stage.
    """
    for stage in stages:
        if epoch < stage.epochs:
            done = epoch / stage.epochs
            if done < rise:
                low, part = stage.peak / 25, 1 - done / rise
            else:
                low, part = stage.peak / 1000, (done - rise) / (1 - rise)
            return low + (stage.peak - low) * (1 + math.cos(math.pi * part)) / 2
        epoch -= stage.epochs
    return stages[-1].peak / 1000
