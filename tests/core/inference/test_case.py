"""Slices of several scans in common batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import Cancelled, ModelDamaged, UsageError
from core.inference import Predictor
from core.inference.case import Case
from core.model_card import PreprocessSettings
from core.scan import Scan, Segmentation


def a_scan(slices: int, height: int, width: int, seed: int) -> Scan:
    return Scan("case", np.random.default_rng(seed).integers(0, 256, (slices, 1, height, width), np.uint8))


@pytest.fixture(scope="module")
def native_model(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = PreprocessSettings(grid="native")
    return make_model(tmp_path_factory.mktemp("models") / "native", preprocessing=settings, seed=3)


def together(predictor: Predictor, cases: list[Case]) -> list[Segmentation]:
    """Each batch begins with another case, as a server that is fair to all would do it."""
    turn = 0
    while left := [case for case in cases if not case.complete]:
        turn += 1
        first = left[turn % len(left)]
        predictor.advance([first, *(case for case in left if case is not first and case.group == first.group)])
    return [predictor.finish(case) for case in cases]


@pytest.mark.parametrize("batch", [1, 3])
def test_an_answer_is_the_same_alone_and_in_company(native_model: Path, batch: int) -> None:
    predictor = Predictor(native_model, "cpu", "fp32", batch=batch, window=272)
    scans = [
        *(a_scan(slices, 40, 56, seed) for seed, slices in enumerate((1, 4, 2, 1))),
        a_scan(1, 300, 40, 9),  # in tiles
        a_scan(2, 40, 56, 10),
    ]
    asked: list[dict[str, Any]] = [{}, {"threshold": 0.4}, {"min_lesion": 3}, {"tta": True}, {}, {"tta": True}]
    alone = [predictor.segment(scan, **options) for scan, options in zip(scans, asked, strict=True)]
    cases = [predictor.begin(scan, **options) for scan, options in zip(scans, asked, strict=True)]
    assert {case.group for case in cases[:3]} != {case.group for case in cases[3:]}
    for one, other in zip(together(predictor, cases), alone, strict=True):
        assert one.probability.tobytes() == other.probability.tobytes()
        assert one.mask.tobytes() == other.mask.tobytes()
        assert one.lesions == other.lesions
        assert {**one.manifest, "seconds": {}} == {**other.manifest, "seconds": {}}
        assert one.manifest["seconds"]["network"] > 0


def test_a_batch_that_fails_leaves_its_cases_where_they_were(
    native_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(native_model, "cpu", "fp32", batch=4)
    cases = [predictor.begin(a_scan(2, 32, 32, seed)) for seed in range(2)]
    whole = predictor._engine.forward

    def poisoned(images: Any) -> Any:
        if len(images) > 2:
            raise ModelDamaged("the network's answer is not finite")
        return whole(images)

    monkeypatch.setattr(predictor._engine, "forward", poisoned)
    with pytest.raises(ModelDamaged):
        predictor.advance(cases)
    assert [case.done for case in cases] == [0, 0]
    predictor.advance(cases[1:])
    assert [case.done for case in cases] == [0, 2]


def test_steps_that_make_no_sense_are_refused(native_model: Path) -> None:
    predictor = Predictor(native_model, "cpu", "fp32")
    case, other = predictor.begin(a_scan(1, 32, 32, 0)), predictor.begin(a_scan(1, 48, 32, 0))
    with pytest.raises(UsageError):
        predictor.begin(case.scan, threshold=2.0)
    with pytest.raises(ValueError, match="group"):
        predictor.advance([case, other])
    with pytest.raises(ValueError, match="no answer yet"):
        predictor.finish(case)
    with pytest.raises(Cancelled):
        predictor.advance([case], lambda: True)
    predictor.advance([case])
    with pytest.raises(ValueError, match="unfinished"):
        predictor.advance([case])
