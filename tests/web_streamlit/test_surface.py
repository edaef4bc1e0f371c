"""Surfaces are closed, lie where the lesions lie, and mirror nothing."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from web_streamlit.surface import extract_surface


def ball(radius: float, side: int = 24) -> np.ndarray:
    """Falls from its middle outwards; 0.5 at the radius."""
    places = np.indices((side,) * 3) - (side - 1) / 2
    return (0.5 + 0.1 * (radius - np.sqrt((places**2).sum(axis=0)))).astype(np.float32)


def volume_of(points: np.ndarray, triangles: np.ndarray) -> float:
    """Signed: positive where all triangles turn the same way round, seen from outside."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    return float(np.einsum("ni,ni->n", a, np.cross(b, c)).sum() / 6)


def test_a_ball_has_its_volume_and_every_point_at_its_radius() -> None:
    points, triangles = extract_surface(ball(8.0), 0.5)
    distances = np.linalg.norm(points - 11.5, axis=1)
    np.testing.assert_allclose(distances, 8.0, atol=0.15)
    assert abs(volume_of(points, triangles)) == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.02)


def test_every_edge_is_shared_by_two_triangles_that_turn_alike() -> None:
    field = np.random.default_rng(2).random((6, 7, 8)).astype(np.float32)
    field[3:5] = np.minimum(field[3:5], 0.4)
    for level, values in ((0.5, ball(5.0)), (0.93, field)):
        points, triangles = extract_surface(values, level)
        assert len(points) > 0
        sides = Counter(tuple(side) for side in triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).tolist())
        assert all(sides[a, b] == sides[b, a] for a, b in sides)


def test_what_fills_the_field_is_closed_at_its_border() -> None:
    points, triangles = extract_surface(np.ones((4, 5, 6), np.float32), 0.5)
    assert points.min() >= -1.0
    assert 3 * 4 * 5 < abs(volume_of(points, triangles)) < 4 * 5 * 6  # beyond its voxels' middles, not their edges


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_axes_are_not_exchanged(order: tuple[int, int, int]) -> None:
    box = np.zeros((20, 20, 20), np.float32)
    box[2:4, 5:10, 6:17] = 1.0
    points, _ = extract_surface(box.transpose(order), 0.5)
    low, high = np.array([2, 5, 6])[list(order)], np.array([3, 9, 16])[list(order)]
    np.testing.assert_allclose(points.min(axis=0), low - 0.5)
    np.testing.assert_allclose(points.max(axis=0), high + 0.5)
