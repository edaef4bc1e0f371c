"""A scan in, a segmentation out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import Cancelled, UsageError
from core.inference.case import Case, Settings
from core.inference.engines import Batch, Engine
from core.inference.engines.torch_engine import TorchEngine
from core.inference.evidence import weigh
from core.inference.manifest import SCHEMA, Stopwatch, jsonable, versions
from core.inference.tiling import Tile, cut, gaussian_weights, plan_overlapping, plan_tiles, stitch
from core.measure.lesions import lesions_in
from core.model_card import GridMode
from core.model_store import find_model, load_card, load_network
from core.networks import NestedUNet
from core.preprocess.grid import enlarge, from_grid
from core.preprocess.intensity import IntensityRange
from core.preprocess.prepare import prepare
from core.scan import Scan, Segmentation
from core.unfamiliar.judge import MEASURED, judge
from core.unfamiliar.reference import load_reference

WINDOW = 768
"""The longest side that the network is given at once, in its own pixels; what is no larger is not tiled."""

Progress = Callable[[int, int], None]


class Predictor:
    """A model on a device, ready to segment scans.

    `segment` takes one scan after another, in one thread. Who has many at once calls its three steps: `begin` and
    `finish`, which may run in any thread, and `advance`, which fills one batch with slices of several scans.

    Args:
        model: name of a shipped model or a model folder; None is the default model.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or, on CUDA, "fp16".
        window: the longest side that the network is given at once, in its own pixels, each `shrink` of the
            grid's wide; None is `WINDOW`, or as long as a very deep network needs.
        batch: windows per call of the network; None lets the engine choose.
        depth: at which depth to cut the nested network; None is all of it.
        blend: "exact" gives the answer of the whole picture; "gaussian" blends windows that overlap by half or more, as
            others do, and is only there to compare with.

    Attributes:
        card: the model's account of itself.
        device, precision: what was chosen.

    Raises:
        ModelNotFound, ModelDamaged: the model cannot be loaded.
        DeviceUnavailable: this machine has no such device.
        UsageError: an argument makes no sense, or not with this model.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        *,
        window: int | None = None,
        batch: int | None = None,
        depth: int | None = None,
        blend: Literal["exact", "gaussian"] = "exact",
    ) -> None:
        folder = find_model(model)
        self.card = load_card(folder)
        network = load_network(folder, self.card)
        self._reference = load_reference(folder, MEASURED)
        if depth is not None:
            if not isinstance(network, NestedUNet):
                raise UsageError("only a nested network can be cut at a depth; leave the depth out")
            if not 1 <= depth <= network.depth:
                raise UsageError(f"the depth must lie in 1 to {network.depth}")
            network = network.cut(depth)
        identity = f"{self.card.network.name} {self.card.weights.sha256[:16]} depth {depth or 'full'}"
        self._engine: Engine = TorchEngine(
            network, device, precision, channels=self.card.network.in_channels, batch=batch, identity=identity
        )  # fmt: skip
        smallest = 2 * self._engine.halo + self._engine.grid
        if window is None:
            window = max(WINDOW, smallest)
        if window < smallest:
            raise UsageError(f"the window must be at least {smallest} pixels for this network")
        if blend not in ("exact", "gaussian"):
            raise UsageError("the blend must be exact or gaussian")
        self.device, self.precision = self._engine.device, self._engine.precision
        self._window, self._depth, self._blend = window, depth, blend

    def segment(
        self,
        scan: Scan,
        threshold: float | None = None,
        *,
        tta: bool = False,
        min_lesion: int = 0,
        channel: int | str | None = None,
        grid: GridMode | None = None,
        ranges: Sequence[IntensityRange] | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Segmentation:
        """Find lesions.

        Args:
            scan: what was read.
            threshold: probability in [0, 1] from which a voxel is lesion; None takes the card's.
            tta: average the answers to the picture and to its mirror image, at twice the time.
            min_lesion: smaller components are removed, in voxels.
            channel: which channel to take, by index or name; None goes by the card.
            grid: how slices come onto the network's grid; None goes by the card.
            ranges: intensities as the manifest of an earlier run records them, one for each channel, so that slices
                are seen as they were within another volume; None finds them anew.
            progress: called with (slices done, slices) after every batch of slices.
            cancelled: asked before every call of the network; a true answer ends the work.

        Returns:
            probability, mask and lesions on the scan's own grid.

        Raises:
            UsageError: threshold, min_lesion or ranges make no sense.
            InputError: the scan does not fit the model.
            Cancelled: `cancelled` said so.
            DeviceOutOfMemory: the device's memory does not hold even one window.
            DeviceLost: the device failed, and computes nothing more in this process.
            ModelDamaged: the network's answer is not finite.
        """
        case = self.begin(scan, threshold, tta=tta, min_lesion=min_lesion, channel=channel, grid=grid, ranges=ranges)
        while not case.complete:
            self.advance([case], cancelled)
            if progress is not None:
                progress(case.done, case.slices)
        return self.finish(case)

    def begin(
        self,
        scan: Scan,
        threshold: float | None = None,
        *,
        tta: bool = False,
        min_lesion: int = 0,
        channel: int | str | None = None,
        grid: GridMode | None = None,
        ranges: Sequence[IntensityRange] | None = None,
    ) -> Case:
        """Bring a scan's slices to where batches of them can be computed; may run in any thread.

        Args and errors are those of `segment`.
        """
        threshold = self.card.threshold if threshold is None else threshold
        if not (math.isfinite(threshold) and 0 <= threshold <= 1):
            raise UsageError("the threshold must lie in 0 to 1")
        if min_lesion < 0:
            raise UsageError("the minimum lesion must not be negative")
        begun = time.perf_counter()
        if ranges is not None and len(ranges) != len(self.card.preprocessing.channels):
            raise UsageError("there must be an intensity range for each of the model's inputs")
        prepared = prepare(scan, self.card.preprocessing, channel=channel, grid=grid, ranges=ranges)
        verdict, doubts = judge(self._reference, prepared.images)
        prepared = replace(prepared, notes=prepared.notes + doubts)
        chosen = Settings(threshold, tta, min_lesion, channel)
        case = Case(scan, prepared, self._plan(prepared.grid.target), chosen, verdict)
        case.watch.book("prepare", time.perf_counter() - begun)
        return case

    def advance(self, cases: Sequence[Case], cancelled: Callable[[], bool] | None = None) -> None:
        """Compute the next slices of cases of one `group` in one batch; not in two threads at a time.

        The first case gives as many slices as it has and the batch holds, then the next. Each slice's answer is what
        it would be without the others, see `Engine.batch`; where an error is raised, no case has gone on.

        Raises:
            ValueError: the cases differ in their group, or none has a slice left.
            Cancelled, DeviceOutOfMemory, DeviceLost, ModelDamaged: see `segment`.
        """
        if len({case.group for case in cases}) != 1 or all(case.complete for case in cases):
            raise ValueError("a batch is made of unfinished cases of one group")
        parts: list[NDArray[np.uint8]] = []
        for case in cases:
            parts.append(case.take(self._engine.batch - sum(map(len, parts))))
        images = parts[0] if len(parts) == 1 else np.concatenate(parts)  # (N, C, h, w)
        levels = None
        if self.card.preprocessing.standardise:
            levels = np.repeat([case.levels for case in cases], [len(part) for part in parts], axis=0)  # (N, C, 2)
        settings, first, watch = self.card.preprocessing, cases[0], Stopwatch()
        self._engine.take_fallbacks()
        with watch.stage("clahe"):
            batch = self._engine.prepare(images, settings.clip_limit, settings.tile_px, settings.shrink, levels)
        height, width = first.prepared.grid.target
        with watch.stage("network"):
            answer = self._stitched(batch, first.tiles, first.settings.tta, cancelled)
            answer = enlarge(answer, settings.shrink)[:, :height, :width]
        fallbacks, position = self._engine.take_fallbacks(), 0
        for case, part in zip(cases, parts, strict=True):
            if len(part):
                with case.watch.stage("restore"):
                    case.put(from_grid(answer[position : position + len(part)], case.prepared.grid))
                    if case.complete and case.probability is not None:
                        neighbours = self.card.neighbours if case.scan.contiguous else 0.0
                        weigh(case.prepared.plane.to_plane(case.probability), neighbours, self.card.temperature)
                position += len(part)
                case.fallbacks.update(fallbacks)
                case.watch.add(watch, len(part) / len(images))

    def finish(self, case: Case) -> Segmentation:
        """What was found in a case whose every slice has its answer; may run in any thread.

        The case may be finished again, and so may a copy of it with another threshold or another minimum lesion.

        Raises:
            ValueError: the case is not complete.
        """
        if case.probability is None or not case.complete:
            raise ValueError("slices of this case have no answer yet")
        scan, probability = case.scan, case.probability
        begun = time.perf_counter()
        above = probability >= np.float32(case.settings.threshold)
        mask, lesions = lesions_in(above, probability, scan, case.prepared.plane.axes, case.settings.min_lesion)
        lesion_seconds = time.perf_counter() - begun
        return Segmentation(
            probability=probability,
            mask=mask,
            lesions=lesions,
            warnings=(*scan.notes, *case.prepared.notes),
            manifest=self._manifest(case, lesion_seconds),
        )

    def _plan(self, target: tuple[int, int]) -> tuple[Tile, ...]:
        multiple = self._engine.grid * self.card.preprocessing.shrink
        height, width = (-(-side // multiple) * self._engine.grid for side in target)
        if self._blend == "gaussian":
            return plan_overlapping(height, width, self._window, self._engine.grid)
        return plan_tiles(height, width, self._window, self._engine.halo, self._engine.grid)

    def _stitched(
        self, batch: Batch, tiles: tuple[Tile, ...], tta: bool, cancelled: Callable[[], bool] | None
    ) -> NDArray[np.float32]:
        """(N, H, W) probability of a prepared batch (N, C, H, W), tile by tile."""
        shape = (len(batch), max(t.interior.bottom for t in tiles), max(t.interior.right for t in tiles))
        whole: NDArray[np.float32] = np.zeros(shape, np.float32)
        weights: NDArray[np.float32] = np.zeros(shape[1:], np.float32)
        for tile in tiles:
            answer = self._window_probability(cut(batch, tile), tta, cancelled)  # (N, h, w)
            if self._blend == "exact":
                stitch(whole, tile, answer)
            else:
                weight = gaussian_weights(*tile.window.shape)
                tile.window.of(whole)[...] += weight * answer
                tile.window.of(weights)[...] += weight
        if self._blend == "gaussian":
            whole /= weights
        return whole

    def _window_probability(
        self, window: Batch, tta: bool, cancelled: Callable[[], bool] | None
    ) -> NDArray[np.float32]:
        engine = self._engine

        def answer(images: Batch) -> Batch:
            if cancelled is not None and cancelled():
                raise Cancelled("stopped as asked")
            return engine.forward(images)

        probability = engine.probability(answer(window))
        if not tta:
            return probability
        mirrored = engine.probability(engine.mirror(answer(engine.mirror(window))))
        return (probability + mirrored) / np.float32(2)

    def _manifest(self, case: Case, lesion_seconds: float) -> dict[str, Any]:
        card, engine, scan, prepared, tiles = self.card, self._engine, case.scan, case.prepared, case.tiles
        manifest: dict[str, Any] = jsonable(
            {
                "schema": SCHEMA,
                "input": {"sha256": scan.sha256, "shape": scan.voxels.shape, "spacing_mm": scan.spacing_mm},
                "model": {
                    "name": card.name,
                    "version": card.version,
                    "weights_sha256": card.weights.sha256,
                    "network": card.network.name,
                    "neighbours": card.neighbours,
                    "temperature": card.temperature,
                    "depth": self._depth,
                },
                "settings": {
                    **asdict(case.settings),
                    "clip_limit": card.preprocessing.clip_limit,
                    "tile_px": card.preprocessing.tile_px,
                    "shrink": card.preprocessing.shrink,
                    "standardise": card.preprocessing.standardise,
                },
                "plane": asdict(prepared.plane),
                "grid": asdict(prepared.grid),
                "intensity": [asdict(entry) for entry in prepared.ranges],
                "familiarity": None if case.verdict is None else asdict(case.verdict),
                "tiling": {"blend": self._blend, "tiles": len(tiles), "window": tiles[0].window.shape},
                "engine": {
                    "name": engine.name,
                    "device": engine.device,
                    "precision": engine.precision,
                    "batch": engine.batch,
                    "fallbacks": dict(case.fallbacks),
                },
                "versions": versions(),
                "seconds": {**case.watch.seconds(), "lesions": round(lesion_seconds, 4)},
            }
        )
        return manifest
