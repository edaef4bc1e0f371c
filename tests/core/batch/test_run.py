from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from core.batch.jobs import plan_jobs
from core.batch.request import make_request
from core.batch.run import CaseBegun, Event, Report, run_batch
from core.errors import OutputError
from core.inference.predictor import Predictor
from core.io import read_mask, read_scan
from core.measure.dice import dice
from core.model_store import load_card
from core.system import VERSION


def load(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its inode and bytes: equal only where nothing was written anew."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.read_bytes()) for path in files}


def statuses(report: Report) -> dict[str, str]:
    return {outcome.name: outcome.status for outcome in report.outcomes}


def test_a_case_becomes_a_folder_with_masks_picture_and_manifest(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], tiny_model: Path
) -> None:
    folder = write_case(tmp_path / "in" / "A", slices=3)
    report = run([tmp_path / "in"])
    out = tmp_path / "out" / "A"
    assert statuses(report) == {"A": "done"}
    assert sorted(path.name for path in out.iterdir()) == [
        "A_1_mask.tif",
        "A_2_mask.tif",
        "A_3_mask.tif",
        "A_overlay.png",
        "manifest.json",
    ]
    (job,) = plan_jobs([tmp_path / "in"], tmp_path / "elsewhere").jobs
    scan = read_scan(job.source)
    expected = Predictor(tiny_model, "cpu", "fp32").segment(scan)
    written = np.stack([tifffile.imread(out / f"{path.stem}_mask.tif") for path in scan.paths])
    np.testing.assert_array_equal(written, expected.mask * np.uint8(255))
    result = load(out / "manifest.json")["result"]
    assert result["voxels"] == int(expected.mask.sum())
    assert len(result["lesions"]) == len(expected.lesions)
    assert result["dice"] == dice(expected.mask, read_mask(job.source))
    assert cv2.imread(str(out / "A_overlay.png")) is not None
    assert (folder / "A_1_mask.tif").exists()


def test_a_name_as_long_as_a_file_system_takes_has_results(tmp_path: Path, run: Callable[..., Report]) -> None:
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).integers(0, 255, (40, 48), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "in" / f"{'ж' * 125}.tif", image)  # 254 bytes
    (outcome,) = run([tmp_path / "in"], probability=True).outcomes
    assert outcome.status == "done"
    assert len(list((tmp_path / "out" / outcome.name).iterdir())) == 4


def test_the_manifest_tells_the_time_of_each_stage_per_slice(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A", slices=4)
    run([tmp_path / "A"])
    manifest = load(tmp_path / "out" / "A" / "manifest.json")
    assert {"read", "clahe", "network", "write"} <= set(manifest["seconds"])
    for stage, seconds in manifest["seconds"].items():
        assert manifest["milliseconds_per_slice"][stage] == pytest.approx(250 * seconds, abs=0.02)


def test_no_path_of_the_machine_stands_in_what_is_written(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.json")]
    assert len(texts) == 3
    assert not [text for text in texts if str(tmp_path) in text]


def test_masks_that_metseg_wrote_are_told_from_truth(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    (tmp_path / "B").mkdir()
    for path in (*(tmp_path / "A").glob("A_[0-9].tif"), *(tmp_path / "out" / "A").glob("A_*_mask.tif")):
        (tmp_path / "B" / path.name.replace("A_", "B_")).write_bytes(path.read_bytes())
    run([tmp_path / "B"])
    drawn, own = (load(tmp_path / "out" / name / "manifest.json")["result"] for name in "AB")
    assert own["dice"] == 1.0
    assert [warning["code"] for warning in drawn["warnings"]].count("own-masks") == 0
    assert [warning["code"] for warning in own["warnings"]].count("own-masks") == 1


def test_a_second_run_takes_over_what_is_there_and_writes_no_case_anew(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    before, summary = snapshot(tmp_path / "out" / "A"), load(tmp_path / "out" / "summary.json")
    lesions = (tmp_path / "out" / "lesions.csv").read_bytes()
    monkeypatch.setattr("core.inference.predictor.Predictor.__init__", lambda *_: pytest.fail("the model was loaded"))
    assert statuses(run([tmp_path / "A"])) == {"A": "kept"}
    assert snapshot(tmp_path / "out" / "A") == before
    assert (tmp_path / "out" / "lesions.csv").read_bytes() == lesions
    again = load(tmp_path / "out" / "summary.json")
    assert again["cases"][0] == {**summary["cases"][0], "status": "kept"}
    assert again["totals"] == {**summary["totals"], "done": 0, "kept": 1}


def test_results_of_another_version_are_kept_and_said_to_be_its_own(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "AB":
        write_case(tmp_path / "in" / name)
    with monkeypatch.context() as patch:
        patch.setattr("core.batch.case.VERSION", "0.0.1")
        run([tmp_path / "in" / "A"])
    report = run([tmp_path / "in"])
    assert statuses(report) == {"A": "kept", "B": "done"}
    assert [note.code for note in report.notes] == ["other-version"]
    summary = load(tmp_path / "out" / "summary.json")
    assert [case["metseg"] for case in summary["cases"]] == ["0.0.1", VERSION]
    assert "1 case is kept as another version" in summary["notes"][0]["message"]
    assert run([tmp_path / "in"], overwrite=True).notes == ()


def test_a_copied_input_is_recognised_by_its_content(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    (tmp_path / "A").rename(tmp_path / "moved")
    (tmp_path / "there").mkdir()
    (tmp_path / "moved").rename(tmp_path / "there" / "A")
    os.utime(tmp_path / "there" / "A" / "A_1.tif")
    assert statuses(run([tmp_path / "there" / "A"])) == {"A": "kept"}


@pytest.mark.parametrize(
    "options", [{"threshold": 0.25}, {"tta": True}, {"min_lesion": 3}, {"grid": "native"}, {"channel": 0}]
)
def test_results_of_other_settings_are_not_overwritten_and_the_setting_is_named(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], options: dict[str, Any]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    before = snapshot(tmp_path / "out" / "A")
    report = run([tmp_path / "A"], **options)
    (outcome,) = report.failed
    assert isinstance(outcome.error, OutputError)
    assert next(iter(options)) in str(outcome.error)
    assert "--overwrite" in str(outcome.error)
    assert snapshot(tmp_path / "out" / "A") == before


def test_results_of_another_input_or_model_are_not_overwritten(
    tmp_path: Path,
    write_case: Callable[..., Path],
    run: Callable[..., Report],
    tiny_models: dict[str, Path],
    tiny_model: Path,
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    other_model = next(folder for folder in tiny_models.values() if folder != tiny_model)
    plan = plan_jobs([tmp_path / "A"], tmp_path / "out")
    request = make_request(other_model, device="cpu", precision="fp32")
    (outcome,) = run_batch(plan, request, tmp_path / "out").failed
    assert "another model" in str(outcome.error)
    for change in ({"temperature": 2.0}, {"neighbours": 0.1}):
        changed = replace(request, folder=tiny_model, card=replace(load_card(tiny_model), **change))
        (outcome,) = run_batch(plan, changed, tmp_path / "out").failed
        assert "another model" in str(outcome.error)
    write_case(tmp_path / "other" / "A", seed=1)
    (outcome,) = run([tmp_path / "other" / "A"]).failed
    assert "other input" in str(outcome.error)


def test_overwrite_replaces_metsegs_own_results(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    assert statuses(run([tmp_path / "A"], overwrite=True, threshold=0.25)) == {"A": "done"}
    assert load(tmp_path / "out" / "A" / "manifest.json")["settings"]["threshold"] == 0.25
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_overwrite_never_takes_files_that_metseg_did_not_write(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    write_case(tmp_path / "B")
    run([tmp_path / "A"])
    (tmp_path / "out" / "A" / "my notes.txt").write_text("dear diary")
    (tmp_path / "out" / "B").mkdir()
    (tmp_path / "out" / "B" / "thesis.doc").write_text("years of work")
    report = run([tmp_path / "A", tmp_path / "B"], overwrite=True)
    assert [type(outcome.error) for outcome in report.failed] == [OutputError, OutputError]
    assert (tmp_path / "out" / "A" / "my notes.txt").read_text() == "dear diary"
    assert (tmp_path / "out" / "B" / "thesis.doc").read_text() == "years of work"


def test_overwrite_never_takes_what_came_while_it_ran(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    notes = tmp_path / "out" / "A" / "my notes.txt"

    def write_notes(event: Event) -> None:
        if isinstance(event, CaseBegun):
            notes.write_text("dear diary")

    report = run([tmp_path / "A"], overwrite=True, on_event=write_notes)
    assert [type(outcome.error) for outcome in report.failed] == [OutputError]
    assert notes.read_text() == "dear diary"


def test_a_mask_that_was_changed_by_hand_is_noticed_and_kept(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    mask = tmp_path / "out" / "A" / "A_1_mask.tif"
    corrected = mask.read_bytes() + b"\0"
    mask.write_bytes(corrected)
    (outcome,) = run([tmp_path / "A"]).failed
    assert "changed" in str(outcome.error)
    assert mask.read_bytes() == corrected


def test_someone_elses_files_in_the_results_folder_are_not_touched(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text("mine")
    with pytest.raises(OutputError, match=r"summary\.json"):
        run([tmp_path / "A"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]
