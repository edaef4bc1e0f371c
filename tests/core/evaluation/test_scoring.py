"""Measures of a patient against slow counts by hand, and against MONAI."""

from __future__ import annotations

import importlib.util
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.evaluation.head import find_head
from core.evaluation.metrics import METRICS
from core.evaluation.scoring import bin_probabilities, match_lesions, score_case, score_patient
from core.measure.surface import slice_surfaces
from core.scan import UNKNOWN_SPACING, Spacing

Mask = NDArray[np.bool_]


def blobs(seed: int, shape: tuple[int, int, int] = (4, 24, 24), share: float = 0.25) -> Mask:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), (0.4, 1.5, 1.5))
    return np.asarray(noise > np.quantile(noise, 1 - share))


def components(mask: Mask) -> list[set[tuple[int, ...]]]:
    """26-connected components by walking from voxel to voxel."""
    left = {tuple(map(int, voxel)) for voxel in np.argwhere(mask)}
    found = []
    while left:
        waiting, seen = [left.pop()], set()
        while waiting:
            voxel = waiting.pop()
            seen.add(voxel)
            for step in product((-1, 0, 1), repeat=3):
                other = tuple(a + b for a, b in zip(voxel, step, strict=True))
                if other in left:
                    left.remove(other)
                    waiting.append(other)
        found.append(seen)
    return found


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.02, 0.4))
def test_lesions_are_matched_as_a_walk_from_voxel_to_voxel_matches_them(a: int, b: int, share: float) -> None:
    truth, mask = blobs(a, (3, 12, 12), share), blobs(b, (3, 12, 12), share)
    match = match_lesions(truth, mask)
    true, predicted = components(truth), components(mask)
    voxels_true, voxels_found = set().union(*true), set().union(*predicted)
    assert match.true == len(true)
    assert match.found == sum(bool(lesion & voxels_found) for lesion in true)
    assert match.false == sum(not lesion & voxels_true for lesion in predicted)
    overlaps = [(len(lesion), sum(bool(lesion & other) for other in true)) for lesion in predicted]
    assert sorted((one.voxels, len(one.lesions)) for one in match.candidates) == sorted(overlaps)


def score(truth: Mask, mask: Mask, spacing: Spacing = UNKNOWN_SPACING, name: str = "a") -> dict[str, object]:
    probability = np.where(mask, 0.9, 0.1).astype(np.float32)
    head = np.ones(truth.shape, np.bool_)
    return score_patient("p", [score_case(name, truth, mask, probability, head, spacing_mm=spacing, seconds=2.0)])


def test_every_measure_of_a_small_case_is_what_one_counts_on_paper() -> None:
    truth, mask = np.zeros((4, 10, 10), np.bool_), np.zeros((4, 10, 10), np.bool_)
    truth[0, 1:3, 1:5] = True  # 8 voxels, found in half
    mask[0, 1:3, 3:7] = True
    truth[1, 8, 8] = True  # a slice missed; its lesion does not touch the first, which is far away
    mask[2, 5, 5:7] = True  # 2 false voxels on an empty slice
    row = score(truth, mask)
    assert row["dice"] == pytest.approx(2 * 4 / (9 + 10), abs=1e-6)
    assert row["tumour_slice_dice"] == pytest.approx((8 / 16 + 0) / 2)
    assert row["all_slice_dice"] == pytest.approx((8 / 16 + 0 + 0 + 1) / 4)
    assert (row["lesions_true"], row["lesions_found"], row["lesions_predicted"], row["lesions_false"]) == (2, 1, 2, 1)
    assert row["lesion_sensitivity"] == 0.5
    assert row["false_positives_per_scan"] == 1
    assert (row["slices_measured"], row["slices_without_distance"]) == (1, 2)
    assert row["hd95_px"] == pytest.approx(2.0)
    assert row["surface_dice_px"] == 1.0  # no surface pixel is more than two pixels off
    assert row["surface_dice_all_px"] == pytest.approx(1 / 3, abs=1e-6)  # and in two slices there is one outline alone
    assert row["volume_bias_voxels"] == 1
    assert row["false_area_px"] == 1.0  # 2 pixels on one of two empty slices
    assert row["calibration_error"] == pytest.approx(abs(10 * 0.9 - 4) / 400 + abs(390 * 0.1 - 5) / 400, abs=1e-6)
    assert row["seconds"] == 2.0
    for key in ("hd95_mm", "surface_dice_mm", "surface_dice_all_mm", "volume_bias_ml", "false_area_mm2", "true_ml"):
        assert row[key] is None


def test_known_spacing_gives_millimetres_and_millilitres() -> None:
    truth, mask = np.zeros((2, 20, 20), np.bool_), np.zeros((2, 20, 20), np.bool_)
    truth[0, 4:8, 4:8] = True
    mask[0, 4:8, 7:11] = True
    mask[1, 0, 0] = True
    row = score(truth, mask, (5.0, 2.0, 2.0))
    assert row["true_ml"] == pytest.approx(16 * 0.02)
    assert row["volume_bias_ml"] == pytest.approx(1 * 0.02)
    assert row["hd95_mm"] == pytest.approx(6.0)
    assert row["false_area_mm2"] == pytest.approx(4.0)
    assert row["hd95_px"] is None
    assert (row["surface_dice_all_mm"], row["surface_dice_all_px"]) == (row["surface_dice_mm"] / 2, None)
    in_plane = score(truth, mask, (None, 2.0, 2.0))
    assert in_plane["hd95_mm"] == pytest.approx(6.0)
    assert in_plane["volume_bias_ml"] is None
    assert in_plane["volume_bias_voxels"] == 1


def test_what_is_not_defined_is_none_and_two_empty_masks_agree() -> None:
    empty, some = np.zeros((2, 8, 8), np.bool_), np.zeros((2, 8, 8), np.bool_)
    some[:, 2:4, 2:4] = True
    nothing = score(empty, empty)
    assert (nothing["dice"], nothing["all_slice_dice"]) == (1, 1)
    for key in ("tumour_slice_dice", "lesion_sensitivity", "hd95_px", "surface_dice_px", "surface_dice_all_px"):
        assert nothing[key] is None
    missed = score(some, empty)
    assert (missed["dice"], missed["lesion_sensitivity"], missed["hd95_px"]) == (0, 0, None)
    assert missed["slices_without_distance"] == 2
    assert (missed["surface_dice_all_px"], missed["surface_dice_all_mm"]) == (0, None)
    assert score(some, empty, (5.0, 2.0, 2.0))["surface_dice_all_mm"] == 0
    assert missed["false_area_px"] is None


def test_cases_of_one_patient_are_gathered_before_anything_is_divided() -> None:
    truths, masks = [blobs(1), blobs(2, (2, 24, 24))], [blobs(3), blobs(4, (2, 24, 24))]
    parts = [
        score_case(str(number), truth, mask, mask.astype(np.float32), np.ones(mask.shape, np.bool_),
                   spacing_mm=UNKNOWN_SPACING)
        for number, (truth, mask) in enumerate(zip(truths, masks, strict=True))
    ]  # fmt: skip
    row = score_patient("p", parts)
    both = sum(int((a & b).sum()) for a, b in zip(truths, masks, strict=True))
    assert row["dice"] == pytest.approx(2 * both / sum(int(mask.sum()) for mask in [*truths, *masks]), abs=1e-6)
    assert row["cases"] == ["0", "1"]
    assert row["slices"] == 6
    assert row["false_positives_per_scan"] == row["lesions_false"] / 2
    whole = slice_surfaces(np.concatenate(truths), np.concatenate(masks), 2.0)
    assert row["hd95_px"] == pytest.approx(whole.hd95, abs=1e-6)
    assert row["surface_dice_px"] == pytest.approx(whole.surface_dice, abs=1e-6)


def test_visits_of_different_voxels_are_added_as_volumes() -> None:
    some, empty = np.zeros((2, 8, 8), np.bool_), np.zeros((2, 8, 8), np.bool_)
    some[:, 2:4, 2:4] = True
    head = np.ones(some.shape, np.bool_)
    coarse, fine = (
        score_case(name, some, mask, mask.astype(np.float32), head, spacing_mm=spacing)
        for name, mask, spacing in (("coarse", some, (5.0, 1.0, 1.0)), ("fine", empty, (1.0, 0.5, 0.5)))
    )
    row = score_patient("p", [coarse, fine])
    assert row["dice"] == pytest.approx(2 * row["found_ml"] / (row["found_ml"] + row["true_ml"]), abs=1e-6)
    assert row["dice"] > 0.97


def test_millimetres_and_pixels_of_one_patient_are_not_averaged() -> None:
    truth, mask = blobs(1), blobs(3)
    known, unknown = (
        score_case(name, truth, mask, mask.astype(np.float32), np.ones(mask.shape, np.bool_), spacing_mm=spacing)
        for name, spacing in (("known", (5.0, 2.0, 2.0)), ("unknown", UNKNOWN_SPACING))
    )
    assert score_patient("p", [known])["hd95_mm"] is not None
    assert score_patient("p", [unknown])["surface_dice_px"] is not None
    row = score_patient("p", [known, unknown])
    assert [row[f"{measure}_{unit}"] for measure in ("hd95", "surface_dice") for unit in ("mm", "px")] == [None] * 4


@pytest.mark.parametrize("seed", range(4))
def test_every_metric_of_the_table_is_in_a_patients_row(seed: int) -> None:
    row = score(blobs(seed), blobs(seed + 1))
    assert {metric.key for metric in METRICS} <= set(row)


def test_bins_hold_every_voxel_once_and_one_belongs_to_the_last() -> None:
    draw = np.random.default_rng(0)
    probability = np.concatenate([draw.random(5000), [0.0, 1.0, 0.1, 0.5]]).astype(np.float32)
    lesion = draw.random(len(probability)) < probability
    bins = bin_probabilities(probability, lesion)
    for index in range(10):
        low, high = np.float32(index) / np.float32(10), np.float32(index + 1) / np.float32(10)
        inside = (probability >= low) & ((probability < high) | (index == 9))
        assert abs(int(bins.voxels[index]) - int(inside.sum())) <= 1  # a value on an edge may round either way
    assert bins.voxels.sum() == len(probability)
    assert bins.lesion.sum() == lesion.sum()
    assert bins.probability.sum() == pytest.approx(float(probability.sum(dtype=np.float64)))
    assert bins.error is not None
    assert bins.error < 0.03
    assert bin_probabilities(probability[:0], lesion[:0]).error is None


MONAI = pytest.mark.skipif(importlib.util.find_spec("monai") is None, reason="MONAI is not installed")


@MONAI
@pytest.mark.parametrize("spacing", [None, (1.0, 1.0), (0.7, 1.9)])
def test_surface_measures_are_monais(spacing: tuple[float, float] | None) -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    compared = 0
    for seed in range(6):
        truth, mask = blobs(seed, (3, 40, 40), 0.15), blobs(seed + 50, (3, 40, 40), 0.15)
        ours = slice_surfaces(truth, mask, 2.0, spacing)
        hausdorff, shares = [], []
        for a, b in zip(truth, mask, strict=True):
            if not (a.any() and b.any()):
                continue
            pair = [torch.from_numpy(each[None, None].astype(np.float32)) for each in (b, a)]
            distance = metrics.compute_hausdorff_distance(
                *pair, include_background=True, percentile=95, spacing=spacing
            )
            share = metrics.compute_surface_dice(*pair, [2.0], include_background=True, spacing=spacing)
            hausdorff.append(float(distance))
            shares.append(float(share))
        compared += len(hausdorff)
        assert ours.hd95 == pytest.approx(np.mean(hausdorff), abs=1e-4)
        assert ours.surface_dice == pytest.approx(np.mean(shares), abs=1e-6)
    assert compared > 12


def test_the_head_holds_its_fluid_and_not_the_noise_around_it() -> None:
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128] - 64
    ellipse = (rows / 50) ** 2 + (columns / 40) ** 2 < 1
    volume = draw.rayleigh(4, (3, 128, 128))
    volume[0][ellipse] += 80
    volume[0][(rows**2 + columns**2) < 100] = 3  # a ventricle
    volume[1][ellipse & (rows < 0)] += 80
    head = find_head(volume.clip(0, 255).astype(np.uint8))
    assert np.count_nonzero(head[0] ^ ellipse) < 0.06 * ellipse.sum()
    assert head[0, 64, 64]
    assert np.count_nonzero(head[1] & (rows > 4)) == 0
    assert not head[2].any()
    assert not find_head(np.zeros((2, 16, 16), np.uint8)).any()


def test_real_lesions_lie_inside_the_head(lgg_root) -> None:  # type: ignore[no-untyped-def]
    from core.evaluation.cases import find_cases
    from core.evaluation.pictures import seen_picture
    from core.io import read_mask, read_scan

    for case in find_cases(lgg_root).cases[:2]:
        truth = read_mask(case.source)
        head = find_head(seen_picture(read_scan(case.source), ("flair",), None))
        assert np.count_nonzero(truth & ~head) < 0.01 * truth.sum()
        assert 0.2 < head[len(head) // 2].mean() < 0.85
