"""A run among faults: broken files, stops, full disks, what a killed run left."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.batch import case as case_module
from core.batch import run as run_module
from core.batch.run import CaseBegun, CaseEnded, CaseProgress, Event, Report
from core.batch.tables import BATCH_COLUMNS
from core.errors import DeviceLost, DeviceUnavailable, OutputError


def load(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def load_summary(report: Report, folder: Path) -> dict[str, Any]:
    assert report.outcomes
    return load(folder / "out" / "summary.json")


def lesion_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "lesions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its inode and bytes: equal only where nothing was written anew."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.read_bytes()) for path in files}


def statuses(report: Report) -> dict[str, str]:
    return {outcome.name: outcome.status for outcome in report.outcomes}


def test_a_broken_file_does_not_stop_the_others(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    for name in "ABC":
        write_case(tmp_path / "in" / name)
    whole = (tmp_path / "in" / "B" / "B_2.tif").read_bytes()
    (tmp_path / "in" / "B" / "B_2.tif").write_bytes(whole[: len(whole) // 2])
    report = run([tmp_path / "in"])
    assert statuses(report) == {"A": "done", "B": "failed", "C": "done"}
    summary = load(tmp_path / "out" / "summary.json")
    assert [case["name"] for case in summary["cases"]] == ["A", "C"]
    (failure,) = summary["failures"]
    assert failure["name"] == "B"
    assert "B_2.tif" in failure["source"]
    assert not (tmp_path / "out" / "B").exists()


def test_something_unforeseen_in_one_case_does_not_stop_the_others(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "AB":
        write_case(tmp_path / "in" / name)
    original = case_module.write_mask

    def fail_once(mask: Any, scan: Any, folder: Path, form: Any, origin: Any) -> Any:
        if scan.name == "A":
            raise ZeroDivisionError("a bug\nwith details")
        return original(mask, scan, folder, form, origin)

    monkeypatch.setattr(case_module, "write_mask", fail_once)
    report = run([tmp_path / "in"])
    assert statuses(report) == {"A": "failed", "B": "done"}
    (failure,) = load(tmp_path / "out" / "summary.json")["failures"]
    assert failure["code"] == "unexpected"
    assert "ZeroDivisionError: a bug" in failure["message"]
    assert "details" not in failure["message"]


def test_a_case_that_failed_is_not_kept_in_memory(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ABC":
        write_case(tmp_path / "in" / name)
    masks: list[weakref.ref[Any]] = []

    def fail(mask: Any, *about: Any) -> Any:
        masks.append(weakref.ref(mask))
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(case_module, "write_mask", fail)
    report = run([tmp_path / "in"])
    assert [outcome.status for outcome in report.failed] == ["failed"] * 3
    assert [mask() is None for mask in masks] == [True] * 3
    frames = traceback.extract_tb(report.failed[0].error.__traceback__)
    assert frames[-1].name == "fail"  # where it was is still told


def test_a_form_that_cannot_be_written_is_said_before_anything_is_computed(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    events: list[Event] = []
    (failed,) = run([tmp_path / "A"], form="seg", on_event=events.append).failed
    assert "choose another form" in str(failed.error)
    assert not any(isinstance(event, CaseProgress) for event in events)


def test_a_device_that_fails_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ABC":
        write_case(tmp_path / "in" / name)

    def fail_at_b(event: Event) -> None:
        if isinstance(event, CaseProgress) and event.name == "B":
            raise DeviceLost("the device failed")

    with pytest.raises(DeviceLost):
        run([tmp_path / "in"], on_event=fail_at_b)
    summary = load(tmp_path / "out" / "summary.json")
    assert ([case["name"] for case in summary["cases"]], summary["failures"]) == (["A"], [])
    assert load(tmp_path / "out" / "manifest.json")["state"] == "stopped"
    assert statuses(run([tmp_path / "in"])) == {"A": "kept", "B": "done", "C": "done"}


def test_truth_that_cannot_be_read_costs_the_dice_and_not_the_case(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    folder = write_case(tmp_path / "A")
    (folder / "A_1_mask.tif").write_bytes(b"II*\0 broken")
    assert statuses(run([folder])) == {"A": "done"}
    result = load(tmp_path / "out" / "A" / "manifest.json")["result"]
    assert result["dice"] is None
    assert "truth-unusable" in [warning["code"] for warning in result["warnings"]]


def test_without_masks_there_is_no_dice(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A", masks=False)
    run([tmp_path / "A"])
    summary = load(tmp_path / "out" / "summary.json")
    assert summary["cases"][0]["dice"] is None
    assert summary["totals"]["dice"] is None
    assert "two empty masks" in summary["dice_rule"]


def test_events_tell_each_case_and_each_batch_of_slices(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A", slices=3)
    events: list[Event] = []
    run([tmp_path / "A"], on_event=events.append)
    assert events[0] == CaseBegun("A", 1, 1)
    assert events[-2] == CaseProgress("A", 3, 3)
    assert isinstance(events[-1], CaseEnded)


def test_a_stopped_run_keeps_what_was_finished_and_the_next_one_goes_on(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    for name in "ABC":
        write_case(tmp_path / "in" / name)
    ended: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, CaseEnded):
            ended.append(event.outcome.name)

    report = run([tmp_path / "in"], on_event=listen, cancelled=lambda: bool(ended))
    assert statuses(report) == {"A": "done"}
    assert report.unreached == ("B", "C")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "A",
        "lesions.csv",
        "manifest.json",
        "summary.json",
    ]
    assert load(tmp_path / "out" / "summary.json")["not_reached"] == ["B", "C"]
    assert load(tmp_path / "out" / "manifest.json")["state"] == "stopped"
    assert statuses(run([tmp_path / "in"])) == {"A": "kept", "B": "done", "C": "done"}
    assert load(tmp_path / "out" / "manifest.json")["state"] == "finished"


def test_an_interrupt_while_a_case_is_written_leaves_nothing_half_done(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "AB":
        write_case(tmp_path / "in" / name)
    original = case_module.write_json

    def interrupt(path: Path, values: Any) -> None:
        if path.parent.name.startswith(".B"):
            raise KeyboardInterrupt
        original(path, values)

    monkeypatch.setattr(case_module, "write_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run([tmp_path / "in"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["A"]
    summary = load(tmp_path / "out" / "summary.json")
    assert ([case["name"] for case in summary["cases"]], summary["not_reached"]) == (["A"], ["B"])


def test_what_a_killed_run_left_is_swept_by_the_next(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    (tmp_path / "out" / ".A.part").mkdir(parents=True)
    (tmp_path / "out" / ".A.part" / "A_1_mask.tif").write_bytes(b"half")
    assert statuses(run([tmp_path / "A"])) == {"A": "done"}
    assert not (tmp_path / "out" / ".A.part").exists()


def test_a_device_that_is_not_there_is_said_before_anything_is_written(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    with pytest.raises(DeviceUnavailable):
        run([tmp_path / "A"], device="cuda:97")
    assert not (tmp_path / "out").exists()


def test_tables_tell_of_cases_from_other_runs_too(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    write_case(tmp_path / "B", seed=1)
    run([tmp_path / "A"])
    run([tmp_path / "B"])
    summary = load(tmp_path / "out" / "summary.json")
    assert [(case["name"], case["status"]) for case in summary["cases"]] == [("B", "done"), ("A", "earlier")]
    assert (summary["totals"]["cases"], summary["totals"]["earlier"]) == (1, 1)
    rows = lesion_rows(tmp_path)
    assert {row["case"] for row in rows} <= {"A", "B"}
    assert len(rows) == sum(case["lesions"] for case in summary["cases"])


def test_a_case_that_fails_now_stays_in_the_tables_with_its_earlier_result(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    (before,) = load_summary(run([tmp_path / "A"]), tmp_path)["cases"]
    summary = load_summary(run([tmp_path / "A"], threshold=0.25), tmp_path)
    assert summary["cases"] == [{**before, "status": "earlier"}]
    assert [failure["name"] for failure in summary["failures"]] == ["A"]
    assert summary["totals"]["slices"] == 0


def test_a_refused_run_says_how_the_results_that_are_there_were_made(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"], threshold=0.25)
    summary = load_summary(run([tmp_path / "A"]), tmp_path)
    assert (summary["totals"]["done"], summary["run"]["settings"]["threshold"]) == (0, 0.5)
    assert [(case["status"], case["threshold"]) for case in summary["cases"]] == [("earlier", 0.25)]


def test_a_case_that_one_more_input_renames_is_counted_once(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    def add(patient: str, seed: int) -> Report:
        folder = write_case(tmp_path / "in" / patient, slices=1, masks=False, seed=seed)
        (folder / f"{patient}_1.tif").rename(folder / "flair.tif")
        return run([tmp_path / "in"], threshold=0)

    assert statuses(add("P1", seed=1)) == {"flair": "done"}
    report = add("P2", seed=2)
    assert [(outcome.name, outcome.same_input) for outcome in report.earlier] == [("flair", "P1_flair")]
    assert {row["case"] for row in lesion_rows(tmp_path)} == {"P1_flair", "P2_flair"}
    renamed = load(tmp_path / "out" / "summary.json")["cases"][-1]
    assert (renamed["name"], renamed["status"], renamed["same_input"]) == ("flair", "earlier", "P1_flair")
    assert set(lesion_rows(tmp_path)[0]) == set(BATCH_COLUMNS)
    # A run that is refused tells of the same lesions.
    assert run([tmp_path / "in"], threshold=0.25).failed
    assert {row["case"] for row in lesion_rows(tmp_path)} == {"P1_flair", "P2_flair"}


def test_a_failed_case_stays_in_the_tables_though_another_has_the_same_images(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"], threshold=0)
    write_case(tmp_path / "B")
    report = run([tmp_path / "A", tmp_path / "B"], threshold=0.01)
    assert [(outcome.name, outcome.same_input) for outcome in report.earlier] == [("A", None)]
    assert "A" in {row["case"] for row in lesion_rows(tmp_path)}


@pytest.mark.parametrize("part", ["input", "result", "files", "seconds", "model", "settings"])
def test_an_incomplete_result_beside_does_not_stop_a_run(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], part: str
) -> None:
    write_case(tmp_path / "A")
    write_case(tmp_path / "B", seed=1)
    run([tmp_path / "A"])
    path = tmp_path / "out" / "A" / "manifest.json"
    path.write_text(json.dumps({**load(path), part: None}), encoding="utf-8")
    assert statuses(run([tmp_path / "A", tmp_path / "B"])) == {"A": "failed", "B": "done"}
    assert [case["name"] for case in load(tmp_path / "out" / "summary.json")["cases"]] == ["B"]


@pytest.mark.skipif(sys.platform == "win32", reason="no lock tells it there")
def test_two_runs_do_not_write_into_one_folder(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    write_case(tmp_path / "A")
    write_case(tmp_path / "B", seed=1)

    def begin_another(event: Event) -> None:
        if isinstance(event, CaseBegun):
            with pytest.raises(OutputError, match="another run writes there"):
                run([tmp_path / "B"], threshold=0.25)

    assert statuses(run([tmp_path / "A"], on_event=begin_another)) == {"A": "done"}
    assert [case["name"] for case in load(tmp_path / "out" / "summary.json")["cases"]] == ["A"]
    assert statuses(run([tmp_path / "B"])) == {"B": "done"}


def test_what_another_run_finished_while_this_one_began_is_kept(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(tmp_path / "A")
    load_model = run_module._predictor

    def slowly(request: Any) -> Any:
        monkeypatch.setattr(run_module, "_predictor", load_model)
        assert statuses(run([tmp_path / "A"])) == {"A": "done"}
        return load_model(request)

    monkeypatch.setattr(run_module, "_predictor", slowly)
    assert statuses(run([tmp_path / "A"])) == {"A": "kept"}


def test_a_disk_that_cannot_be_written_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(tmp_path / "A")

    def full(mask: Any, scan: Any, folder: Path, form: Any, origin: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(case_module, "write_mask", full)
    (outcome,) = run([tmp_path / "A"]).failed
    assert isinstance(outcome.error, OutputError)
    assert "no space left" in str(outcome.error)
    assert [path for path in (tmp_path / "out").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("fault", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_an_overwrite_that_fails_at_its_last_step_leaves_the_earlier_results(
    tmp_path: Path,
    write_case: Callable[..., Path],
    run: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
) -> None:
    write_case(tmp_path / "A")
    run([tmp_path / "A"])
    before = snapshot(tmp_path / "out" / "A")
    original = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == ".A.part":
            raise fault
        return original(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with contextlib.suppress(KeyboardInterrupt):
        assert run([tmp_path / "A"], overwrite=True, threshold=0.25).failed
    assert snapshot(tmp_path / "out" / "A") == before
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_a_name_that_is_no_utf_8_is_recorded_and_its_result_found_again(
    tmp_path: Path, write_case: Callable[..., Path], run: Callable[..., Report]
) -> None:
    source = tmp_path / os.fsdecode(b"M\xfcller.tif")
    try:
        (write_case(tmp_path / "A", slices=1, masks=False) / "A_1.tif").rename(source)
    except OSError:
        pytest.skip("this disk takes no such name")
    (done,) = run([source]).outcomes
    assert done.status == "done"
    for written in (tmp_path / "out").rglob("*.json"):
        json.loads(written.read_bytes().decode("utf-8"))
    before = snapshot(tmp_path / "out" / done.name)
    assert statuses(run([source])) == {done.name: "kept"}
    assert snapshot(tmp_path / "out" / done.name) == before
