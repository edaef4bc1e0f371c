from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from core.atomic import write_json
from core.batch.jobs import NAME_LIMIT, plan_jobs, refuse_overlap, safe_name, unique_names
from core.batch.results import CASE_KIND
from core.errors import NothingFound, UsageError


def names(inputs: list[Path], out: Path) -> list[str]:
    return [job.name for job in plan_jobs(inputs, out).jobs]


def test_a_folder_gives_its_cases_and_a_file_is_a_case_of_its_own(
    tmp_path: Path, write_case: Callable[..., Path]
) -> None:
    case = write_case(tmp_path / "in" / "A")
    assert names([tmp_path / "in", case / "A_1.tif"], tmp_path / "out") == ["A", "A_1"]


def test_a_file_finds_the_mask_beside_it(tmp_path: Path, write_case: Callable[..., Path]) -> None:
    case = write_case(tmp_path / "A")
    (job,) = plan_jobs([case / "A_2.tif"], tmp_path / "out").jobs
    assert job.source.mask_paths == (case / "A_2_mask.tif",)


def test_masks_named_by_a_wildcard_are_left_out(tmp_path: Path, write_case: Callable[..., Path]) -> None:
    case = write_case(tmp_path / "A", slices=3)
    plan = plan_jobs(sorted(case.glob("*.tif")), tmp_path / "out")
    assert [job.name for job in plan.jobs] == ["A_1", "A_2", "A_3"]
    assert [note.code for note in plan.notes] == ["masks-skipped"]


def test_a_case_that_was_named_twice_is_taken_once(tmp_path: Path, write_case: Callable[..., Path]) -> None:
    case = write_case(tmp_path / "in" / "A")
    assert names([tmp_path / "in", case, tmp_path / "in"], tmp_path / "out") == ["A"]


def test_equal_names_from_different_folders_are_numbered(tmp_path: Path, write_case: Callable[..., Path]) -> None:
    first, second = write_case(tmp_path / "one" / "A"), write_case(tmp_path / "two" / "a")
    assert names([first, second], tmp_path / "out") == ["A", "a-2"]


def test_names_are_unique_whatever_their_case_and_never_those_of_the_tables() -> None:
    assert unique_names(["x", "X", "x-2", "summary.json"]) == ("x", "X-2", "x-2-2", "summary.json-2")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TCGA_CS_4941", "TCGA_CS_4941"),
        ("../../etc", "_.._etc"),
        ("..", "case"),
        ("a/b\\c:d", "a_b_c_d"),
        (".hidden", "hidden"),
        ("bell\a\n\u202egpj", "bell___gpj"),
        ("con.v2", "_con.v2"),
        ("", "case"),
        ("é" * 400, "é" * NAME_LIMIT),
        ("脳" * 100, "脳" * 80),
    ],
)
def test_a_name_becomes_one_visible_folder_on_every_file_system(name: str, expected: str) -> None:
    assert safe_name(name) == expected


def test_results_may_not_lie_in_an_input_nor_an_input_in_the_results(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    refuse_overlap([data], out)
    for inputs, target in (
        ([data], data),
        ([data], data / "deep" / "out"),
        ([out / "x.tif"], out),
        ([out / "in"], out),
    ):
        with pytest.raises(UsageError):
            refuse_overlap(inputs, target)


def test_a_link_does_not_hide_that_the_results_lie_in_the_input(
    tmp_path: Path, write_case: Callable[..., Path]
) -> None:
    write_case(tmp_path / "data" / "A")
    (tmp_path / "link").symlink_to(tmp_path / "data", target_is_directory=True)
    with pytest.raises(UsageError):
        plan_jobs([tmp_path / "data"], tmp_path / "link" / "out")


def test_what_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    for inputs in ([], [tmp_path / "missing"], [tmp_path / ("long" * 80)]):
        with pytest.raises(UsageError):
            plan_jobs(inputs, tmp_path / "out")


def test_a_folder_without_scans_does_not_stop_the_others(tmp_path: Path, write_case: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    write_case(tmp_path / "A")
    plan = plan_jobs([tmp_path / "empty", tmp_path / "A"], tmp_path / "out")
    assert [job.name for job in plan.jobs] == ["A"]
    ((name, error),) = plan.unreadable
    assert name == str(tmp_path / "empty")
    assert isinstance(error, NothingFound)


def test_results_of_an_earlier_run_are_never_segmented(tmp_path: Path) -> None:
    folder = tmp_path / "earlier" / "A"
    folder.mkdir(parents=True)
    tifffile.imwrite(folder / "A_1.tif", np.zeros((8, 8), np.uint8))
    write_json(folder / "manifest.json", {"kind": CASE_KIND, "metseg": "0"})
    plan = plan_jobs([folder / "A_1.tif"], tmp_path / "out")
    assert plan.jobs == ()
    assert [note.code for note in plan.notes] == ["results-skipped"]
    assert plan.unreadable
