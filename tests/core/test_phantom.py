"""Phantoms: the same for everybody, with masks that fit, and of the make of real FLAIR slices."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from core.errors import OutputError
from core.io import find_scans, read_mask, read_scan
from core.phantom import make_phantom, write_phantom_case
from core.phantom.fields import blur, smooth_field
from tests.core.slice_statistics import REAL_SLICES, measure_slice

SEEDS = (1, 2, 3, 5, 8, 13)


@pytest.fixture(scope="module")
def phantoms() -> list[tuple[np.ndarray, np.ndarray]]:
    made = [make_phantom(seed, slices=6) for seed in SEEDS]
    return [(scan.voxels[:, 0], mask) for scan, mask in made]


def medians(slices: list[dict[str, float]]) -> dict[str, float]:
    names = {name for figures in slices for name in figures}
    return {name: float(np.median([figures[name] for figures in slices if name in figures])) for name in names}


def test_a_phantom_is_a_scan_with_what_is_known_of_it() -> None:
    scan, mask = make_phantom(4, slices=3)
    assert scan.voxels.shape == (3, 1, 256, 256)
    assert scan.voxels.dtype == np.uint8
    assert (mask.shape, mask.dtype) == (scan.shape, np.bool_)
    assert scan.spacing_mm == (5.0, 0.9, 0.9)
    assert not scan.orientation_known
    assert scan.slice_names == ("PHANTOM_0004_1", "PHANTOM_0004_2", "PHANTOM_0004_3")
    assert [note.code for note in scan.notes] == ["phantom"]


def test_a_seed_always_gives_the_same_phantom_and_another_seed_another() -> None:
    (first, first_mask), (again, again_mask) = make_phantom(7, slices=2), make_phantom(7, slices=2)
    np.testing.assert_array_equal(first.voxels, again.voxels)
    np.testing.assert_array_equal(first_mask, again_mask)
    assert not np.array_equal(first.voxels, make_phantom(8, slices=2)[0].voxels)


def test_a_seed_gives_the_same_head_on_every_platform() -> None:
    # Coarse figures, for another libm or BLAS may move a single pixel by one grey level.
    scan, mask = make_phantom(7, slices=2)
    assert scan.voxels.mean() == pytest.approx(18.206, abs=0.02)
    assert np.count_nonzero(mask) == pytest.approx(4814, abs=3)


@pytest.mark.parametrize(("slices", "size"), [(1, 32), (1, 65), (2, 100), (30, 48)])
def test_any_number_of_slices_and_any_size_can_be_made(slices: int, size: int) -> None:
    scan, mask = make_phantom(11, slices, size)
    assert scan.shape == mask.shape == (slices, size, size)
    assert mask.any()
    assert scan.spacing_mm[0] * (slices - 1) <= 62.0  # type: ignore[operator]


@pytest.mark.parametrize("arguments", [(-1, 2, 64), (1, 0, 64), (1, 2, 31)])
def test_arguments_without_sense_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make_phantom(*arguments)


def test_every_phantom_has_one_to_four_lesions_and_over_the_seeds_all_four_counts_occur() -> None:
    counts = {ndimage.label(make_phantom(seed, 8, 48)[1], np.ones((3, 3, 3)))[1] for seed in range(30)}
    assert counts == {1, 2, 3, 4}


def test_lesions_lie_inside_the_head_away_from_the_scalp(phantoms: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for pictures, mask in phantoms:
        for picture, lesion in zip(pictures, mask, strict=True):
            above = (cv2.GaussianBlur(picture, (0, 0), 2) > 15).astype(np.uint8)
            head = ndimage.binary_fill_holes(cv2.morphologyEx(above, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)))
            depth = cv2.distanceTransform(head.astype(np.uint8), cv2.DIST_L2, 5)
            assert not lesion.any() or depth[lesion].min() > 6


def test_masks_lie_on_what_is_bright(phantoms: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for pictures, mask in phantoms:
        index = int(mask.sum(axis=(1, 2)).argmax())
        picture, lesion = pictures[index].astype(float), mask[index]
        near = ndimage.binary_dilation(lesion, iterations=8) & ~ndimage.binary_dilation(lesion, iterations=3)
        moved = np.roll(lesion, 25, axis=1)
        inside = picture[ndimage.binary_erosion(lesion, iterations=2)]
        assert np.median(inside) > 1.08 * np.median(picture[near])
        assert picture[lesion].mean() > picture[moved].mean()


def test_lesions_and_outlines_go_on_from_slice_to_slice(phantoms: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for pictures, mask in phantoms:
        largest = int(mask.sum(axis=(1, 2)).argmax())
        beside = mask[max(largest - 1, 0) : largest + 2].any(axis=(1, 2))
        assert beside.sum() >= 2
        near, far = (np.abs(pictures[0].astype(float) - pictures[other]).mean() for other in (1, 5))
        assert near < far


def test_figures_fall_among_those_of_real_slices() -> None:
    figures = []
    for seed in range(100, 110):
        scan, mask = make_phantom(seed, slices=6)
        figures += [measure_slice(scan.voxels[index, 0], mask[index]) for index in (1, 4)]
    found = medians(figures)
    assert found.keys() == REAL_SLICES.keys()
    outside = {
        name: value for name, value in found.items() if not REAL_SLICES[name][0] <= value <= REAL_SLICES[name][4]
    }
    assert outside == {}
    usual = [name for name, value in found.items() if REAL_SLICES[name][1] <= value <= REAL_SLICES[name][3]]
    assert len(usual) >= 0.8 * len(found)


def test_real_slices_have_the_figures_that_phantoms_are_held_against(lgg_root: Path) -> None:
    figures = []
    for source in [source for source in find_scans(lgg_root) if source.has_truth][:12]:
        picture, mask = read_scan(source).voxels[:, 1], read_mask(source)
        with_lesion = np.flatnonzero(mask.sum(axis=(1, 2)) > 400)
        if with_lesion.size:
            index = with_lesion[with_lesion.size // 2]
            figures.append(measure_slice(picture[index], mask[index]))
    outside = [n for n, value in medians(figures).items() if not REAL_SLICES[n][0] <= value <= REAL_SLICES[n][4]]
    assert outside == []


def test_measuring_sees_a_phantom_that_is_too_smooth_or_too_bright() -> None:
    scan, mask = make_phantom(100, slices=1)
    picture = scan.voxels[0, 0]
    figures = measure_slice(picture, mask[0])
    assert measure_slice(cv2.GaussianBlur(picture, (0, 0), 2), mask[0])["slope_90"] < 0.7 * figures["slope_90"]
    brighter = np.clip(picture.astype(float) * 2, 0, 255).astype(np.uint8)
    assert measure_slice(brighter, mask[0])["tissue_median"] == 2 * figures["tissue_median"]


def test_a_written_case_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    scan, mask = make_phantom(6, slices=3, size=64)
    folder = write_phantom_case(6, tmp_path, slices=3, size=64)
    assert folder == tmp_path / "PHANTOM_0006"
    assert sorted(path.name for path in folder.iterdir())[:2] == ["PHANTOM_0006_1.tif", "PHANTOM_0006_1_mask.tif"]
    (source,) = find_scans(tmp_path)
    assert source.name == scan.name
    np.testing.assert_array_equal(read_scan(source).voxels, scan.voxels)
    np.testing.assert_array_equal(read_mask(source), mask)
    assert set(np.unique(tifffile.imread(folder / "PHANTOM_0006_2_mask.tif"))) <= {0, 255}


def test_a_case_that_is_there_already_is_left_alone_and_a_changed_file_is_made_good(tmp_path: Path) -> None:
    folder = write_phantom_case(6, tmp_path, slices=2, size=64)
    kept, damaged = folder / "PHANTOM_0006_1.tif", folder / "PHANTOM_0006_2.tif"
    before, content = kept.stat().st_mtime_ns, damaged.read_bytes()
    damaged.write_bytes(b"")
    write_phantom_case(6, tmp_path, slices=2, size=64)
    assert kept.stat().st_mtime_ns == before
    assert damaged.read_bytes() == content


def test_a_shorter_stack_leaves_no_slice_of_a_longer_one(tmp_path: Path) -> None:
    write_phantom_case(6, tmp_path, slices=3, size=32)
    folder = write_phantom_case(6, tmp_path, slices=1, size=32)
    assert sorted(path.name for path in folder.iterdir()) == ["PHANTOM_0006_1.tif", "PHANTOM_0006_1_mask.tif"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write_phantom_case(1, tmp_path / "file", slices=1, size=32)


def test_a_smooth_field_is_the_same_on_a_grid_and_point_by_point_and_repeats() -> None:
    field = smooth_field(np.random.default_rng(0), (5.0, 4.0, 3.0), (40.0, 40.0, 30.0))
    rows, columns = np.linspace(-9, 50, 23), np.linspace(-20, 70, 31)
    everywhere = field.at(3.3, *np.meshgrid(rows, columns, indexing="ij"))
    np.testing.assert_allclose(field.grid(3.3, rows, columns), everywhere, atol=1e-12)
    np.testing.assert_allclose(field.grid(43.3, rows + 40, columns - 30), everywhere, atol=1e-9)
    wide = smooth_field(np.random.default_rng(1), (1.0, 1.0, 1.0), (8.0, 300.0, 300.0))
    values = wide.grid(0.5, np.arange(0, 300, 0.7), np.arange(0, 300, 0.7))
    assert values.std() == pytest.approx(1.0, abs=0.1)


def test_blur_keeps_the_mean_of_a_flat_picture_and_spreads_a_point_as_a_gaussian() -> None:
    np.testing.assert_allclose(blur(np.full((9, 7), 3.0), 0.8), 3.0)
    point = np.zeros((31, 31))
    point[15, 15] = 1.0
    spread = blur(point, 1.5)
    offsets = np.arange(31) - 15
    assert (spread.sum(axis=1) * offsets**2).sum() == pytest.approx(1.5**2, rel=0.01)
