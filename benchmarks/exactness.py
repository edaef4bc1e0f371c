"""How close a device's answers come to the reference: CLAHE, tiling, precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.compare_tiling import tiled
from benchmarks.latency import depths
from benchmarks.subjects import SIDE, Subject, mosaic, phantom_slices, show
from core.inference.engines.torch_engine import TorchEngine
from core.model_card import PreprocessSettings
from core.preprocess.clahe import clahe


def clahe_against_opencv(device: str, count: int, longest: int, seed: int = 0) -> dict[str, Any]:
    """Random pictures, sizes, grids and clip limits through a tensor on the device and through OpenCV.

    Args:
        device: where the tensors lie.
        count: how many pictures, about a third of them 16-bit.
        longest: side of the largest, in pixels; small sides are as frequent as large ones.
        seed: of everything that is drawn.

    Returns:
        pictures, pixels and pixels that differ of each depth, and the largest difference in grey levels.
    """
    rng = np.random.default_rng(seed)
    found = {name: {"pictures": 0, "pixels": 0, "pixels_that_differ": 0, "most": 0} for name in ("uint8", "uint16")}
    left = count
    while left > 0:
        dtype = np.dtype(rng.choice(["uint8", "uint16"], p=[2 / 3, 1 / 3]))
        batch = min(left, int(rng.integers(1, 9)))
        height, width = (int(longest ** rng.uniform(0, 1)) for _ in range(2))
        rows, columns = (int(tiles) for tiles in rng.integers(1, 17 if dtype == np.uint8 else 5, 2))
        clip_limit = float(rng.choice([0.0, 1.0, 2.0, 40.0, rng.uniform(0, 10)]))
        top = int(rng.choice([3, 40, np.iinfo(dtype).max]))
        images = rng.integers(0, top, (batch, height, width), dtype=dtype, endpoint=True)
        equaliser = cv2.createCLAHE(clip_limit, (columns, rows))
        expected = np.stack([equaliser.apply(image) for image in images]).astype(np.int32)
        answer = clahe(torch.from_numpy(images).to(device), clip_limit, (rows, columns)).cpu().numpy()
        distance = np.abs(answer.astype(np.int32) - expected)
        entry = found[dtype.name]
        entry["pictures"] += batch
        entry["pixels"] += images.size
        entry["pixels_that_differ"] += int((distance > 0).sum())
        entry["most"] = max(entry["most"], int(distance.max()))
        left -= batch
    return {**found, "most": max(entry["most"] for entry in found.values())}


def tiling_against_whole(
    subjects: Sequence[Subject], device: str, count: int, largest: tuple[int, int], seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Pictures of random sizes in windows of random sizes, against the whole picture.

    In float32, without TF32, as the engine computes; and in float64, where rounding cannot hide a wrong halo.

    Args:
        subjects: whose networks, at every depth.
        device: where.
        count: pictures for each network and depth, the largest and a single pixel among them.
        largest: height and width of the largest, in pixels.
        seed: of the sizes.

    Yields:
        for each network and depth the largest difference in logits in both precisions, and float32's own error: how far
        the whole picture's logits in float32 lie from those in float64.
    """
    field = mosaic(largest[0] + SIDE // 2, largest[1] + SIDE // 2)
    for subject in subjects:
        for suffix, network in depths(subject.build()):
            rng = np.random.default_rng(seed)
            engine = TorchEngine(network, device, "fp32", batch=1)
            double = copy.deepcopy(network).double().to(device)
            drawn = [(int(rng.integers(1, largest[0])), int(rng.integers(1, largest[1]))) for _ in range(count - 2)]
            found: dict[str, list[float]] = {"float32": [], "float64": [], "error_of_float32": []}
            several = 0
            for height, width in (largest, (1, 1), *drawn):
                top, left = rng.integers(0, SIDE // 2, 2)
                picture = field[:, top : top + height, left : left + width]
                pictures = show(engine, picture, subject.preprocessing)  # (1, 1, h, w)
                window = 2 * engine.halo + engine.grid * int(rng.integers(1, 10))
                with torch.inference_mode():
                    whole, exact = engine.forward(pictures), double(pictures.double())
                    for name, forward, reference in (
                        ("float32", engine.forward, whole),
                        ("float64", double, exact),
                    ):
                        answer = tiled(forward, pictures.to(reference.dtype), window, engine.halo, engine.grid)
                        found[name].append(float((answer - reference).abs().max()))
                found["error_of_float32"].append(float((whole - exact).abs().max()))
                several += max(pictures.shape[-2:]) > window
            yield {
                "what": subject.name + suffix,
                "pictures": count,
                "of_them_in_several_windows": several,
                **{name: max(values) for name, values in found.items()},
            }


def precision_against_fp32(
    subjects: Sequence[Subject], device: str, precisions: Sequence[str], count: int, side: int = SIDE
) -> Iterator[dict[str, Any]]:
    """Masks of synthetic slices in each precision, and in fp32 on the device, against fp32 on the CPU.

    Args:
        subjects: whose networks.
        device: where.
        precisions: "fp32", "bf16", "fp16".
        count: slices.
        side: their height and width.

    Yields:
        for each network and precision how many lesion pixels changed, Dice of the two masks, and how far logits and
        probabilities moved.
    """
    slices = phantom_slices(count, side)  # (N, H, W)
    for subject in subjects:
        network = subject.build()
        settings = subject.preprocessing
        reference = _logits(TorchEngine(network, "cpu", "fp32"), slices, settings)
        for precision in precisions:
            engine = TorchEngine(network, device, precision)
            logits = _logits(engine, slices, settings)
            expected, found = reference >= 0, logits >= 0
            lesion = int(expected.sum())
            both = lesion + int(found.sum())
            yield {
                "what": subject.name,
                "precision": precision,
                "lesion_pixels": lesion,
                "lesion_pixels_that_changed": int((expected != found).sum()),
                "dice": 1.0 if both == 0 else 2 * int((expected & found).sum()) / both,
                "largest_difference_in_logits": float((reference - logits).abs().max()),
                "largest_difference_in_probability": float((reference.sigmoid() - logits.sigmoid()).abs().max()),
                "fallbacks": engine.take_fallbacks(),
            }


def _logits(engine: TorchEngine, slices: NDArray[np.uint8], settings: PreprocessSettings) -> torch.Tensor:
    logits: torch.Tensor = engine.forward(show(engine, slices, settings)).cpu()
    return logits
