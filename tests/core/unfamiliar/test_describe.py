"""A slice's description does not depend on its size, its grey scale or the air around the head."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from core.phantom import make_phantom
from core.unfamiliar.describe import FEATURES, describe

PICTURE: NDArray[np.uint8] = make_phantom(3, slices=1)[0].voxels[:, 0]  # (1, 256, 256)


def named(images: NDArray[np.uint8]) -> dict[str, float]:
    return dict(zip(FEATURES, describe(images)[0].tolist(), strict=True))


def test_every_feature_has_a_name_and_a_finite_value() -> None:
    row = describe(PICTURE)
    assert row.shape == (1, len(FEATURES))
    assert len(set(FEATURES)) == len(FEATURES)
    assert np.isfinite(row).all()


def test_a_slice_is_described_alone() -> None:
    stack = make_phantom(4, slices=3)[0].voxels[:, 0]
    assert np.array_equal(describe(stack)[1], describe(stack[1:2])[0])


def test_half_as_bright_and_twice_as_large_is_the_same_slice() -> None:
    plain = describe(PICTURE)[0]
    darker = describe((PICTURE // 2).astype(np.uint8))[0]
    larger = describe(np.repeat(np.repeat(PICTURE, 2, axis=1), 2, axis=2))[0]
    assert np.abs(darker - plain).max() < 0.25
    assert np.abs(larger - plain).max() < 0.05


def test_blackened_air_changes_little() -> None:
    head = cv2.GaussianBlur(PICTURE[0], (0, 0), 2) > 25
    blackened = np.where(head, PICTURE[0], 0).astype(np.uint8)[None]
    assert np.abs(describe(blackened)[0] - describe(PICTURE)[0]).max() < 0.25


def test_features_mean_what_they_are_called() -> None:
    rows, columns = np.mgrid[0:128, 0:128] - 63.5
    ellipse = ((columns / 30) ** 2 + (rows / 50) ** 2 < 1) * np.uint8(200)
    plain = named(ellipse[None].astype(np.uint8))
    assert plain["area"] == pytest.approx(np.log(np.pi * 30 * 50 / 128**2), abs=0.1)
    ring = np.where(((columns / 22) ** 2 + (rows / 42) ** 2) < 1, ellipse // 2, ellipse)
    assert named(ring[None])["layer1"] > named(ring[None])["layer5"] + 0.5
    one_sided = np.where(columns > 0, ellipse // 2 + 20, ellipse).astype(np.uint8)
    assert named(one_sided[None])["mirror"] < 0 < named(one_sided[None])["upside"]
    noise = np.random.default_rng(0).integers(0, 256, (1, 128, 128)).astype(np.uint8)
    assert named(noise)["grain"] < plain["grain"]
    assert named(noise)["structure"] < named(PICTURE)["structure"] - 1


def test_a_black_slice_and_a_small_spot_are_passed_over() -> None:
    spot = np.zeros((1, 64, 64), np.uint8)
    assert np.isnan(describe(spot)).all()
    spot[0, 20:30, 20:30] = 90
    assert np.isnan(describe(spot)).all()


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 300))))
def test_any_slice_is_described_or_passed_over_and_never_half(images: NDArray[np.uint8]) -> None:
    rows = describe(images)
    assert rows.shape == (len(images), len(FEATURES))
    assert (np.isfinite(rows).all(axis=1) | np.isnan(rows).all(axis=1)).all()
