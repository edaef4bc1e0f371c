"""A small set of pairs in the LGG set's layout: noise with bright discs, which are the truth."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from core.model_card import PreprocessSettings


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients of six slices, 64×64; slices 1 and 6 without lesion."""
    root = tmp_path_factory.mktemp("discs")
    draw = np.random.default_rng(0)
    for number in range(10):
        case = f"TCGA_{('CS', 'DU')[number % 2]}_{4000 + number}_19990101"
        (root / case).mkdir()
        for slice_number in range(1, 7):
            truth = np.zeros((64, 64), np.uint8)
            if 1 < slice_number < 6:
                centre = tuple(int(value) for value in draw.integers(20, 44, 2))
                cv2.circle(truth, centre, int(draw.integers(5, 12)), 255, -1)
            flair = np.clip(draw.normal(70, 12, (64, 64)) + (truth > 0) * 90, 0, 255).astype(np.uint8)
            image = np.stack([flair // 2, flair, flair // 3], axis=-1)
            tifffile.imwrite(root / case / f"{case}_{slice_number}.tif", image, photometric="rgb")
            tifffile.imwrite(root / case / f"{case}_{slice_number}_mask.tif", truth)
    return root


@pytest.fixture(scope="session")
def small_preprocessing() -> PreprocessSettings:
    return PreprocessSettings(size=64)
