"""Any real values become 8 bit, alike however they were stored."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from core.preprocess import intensity
from core.preprocess.intensity import FOREGROUND_TOP, to_uint8, to_uint8_by


def head(slices: int = 4, size: int = 64) -> NDArray[np.float64]:
    """(S, 1, H, W): noisy air around tissue of three kinds, in 0 to 255."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.hypot(x / 0.7, y / 0.85)
    picture = np.where(radius < 1, 90.0, 4.0)
    picture[radius < 0.8] = 110.0
    picture[radius < 0.25] = 30.0
    picture[np.hypot(x - 0.3, y - 0.3) < 0.12] = 170.0
    values = picture + rng.normal(0, 3, (slices, size, size))
    return np.clip(values, 0, 255)[:, None]


def codes(notes: tuple[Any, ...]) -> list[str]:
    return [note.code for note in notes]


def test_8_bit_stays_as_it_is() -> None:
    voxels = head().astype(np.uint8)
    images, ranges, notes = to_uint8(voxels)
    assert images is voxels
    assert [asdict(range_) for range_ in ranges] == [
        {"low": 0.0, "high": 255.0, "scaled": False, "centre": None, "spread": None}
    ]
    assert notes == ()


def test_bool_becomes_black_and_white() -> None:
    voxels = head() > 60
    images, ranges, notes = to_uint8(voxels)
    assert np.array_equal(images, np.where(voxels, 255, 0))
    assert (ranges[0].low, ranges[0].high, ranges[0].scaled) == (0.0, 1.0, True)
    assert notes == ()


@pytest.mark.parametrize("dtype", ["u2", "i2", ">u2", ">i2", "u4", "i4", "u8", "i8", "f2", "f4", ">f4", "f8", "g"])
def test_every_type_gives_nearly_the_same_picture_as_8_bit(dtype: str) -> None:
    voxels = head().astype(np.uint8)
    images, ranges, notes = to_uint8(voxels.astype(dtype))
    assert images.dtype == np.uint8
    assert images.shape == voxels.shape
    assert np.abs(images.astype(int) - voxels).mean() < 4
    assert np.corrcoef(images.ravel(), voxels.ravel())[0, 1] > 0.999
    assert notes == ()
    json.dumps(asdict(ranges[0]), allow_nan=False)


def test_signed_8_bit_is_scaled() -> None:
    voxels = head()
    images, ranges, _ = to_uint8((voxels / 2 - 64).astype(np.int8))
    assert ranges[0].scaled
    assert ranges[0].low == pytest.approx(-64, abs=1)
    assert np.corrcoef(images.ravel(), voxels.ravel())[0, 1] > 0.999


@given(slope=st.floats(1e-3, 1e6), offset=st.floats(-1e4, 1e4))
@settings(max_examples=30)
def test_gain_and_offset_of_a_volume_do_not_matter(slope: float, offset: float) -> None:
    expected, _, _ = to_uint8(head())
    images, _, _ = to_uint8(head() * slope + offset * slope)
    assert np.abs(images.astype(int) - expected).max() <= 1


def test_a_rescaled_16_bit_volume_gives_the_same_picture() -> None:
    stored = (head() * 40).astype(np.int16)
    plain, _, _ = to_uint8(stored)
    rescaled, _, _ = to_uint8(stored.astype(np.float32) * np.float32(0.37) - np.float32(12))
    assert np.abs(plain.astype(int) - rescaled).max() <= 1


def test_the_range_is_that_of_air_and_foreground() -> None:
    voxels = head() * 10
    images, (range_,), _ = to_uint8(voxels, (0.5, 99.5))
    foreground = voxels[voxels > 600]  # between fluid (300) and tissue (900), where any threshold would lie
    low, top = np.percentile(voxels, 0.5), np.percentile(foreground, 99.5)
    assert range_.low == pytest.approx(low)
    assert range_.low + (range_.high - range_.low) * FOREGROUND_TOP / 255 == pytest.approx(top, rel=1e-3)
    expected = np.rint(np.clip((voxels - range_.low) / (range_.high - range_.low), 0, 1) * 255)
    assert np.array_equal(images, expected)


def test_fluid_below_otsus_threshold_stays_apart_from_air() -> None:
    voxels = head()
    images, _, _ = to_uint8(voxels * 10)
    fluid, air = (voxels > 25) & (voxels < 40), voxels < 8
    assert images[fluid].min() > images[air].max() + 10


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_range_of_8_bit_slices_clips_what_goes_beyond_it_in_the_picture_too(dtype: str) -> None:
    _, ranges, _ = to_uint8(head().astype(np.uint8))
    wide = (head() * 8).astype(dtype)
    images, (found,), _ = to_uint8(wide, given=ranges)
    assert images.max() == 255
    np.testing.assert_array_equal(to_uint8_by(wide[:, 0], found), images[:, 0])


def test_one_scale_holds_for_all_slices_and_each_channel_has_its_own() -> None:
    voxels = np.concatenate([head() * 3, head() * 300 - 5000], axis=1)
    voxels[0, 0] /= 4
    images, ranges, _ = to_uint8(voxels)
    assert len(ranges) == 2
    assert ranges[1].high > 50 * ranges[0].high
    assert images[0, 0].max() < 0.4 * images[1, 0].max()
    assert np.abs(images[1:, 0].astype(int) - images[1:, 1]).mean() < 6


def test_a_hot_pixel_does_not_darken_the_rest() -> None:
    voxels = head()
    expected, _, _ = to_uint8(voxels)
    voxels[0, 0, 0, 0] = 1e30
    images, (range_,), _ = to_uint8(voxels)
    assert range_.high < 1e3
    assert np.abs(np.delete(images.ravel(), 0).astype(int) - np.delete(expected.ravel(), 0)).max() <= 2


@pytest.mark.parametrize("bright", [1, 16])  # fewer than a thousandth of the 4096 voxels, and fewer than five
def test_few_bright_voxels_are_the_foreground(bright: int) -> None:
    voxels = np.zeros((1, 1, 64, 64), np.int16)
    voxels.flat[1000 : 1000 + bright] = 700
    images, (range_,), _ = to_uint8(voxels)
    assert np.array_equal(images, np.where(voxels, FOREGROUND_TOP, 0))
    assert (range_.low, range_.high) == (0.0, pytest.approx(1050.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_become_dark_and_change_nothing_else(value: float) -> None:
    voxels = head()
    expected, _, _ = to_uint8(voxels)
    voxels[1, 0, 30:32, 30:32] = value
    images, (range_,), notes = to_uint8(voxels)
    assert np.all(images[1, 0, 30:32, 30:32] == 0)
    assert codes(notes) == ["values-not-finite"]
    images[1, 0, 30:32, 30:32] = expected[1, 0, 30:32, 30:32]
    assert np.abs(images.astype(int) - expected).max() <= 1
    assert np.isfinite([range_.low, range_.high]).all()


@pytest.mark.parametrize(("value", "expected"), [
    (np.nan, ["values-not-finite", "constant-image"]), (0.0, ["constant-image"]),
    (-3.5, ["constant-image"]), (1e308, ["constant-image"]),
])  # fmt: skip
def test_a_constant_volume_is_black_with_a_note(value: float, expected: list[str]) -> None:
    images, ranges, notes = to_uint8(np.full((2, 1, 5, 4), value))
    assert not images.any()
    assert codes(notes) == expected
    json.dumps(asdict(ranges[0]), allow_nan=False)


def test_a_constant_8_bit_volume_stays_with_a_note() -> None:
    images, _, notes = to_uint8(np.full((2, 1, 5, 4), 9, np.uint8))
    assert np.all(images == 9)
    assert codes(notes) == ["constant-image"]


def test_a_lone_slice_of_wide_values_is_noted() -> None:
    assert codes(to_uint8(head(1))[2]) == ["lone-slice-intensity"]
    assert codes(to_uint8(head(1).astype(np.uint8))[2]) == []
    assert codes(to_uint8(head(2))[2]) == []


@pytest.mark.parametrize("top", [1.7e308, np.finfo(np.float64).max])
def test_the_largest_doubles_do_not_overflow(top: float) -> None:
    voxels = (head() / 255 * 2 - 1) * top
    expected, _, _ = to_uint8(head())
    images, (range_,), notes = to_uint8(voxels)
    assert np.isfinite([range_.low, range_.high]).all()
    assert np.corrcoef(images.ravel(), expected.ravel())[0, 1] > 0.999
    assert notes == ()


def test_the_largest_integers_do_not_overflow() -> None:
    voxels = (head() / 255 * (2**64 - 2**12)).astype(np.uint64)
    expected, _, _ = to_uint8(head())
    assert np.abs(to_uint8(voxels)[0].astype(int) - expected).max() <= 1


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.uint32, np.int8, np.bool_]),
        hnp.array_shapes(min_dims=4, max_dims=4, max_side=4),
    )
)
def test_anything_is_answered_with_finite_ranges_and_as_many_bytes(voxels: NDArray[Any]) -> None:
    images, ranges, notes = to_uint8(voxels)
    assert images.dtype == np.uint8
    assert images.shape == voxels.shape
    assert len(ranges) == voxels.shape[1]
    assert all(np.isfinite([range_.low, range_.high]).all() for range_ in ranges)
    assert len(set(codes(notes))) == len(notes)


@given(hnp.arrays(np.float64, (2, 1, 3, 3), elements=st.floats(-1e6, 1e6)))
def test_brighter_never_becomes_darker(voxels: NDArray[np.float64]) -> None:
    images = to_uint8(voxels)[0].ravel()
    assert np.all(np.diff(images[np.argsort(voxels.ravel(), kind="stable")].astype(int)) >= 0)


def test_a_large_volume_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = head(8)
    expected, (whole,), _ = to_uint8(voxels)
    monkeypatch.setattr(intensity, "SAMPLE", voxels.size // 5)
    images, (sampled,), _ = to_uint8(voxels)
    assert sampled != whole
    assert np.abs(images.astype(int) - expected).max() <= 4


def test_the_sample_goes_on_from_slice_to_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensity, "SAMPLE", 10)
    volume = np.arange(6 * 5 * 4).reshape(6, 5, 4)
    sample = intensity._sample(volume)
    assert np.array_equal(sample, np.arange(0, 120, 13))


def test_memory_stays_a_small_multiple_of_the_volume() -> None:
    voxels = np.random.default_rng(0).integers(0, 4000, (40, 1, 256, 256)).astype(np.int16)
    tracemalloc.start()
    to_uint8(voxels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 14 * voxels.nbytes
