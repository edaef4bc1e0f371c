import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model_store import load_card
from core.scan import SLICE_GAP, Lesion, Note, Scan
from desktop.session.results import (
    Result,
    best_slice,
    find,
    load_result,
    mask_hash,
    pack_mask,
    result_key,
    save_result,
    slice_of,
    trim_results,
    unpack_mask,
)


def some_result(seed: int = 0) -> Result:
    probability = np.random.default_rng(seed).random((3, 9, 7), np.float32)
    return Result(probability, (Note("code", "a sentence"),), {"seconds": {"network": 1.5}})


def test_a_kept_result_comes_back_as_it_was(tmp_path: Path) -> None:
    result = some_result()
    save_result(tmp_path / "new", "key", result)
    again = load_result(tmp_path / "new", "key")
    assert np.array_equal(again.probability, result.probability)
    assert (again.warnings, again.manifest) == (result.warnings, result.manifest)
    assert load_result(tmp_path, "other") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no more", b"\x93NUMPY"])
def test_a_damaged_result_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.npz").write_bytes(content)
    assert load_result(tmp_path, "key") is None


def test_a_result_cut_off_anywhere_counts_as_none(tmp_path: Path) -> None:
    save_result(tmp_path, "key", some_result())
    content = (tmp_path / "key.npz").read_bytes()
    for size in range(0, len(content), 97):
        (tmp_path / "key.npz").write_bytes(content[:size])
        assert load_result(tmp_path, "key") is None


def test_the_key_depends_on_all_that_the_result_depends_on(tiny_models: dict[str, Path]) -> None:
    first, second = (load_card(folder) for folder in tiny_models.values())
    keys = {
        result_key("a", first, None, "auto"),
        result_key("b", first, None, "auto"),
        result_key("a", second, None, "auto"),
        result_key("a", first, "1", "auto"),
        result_key("a", first, None, "fp32"),
        result_key("a", replace(first, temperature=2.0), None, "auto"),
        result_key("a", replace(first, neighbours=0.2), None, "auto"),
        result_key("a", replace(first, preprocessing=replace(first.preprocessing, shrink=2)), None, "auto"),
        result_key("a", first, None, "auto", [Note(SLICE_GAP, "slices are missing")]),
    }
    assert len(keys) == 9
    assert result_key("a", first, None, "auto", [Note("missing-masks", "no matter")]) in keys


def test_what_was_not_looked_at_for_longest_goes_first(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / f"{name}.npz").write_bytes(b"x" * 100)
        os.utime(tmp_path / f"{name}.npz", (1e9 - age, 1e9 - age))
    trim_results(tmp_path, keep_bytes=250)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["middle", "new"]


@given(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_a_packed_mask_comes_back_as_it_was(slices: int, height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((slices, height, width)) < 0.3
    assert np.array_equal(unpack_mask(pack_mask(mask), mask.shape), mask)


@pytest.mark.parametrize("content", [b"", b"nonsense", pack_mask(np.zeros((1, 2, 2), bool))])
def test_a_damaged_mask_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="packed mask"):
        unpack_mask(content, (5, 9, 9))


def test_masks_of_other_voxels_or_shapes_have_other_hashes() -> None:
    mask = np.zeros((2, 4, 4), bool)
    other = mask.copy()
    other[1, 3, 3] = True
    assert len({mask_hash(mask), mask_hash(other), mask_hash(mask.reshape(4, 2, 4))}) == 3


def test_the_threshold_is_included_as_in_the_predictor() -> None:
    probability = np.zeros((1, 4, 4), np.float32)
    probability[0, 1, 1], probability[0, 2, 2] = np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(0))
    found = find(Result(probability, (), {}), 0.3, Scan("case", probability[:, None]))
    assert (found.mask.sum(), found.mask[0, 1, 1], found.summary.lesions) == (1, True, 1)


def test_the_best_slice_is_the_one_with_most_lesion_else_the_middle() -> None:
    mask = np.zeros((5, 4, 4), bool)
    assert best_slice(mask) == 2
    mask[1, 0, 0], mask[3, :2, :2] = True, True
    assert best_slice(mask) == 3
    lesion = Lesion(1, 5, (1, 3), ((1, 3), (0, 1), (0, 1)), (2.0, 0.5, 0.5), 2.0)
    assert slice_of(lesion.box, mask) == 3


def test_lesions_end_where_slices_are_missing_and_have_no_volume_where_they_are_uneven() -> None:
    probability = np.ones((2, 4, 4), np.float32)
    voxels, known = np.zeros((2, 1, 4, 4), np.uint8), (5.0, 1.0, 1.0)
    result = Result(probability, (), {})
    (whole,) = find(result, 0.5, Scan("a", voxels, known)).lesions
    assert (whole.slices, whole.volume_ml) == ((0, 1), 0.16)
    assert len(find(result, 0.5, Scan("a", voxels, known, notes=(Note(SLICE_GAP, "a gap"),))).lesions) == 2
    (uneven,) = find(result, 0.5, Scan("a", voxels, known, slice_positions_mm=(0.0, 7.0))).lesions
    assert uneven.volume_ml is None
