from __future__ import annotations

import numpy as np
import pytest

from core.batch.sheet import COLUMNS, EMPTY_SLICES, LONE_PX, MOST_SLICES, choose_slices, scan_sheet
from core.overlay import draw_overlay
from core.preprocess.intensity import IntensityRange
from core.scan import Scan


def volume(slices: int, height: int = 32, width: int = 32) -> tuple[np.ndarray, np.ndarray]:
    images = np.full((slices, height, width), 90, np.uint8)
    return images, np.zeros((slices, height, width), np.bool_)


def sheet_of(images: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return scan_sheet(Scan("case", images[:, None]), images, IntensityRange(0, 255, False), mask)


def test_slices_with_lesion_in_mask_or_truth_are_shown_in_order() -> None:
    _, mask = volume(9)
    truth = mask.copy()
    mask[[2, 6], 4, 4] = True
    truth[3, 4, 4] = True
    assert choose_slices(mask, truth) == [2, 3, 6]


def test_where_nothing_was_found_a_few_slices_from_all_over_show_it() -> None:
    _, mask = volume(60)
    chosen = choose_slices(mask)
    assert len(chosen) == EMPTY_SLICES
    assert np.diff(chosen).min() == np.diff(chosen).max() == 60 // EMPTY_SLICES
    assert choose_slices(volume(2)[1]) == [0, 1]


def test_many_slices_are_thinned_but_the_first_and_last_stay() -> None:
    _, mask = volume(200)
    mask[10:190, 3, 3] = True
    chosen = choose_slices(mask)
    assert len(chosen) == len(set(chosen)) == MOST_SLICES
    assert (chosen[0], chosen[-1]) == (10, 189)


def test_a_lone_slice_is_drawn_as_every_face_draws_it() -> None:
    images, mask = volume(1)
    mask[0, 5:9, 6:12] = True
    np.testing.assert_array_equal(sheet_of(images, mask), draw_overlay(images[0], mask[0]))


def test_slices_bear_the_same_numbers_however_they_are_stored() -> None:
    images, mask = volume(9)
    mask[2:4, 5:9, 6:12] = True
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    down = affine.copy()
    down[2, 2:] = -5.0, 40.0
    sheets = []
    for values, found, lies in ((images, mask, affine), (images[::-1], mask[::-1], down)):
        scan = Scan("case", values[:, None], spacing_mm=(5.0, 1.0, 1.0), affine=lies)
        sheets.append(scan_sheet(scan, values, IntensityRange(0, 255, False), found))
    np.testing.assert_array_equal(*sheets)


def test_a_large_picture_is_shrunk_and_a_single_pixel_of_lesion_still_shows() -> None:
    images, mask = volume(1, 3000, 1500)
    mask[0, 1717, 333] = True
    sheet = sheet_of(images, mask)
    assert sheet.shape == (LONE_PX, LONE_PX // 2, 3)
    coloured = np.argwhere((sheet != sheet[..., :1]).any(axis=2))
    assert len(coloured)
    np.testing.assert_allclose(coloured.mean(axis=0), np.array([1717, 333]) * LONE_PX / 3000, atol=1.5)


@pytest.mark.parametrize("found", [1, COLUMNS, COLUMNS + 1])
def test_a_sheet_has_room_for_each_slice(found: int) -> None:
    images, mask = volume(12)
    mask[:found, 4:8, 4:8] = True
    sheet = sheet_of(images, mask)
    amber = (sheet[..., 0].astype(int) - sheet[..., 2]) > 40
    # Each slice's lesion is drawn once: 16 pixels of it in every tile.
    assert amber.sum() == 16 * found


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 1)])
def test_tiny_pictures_are_drawn_too(shape: tuple[int, int]) -> None:
    images, mask = volume(3, *shape)
    mask[1] = True
    assert sheet_of(images, mask).dtype == np.uint8


@pytest.mark.parametrize("column_mm", [0.001, 1e-30, 1e30])
def test_a_spacing_that_must_be_wrong_makes_no_huge_sheet(column_mm: float) -> None:
    images, mask = volume(3, 200, 180)
    scan = Scan("case", images[:, None], spacing_mm=(3.0, 1.0, column_mm))
    sheet = scan_sheet(scan, images, IntensityRange(0, 255, False), mask)
    assert max(sheet.shape) <= COLUMNS * LONE_PX
