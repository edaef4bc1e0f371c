"""The measurement of what is called unfamiliar, and of other tissue, on what a test can afford."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.other_tissue import describe_volume, write_into_card
from benchmarks.strangers import SLICES, ct_like, inverted, noise, photograph
from benchmarks.unfamiliar import everyone, judge_group
from core.inference.predictor import Predictor
from core.model_store import find_model, load_card
from core.phantom import make_phantom
from core.unfamiliar.judge import MEASURED
from core.unfamiliar.reference import Reference, load_reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    found = load_reference(find_model(), MEASURED)
    assert found is not None
    return found


@pytest.mark.parametrize("make", [noise, ct_like, photograph])
def test_a_stranger_is_the_same_every_time_and_another_for_another_seed(make: object) -> None:
    assert callable(make)
    first = make(1).voxels
    assert first.shape[:2] == (SLICES, 1)
    assert first.dtype == np.uint8
    assert np.array_equal(first, make(1).voxels)
    assert not np.array_equal(first, make(2).voxels)


def test_inverted_twice_is_the_scan_itself() -> None:
    scan, _ = make_phantom(1, slices=1)
    assert np.array_equal(inverted(inverted(scan)).voxels, scan.voxels)
    assert inverted(scan).voxels.min() == 255 - scan.voxels.max()


def test_a_group_counts_its_scans_and_each_slice_alone(reference: Reference) -> None:
    group = judge_group("noise", [noise(1), noise(2)], load_card(find_model()), reference)
    assert (group["scans"], group["flagged"], group["lone"]["slices"]) == (2, 2, 2 * SLICES)
    assert [row["slices"] for row in group["verdicts"]] == [SLICES, SLICES]


def test_what_shows_too_little_head_is_counted_apart(reference: Reference) -> None:
    seen, crown = noise(1), make_phantom(1, slices=1)[0]
    crown = replace(crown, voxels=np.pad(crown.voxels[..., ::8, ::8], ((0, 0), (0, 0), (112, 112), (112, 112))))
    group = judge_group("both", [seen, crown], load_card(find_model()), reference)
    assert (group["scans"], group["flagged"], group["not_judged"]) == (1, 1, 1)
    assert group["lone"] == {"slices": SLICES, "flagged": SLICES, "not_judged": 1}


def test_scans_that_are_not_there_leave_empty_groups(reference: Reference, tmp_path: Path) -> None:
    groups = dict(everyone(tmp_path, None, reference))
    assert list(groups["T1w head, DICOM"]) == list(groups["T2w slices with metastases"]) == []
    assert "held-out glioma, inverted" not in groups


def test_a_volume_is_described_by_what_was_found_in_it(tiny_model: Path, data_root: Path) -> None:
    slices = data_root / "jpg-metastasis-t2w" / "images"
    if not slices.is_dir():
        pytest.skip("the T2w slices aren't in the folder of real data")
    path = sorted(slices.glob("*.jpg"))[0]
    said = describe_volume(Predictor(tiny_model, "cpu", "fp32"), path)
    assert said["shape"] == [1, 512, 512]
    assert said["found_ml"] is None or said["found_voxels"] == 0
    assert len(said["largest"]) <= 10
    assert sum(one["voxels"] for one in said["largest"]) <= said["found_voxels"]


def test_the_main_figures_go_into_the_card_and_leave_the_rest(make_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", metrics={"measured": "held out"})
    rows = [{"lesions_true": 3, "lesions_found": 2, "lesions_predicted": 4, "lesions_false": n} for n in (1, 2)]
    result = {
        "t2w_slices": {"figures": {"dice": {"mean": 0.4, "low": 0.3, "high": 0.5, "median": 0.4}}, "patients": rows},
        "flair_volume": {"found_ml": 1.5, "lesions": 4, "largest": []},
    }
    before = load_card(folder)
    write_into_card(folder, result)
    after = load_card(folder)
    found = after.metrics["other_tissue"]["metastases, T2w slices with masks"]
    assert (found["patients"], found["lesions_true"], found["lesions_false"]) == (2, 6, 3)
    assert replace(after, metrics=before.metrics) == before
    assert after.metrics["measured"] == "held out"
