"""A scan's slices become a verdict and a note, and the note reaches the result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.strangers import ct_like, inverted, noise, photograph
from core.inference.predictor import Predictor
from core.model_store import find_model, load_card, shipped_models
from core.phantom import make_phantom
from core.scan import Scan
from core.unfamiliar.judge import MEASURED, MOST_SLICES, UNFAMILIAR, judge, measure
from core.unfamiliar.reference import REFERENCE_FILE, Reference, load_reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    found = load_reference(find_model(), MEASURED)
    assert found is not None
    return found


def alone(scan: Scan, index: int = 0) -> Scan:
    return Scan("alone", scan.voxels[index : index + 1])


@pytest.mark.parametrize("model", shipped_models())
def test_every_shipped_model_says_what_it_is_used_to(model: str) -> None:
    folder = find_model(model)
    reference = load_reference(folder, MEASURED)
    assert reference is not None
    assert reference.others is not None
    learnt = load_card(folder).data
    assert reference.about["patients"] <= len(learnt["patients"])


def test_a_slice_is_described_as_it_comes_and_after_clahe() -> None:
    images = make_phantom(2, slices=2)[0].voxels
    rows = measure(images)
    assert rows.shape == (2, len(MEASURED))
    half = len(MEASURED) // 2
    assert not np.allclose(rows[:, :half], rows[:, half:])
    assert np.array_equal(measure(images[1:])[0], rows[1])


def test_of_a_long_volume_an_even_sample_is_described() -> None:
    images = np.zeros((100, 1, 32, 32), np.uint8)
    for index in range(100):
        images[index, 0, 4:28, 4:28] = 50 + index
    assert len(measure(images)) == MOST_SLICES


@pytest.mark.parametrize("scan", [noise(1), noise(2), ct_like(3), photograph(1), inverted(make_phantom(1)[0])])
def test_what_is_no_flair_of_a_head_is_unfamiliar(scan: Scan, reference: Reference) -> None:
    verdict, notes = judge(reference, scan.voxels)
    assert [note.code for note in notes] == [UNFAMILIAR]
    assert verdict is not None
    assert verdict.is_strange or verdict.is_other


def test_an_even_picture_and_a_model_without_reference_are_not_judged(reference: Reference) -> None:
    assert judge(reference, np.full((1, 1, 64, 64), 9, np.uint8)) == (None, ())
    assert judge(None, noise(1).voxels) == (None, ())


def test_the_note_and_the_numbers_reach_the_result_and_company_changes_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    shutil.copyfile(find_model() / REFERENCE_FILE, folder / REFERENCE_FILE)
    predictor = Predictor(folder, "cpu", "fp32")
    strange, plain = alone(noise(1)), make_phantom(1, slices=1)[0]
    found = predictor.segment(strange)
    assert UNFAMILIAR in [note.code for note in found.warnings]
    said = found.manifest["familiarity"]
    assert said["slices"] == 1
    assert json.loads(json.dumps(said)) == said
    cases = [predictor.begin(strange), predictor.begin(plain)]
    assert cases[0].verdict == predictor.begin(strange).verdict
    assert cases[0].verdict != cases[1].verdict


def test_a_model_without_reference_says_nothing(tiny_model: Path) -> None:
    found = Predictor(tiny_model, "cpu", "fp32").segment(alone(noise(1)))
    assert found.manifest["familiarity"] is None
    assert UNFAMILIAR not in [note.code for note in found.warnings]
