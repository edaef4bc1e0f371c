"""Small sets of textured ellipses with bright discs, each patient's texture its own, in several layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

SIDE = 64
SLICES = 3


def draw_case(seed: int, slices: int = SLICES) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Images and truth, (slices, SIDE, SIDE) each; the first slice has no lesion."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    inside = (rows / 28) ** 2 + (columns / 23) ** 2 < 1
    images, truth = np.zeros((slices, SIDE, SIDE), np.uint8), np.zeros((slices, SIDE, SIDE), np.bool_)
    for number in range(slices):
        texture = cv2.GaussianBlur(draw.normal(0, 1, (SIDE, SIDE)), (0, 0), 1.5)
        image = np.where(inside, 90 + 14 * texture / texture.std(), 4.0)
        if number:
            row, column, radius = draw.integers(-10, 10), draw.integers(-8, 8), draw.integers(3, 8)
            truth[number] = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
            image += 70 * truth[number]
        images[number] = np.clip(image + draw.normal(0, 2, image.shape), 0, 255)
    return images, truth


def write_case(folder: Path, name: str, seed: int) -> Path:
    """A case in the LGG layout below a folder."""
    images, truth = draw_case(seed)
    (folder / name).mkdir(parents=True)
    for number, (image, mask) in enumerate(zip(images, truth, strict=True), start=1):
        tifffile.imwrite(folder / name / f"{name}_{number}.tif", image)
        tifffile.imwrite(folder / name / f"{name}_{number}_mask.tif", mask.astype(np.uint8) * 255)
    return folder / name


@pytest.fixture
def draw() -> Callable[..., tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    return draw_case


@pytest.fixture
def write() -> Callable[[Path, str, int], Path]:
    return write_case


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """Six patients of two sites in the LGG layout; a test may change it."""
    for number in range(6):
        write_case(tmp_path / "heads", f"TCGA_{('CS', 'DU')[number % 2]}_{4000 + number}_19990101", number)
    return tmp_path / "heads"


@pytest.fixture(scope="session")
def still_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same set for tests that only read."""
    folder = tmp_path_factory.mktemp("set") / "heads"
    for number in range(6):
        write_case(folder, f"TCGA_{('CS', 'DU')[number % 2]}_{4000 + number}_19990101", number)
    return folder
