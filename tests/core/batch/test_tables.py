from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from core.batch.tables import BATCH_COLUMNS, LESION_COLUMNS, Outcome, dice_totals, failure, lesions_csv
from core.errors import BrokenFile


def manifest(name: str, dice: float | None = None) -> dict[str, Any]:
    lesion = {
        "label": 1,
        "voxels": 12,
        "slices": [0, 2],
        "centroid": [1.0, 20.123456789, 30.5],
        "longest_diameter_px": 5.0,
        "longest_diameter_mm": None,
        "area_mm2": None,
        "volume_ml": None,
        "peak_probability": 0.9,
        "mean_probability": 0.7,
    }
    return {
        "name": name,
        "model": {"name": "m"},
        "settings": {"threshold": 0.5},
        "result": {"lesions": [lesion], "dice": dice},
    }


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_each_lesion_is_a_row_and_what_is_not_known_stays_empty() -> None:
    (row,) = rows(lesions_csv([manifest("A")]))
    assert tuple(row) == LESION_COLUMNS
    assert (row["case"], row["voxels"], row["first_slice"], row["last_slice"]) == ("A", "12", "0", "2")
    assert row["volume_ml"] == row["area_mm2"] == row["longest_diameter_mm"] == ""
    assert float(row["centroid_row"]) == pytest.approx(20.1235, abs=1e-4)


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_name_is_never_a_formula_to_a_spreadsheet(name: str) -> None:
    (row,) = rows(lesions_csv([manifest(name)]))
    assert row["case"] == "'" + name


@pytest.mark.parametrize("name", ['say "hi", there', "two\nlines", "Ärzte;Köln"])
def test_odd_names_come_back_as_they_were(name: str) -> None:
    (row,) = rows(lesions_csv([manifest(name)]))
    assert row["case"] == name


def test_a_batch_says_last_what_each_case_was_warned_of() -> None:
    warned, fine = manifest("A"), manifest("B")
    codes = ("other-sequence", "unfamiliar", "unfamiliar")
    warned["result"]["warnings"] = [{"code": code, "message": "m"} for code in codes]
    text = lesions_csv([warned, fine], BATCH_COLUMNS)
    assert [row["warnings"] for row in rows(text)] == ["other-sequence unfamiliar", ""]
    assert BATCH_COLUMNS[:-1] == LESION_COLUMNS


def test_dice_is_summed_up_over_the_cases_that_have_one() -> None:
    outcomes = [Outcome(str(d), "done", manifest(str(d), d)) for d in (0.2, None, 0.9, 1.0)]
    totals = dice_totals([*outcomes, Outcome("bad", "failed", error=BrokenFile("x"))])
    assert totals is not None
    assert (totals["cases"], totals["mean"], totals["median"]) == (3, pytest.approx(0.7), 0.9)
    assert dice_totals(outcomes[1:2]) is None


def test_a_failure_is_a_code_and_a_sentence() -> None:
    told = failure(Outcome("A", "failed", error=BrokenFile("the file is cut off; copy it again", source="A_1.tif")))
    assert told == {
        "name": "A",
        "code": "broken-file",
        "message": "the file is cut off; copy it again",
        "source": "A_1.tif",
    }
