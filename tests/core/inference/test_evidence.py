"""A slice's neighbours weigh in where they are known to be its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.special import expit, logit

from core.inference import Predictor
from core.inference.evidence import CERTAIN, weigh
from core.model_card import PreprocessSettings
from core.scan import GEOMETRY_MISSING, SLICE_GAP, Note, Scan

Make = Callable[..., Predictor]


@pytest.fixture(scope="module")
def ready(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Predictors of the same weights and different cards."""
    folder = tmp_path_factory.mktemp("models")

    def make(neighbours: float, temperature: float = 1.0) -> Predictor:
        settings = PreprocessSettings(grid="native")
        model = make_model(
            folder / f"{neighbours} {temperature}", preprocessing=settings, neighbours=neighbours,
            temperature=temperature,
        )  # fmt: skip
        return Predictor(model, "cpu", "fp32", batch=2)

    return make


def noise(*shape: int) -> NDArray[np.uint8]:
    slices, height, width = shape
    return np.random.default_rng(0).integers(0, 256, (slices, 1, height, width), np.uint8)


def evened(probability: NDArray[np.float32], axis: int, weight: float) -> NDArray[np.float64]:
    """The same by somebody else's filter."""
    logits = logit(probability.astype(np.float64))
    held = np.clip(logits, -CERTAIN, CERTAIN)
    return logits + convolve1d(held, [weight, -2 * weight, weight], axis=axis, mode="nearest")


@pytest.mark.parametrize("slices", [2, 5])
def test_a_slices_logits_are_averaged_with_its_neighbours(ready: Make, slices: int) -> None:
    scan = Scan("case", noise(slices, 40, 56))
    plain, weighed = (ready(weight).segment(scan) for weight in (0.0, 0.2))
    np.testing.assert_allclose(weighed.probability, expit(evened(plain.probability, 0, 0.2)), atol=1e-6)
    assert np.abs(weighed.probability - plain.probability).max() > 0.05
    np.testing.assert_array_equal(weighed.mask, weighed.probability >= 0.5)
    assert sum(lesion.voxels for lesion in weighed.lesions) == weighed.mask.sum()
    assert weighed.manifest["model"]["neighbours"] == 0.2


def test_the_temperature_comes_after_the_neighbours(ready: Make) -> None:
    scan = Scan("case", noise(4, 40, 56))
    plain, weighed = ready(0.0).segment(scan), ready(0.2, 1.6).segment(scan)
    np.testing.assert_allclose(weighed.probability, expit(evened(plain.probability, 0, 0.2) / 1.6), atol=1e-6)


def test_neighbours_are_those_of_the_plane_that_the_model_sees(ready: Make) -> None:
    turned = np.array(
        [[1, 0, 0, 0], [0, 0, 1, 0], [0, 6, 0, 0], [0, 0, 0, 1.0]]
    )  # stored coronally, 6 mm from foot to head
    scan = Scan("case", noise(32, 6, 40), spacing_mm=(1, 6, 1), affine=turned)
    plain, weighed = (ready(weight).segment(scan) for weight in (0.0, 0.2))
    assert weighed.manifest["plane"]["view"] == "axial"
    assert weighed.manifest["plane"]["axes"][0] == 1
    np.testing.assert_allclose(weighed.probability, expit(evened(plain.probability, 1, 0.2)), atol=1e-6)


@pytest.mark.parametrize(
    ("slices", "notes"), [(1, ()), (4, (Note(SLICE_GAP, "a gap"),)), (4, (Note(GEOMETRY_MISSING, "no geometry"),))]
)
def test_a_slice_that_may_have_no_neighbours_is_left_to_itself(ready: Make, slices: int, notes: Any) -> None:
    scan = Scan("case", noise(slices, 40, 56), notes=notes)
    plain, weighed = (ready(weight).segment(scan) for weight in (0.0, 0.2))
    assert weighed.probability.tobytes() == plain.probability.tobytes()


def test_what_is_certain_stays_it() -> None:
    probability = np.array([[1.0, 0.0, 1e-6], [0.3, 0.9, 1e-6], [1.0, 0.0, 1e-6]], np.float32)[:, None]
    weigh(probability, 0.2, 1.0)
    np.testing.assert_array_equal(probability[[0, 2], 0, :2], [[1, 0], [1, 0]])
    np.testing.assert_allclose(probability[..., 2], 1e-6, rtol=1e-3)


@pytest.mark.parametrize(("sure", "stays"), [(0.6, False), (0.9, False), (0.999, True), (1.0, True)])
def test_a_find_on_one_slice_that_its_neighbours_deny_must_be_sure(sure: float, stays: bool) -> None:
    probability = np.array([0.001, sure, 0.0], np.float32).reshape(3, 1, 1)
    weigh(probability, 0.2, 1.0)
    assert np.isfinite(probability).all()
    np.testing.assert_array_equal(probability[:, 0, 0] >= 0.5, [False, stays, False])


def test_a_case_finished_again_with_another_threshold_keeps_its_probability(ready: Make) -> None:
    predictor, scan = ready(0.2, 1.6), Scan("case", noise(3, 40, 56))
    case = predictor.begin(scan)
    while not case.complete:
        predictor.advance([case])
    first = predictor.finish(case).probability.tobytes()
    again = predictor.finish(replace(case, settings=replace(case.settings, threshold=0.3)))
    assert again.probability.tobytes() == first
    np.testing.assert_array_equal(again.mask, predictor.segment(scan, 0.3).mask)
    assert again.manifest["seconds"]["restore"] == predictor.finish(case).manifest["seconds"]["restore"]


def test_copies_of_a_case_are_finished_alike_in_any_order(ready: Make) -> None:
    predictor, scan = ready(0.2, 1.6), Scan("case", noise(3, 40, 56))
    expected = predictor.segment(scan).probability.tobytes()
    case = predictor.begin(scan)
    while not case.complete:
        predictor.advance([case])
    copies = [replace(case, settings=replace(case.settings, threshold=threshold)) for threshold in (0.3, 0.7)]
    found = [predictor.finish(each) for each in (*copies, case)]
    assert [each.probability.tobytes() for each in found] == [expected] * 3
