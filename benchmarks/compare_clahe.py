"""CLAHE on arrays and tensors beside OpenCV's own and kornia's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rows import Row, not_measured
from benchmarks.subjects import SIDE, missing_device, phantom_slices
from benchmarks.timing import Effort, Work, measure_in_turns
from core.preprocess.clahe import clahe, tile_grid

CLIP_LIMIT = 2.0
OPENCV, ARRAY, TENSOR, KORNIA = "OpenCV", "metseg, array", "metseg, tensor", "kornia"


@dataclass(frozen=True, slots=True)
class Difference:
    """How two sets of 8-bit pictures differ: the share of pixels, and the most grey levels."""

    share: float
    most: int

    @staticmethod
    def between(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Difference:
        """Compare pictures of one shape."""
        distance = np.abs(one.astype(np.int16) - other.astype(np.int16))
        return Difference(float((distance > 0).mean()), int(distance.max()))


def opencv_clahe(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """OpenCV's CLAHE on (N, H, W), picture by picture."""
    rows, columns = tile_grid(*images.shape[1:])
    equaliser = cv2.createCLAHE(CLIP_LIMIT, (columns, rows))
    return np.stack([equaliser.apply(image) for image in images])


def kornia_clahe(images: torch.Tensor) -> torch.Tensor:
    """The CLAHE of kornia on (N, H, W) float32 in [0, 1]."""
    from kornia.enhance import equalize_clahe

    answer: torch.Tensor = equalize_clahe(images[:, None], CLIP_LIMIT, tile_grid(*images.shape[1:]))
    return answer[:, 0]


def kornia_difference(images: NDArray[np.uint8], device: str = "cpu") -> Difference:
    """How kornia's answer, rounded to 8 bit, differs from OpenCV's."""
    answer = kornia_clahe(torch.from_numpy(images).to(device).float() / 255)
    rounded = (answer * 255).round().clamp(0, 255).to(torch.uint8)
    return Difference.between(rounded.cpu().numpy(), opencv_clahe(images))


def clahe_works(images: NDArray[np.uint8], device: str) -> dict[str, Work]:
    """What is timed, by name; tensors lie on the device before the clock starts, and kornia's are float already."""
    tiles = tile_grid(*images.shape[1:])
    tensor = torch.from_numpy(images).to(device)
    works: dict[str, Work] = {
        OPENCV: lambda: opencv_clahe(images),
        ARRAY: lambda: clahe(images, CLIP_LIMIT, tiles),
        TENSOR: lambda: clahe(tensor, CLIP_LIMIT, tiles),
    }
    if importlib.util.find_spec("kornia"):
        ready = tensor.float() / 255
        works[KORNIA] = lambda: kornia_clahe(ready)
    return works


def clahe_rows(device: str, effort: Effort, *, batch: int = 16, side: int = SIDE) -> Iterator[Row]:
    """A row for each implementation on one device, all timed in turns, as multiples of OpenCV on the CPU."""
    if why := missing_device(device):
        yield not_measured("CLAHE", TENSOR, device, why)
        return
    images = phantom_slices(batch, side)
    timings = measure_in_turns(clahe_works(images, device), device, effort)
    reference = Row("CLAHE", OPENCV, "cpu", batch=batch, size=(side, side), timing=timings[OPENCV].per(batch))
    yield reference
    for name, timing in timings.items():
        if name == OPENCV:
            continue
        place = "cpu" if name == ARRAY else device
        row = replace(reference, what=name, device=place, timing=timing.per(batch)).against(reference)
        yield replace(row, note=_difference_in_words(name, images, device))
    if KORNIA not in timings:
        yield not_measured("CLAHE", KORNIA, device, "kornia is not installed")


def _difference_in_words(name: str, images: NDArray[np.uint8], device: str) -> str:
    if name == KORNIA:
        difference = kornia_difference(images, device)
    else:
        tiles = tile_grid(*images.shape[1:])
        tensor = torch.from_numpy(images).to(device)
        answer = clahe(images, CLIP_LIMIT, tiles) if name == ARRAY else clahe(tensor, CLIP_LIMIT, tiles).cpu().numpy()
        difference = Difference.between(answer, opencv_clahe(images))
    if difference.most == 0:
        return "equal to OpenCV in every pixel"
    return (
        f"differs from OpenCV in {difference.share * 100:.2g} % of the pixels, by up to {difference.most} grey levels"
    )
