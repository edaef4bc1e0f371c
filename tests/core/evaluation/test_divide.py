"""Folds of a folder: every patient once, leaks refused, the rule kept with the folds."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import InputError, NothingFound
from core.evaluation.divide import divide_folder
from core.evaluation.folds import load_folds, save_folds
from core.evaluation.patients import PatientRule


def test_a_folder_is_divided_by_patient_and_site(still_heads: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folds = divide_folder(still_heads, count=3, progress=lambda done, total: told.append((done, total)))
    everyone = [name for fold in folds.folds for name in fold]
    assert len(everyone) == 6
    assert set(everyone) == {f"TCGA_{('CS', 'DU')[number % 2]}_{4000 + number}" for number in range(6)}
    assert all({name[5:7] for name in fold} == {"CS", "DU"} for fold in folds.folds)
    assert told[-1] == (6, 6)
    assert folds.name == "heads"
    save_folds(folds, tmp_path / "folds.json")
    assert load_folds(tmp_path / "folds.json") == folds


def test_the_way_to_tell_patients_is_kept_with_the_folds(still_heads: Path, tmp_path: Path) -> None:
    folds = divide_folder(still_heads, count=2, patients=r"TCGA_.._(\d+)_")
    assert folds.patients == PatientRule(r"TCGA_.._(\d+)_")
    assert {name for fold in folds.folds for name in fold} == {str(4000 + number) for number in range(6)}
    save_folds(folds, tmp_path / "folds.json")
    assert load_folds(tmp_path / "folds.json").patients == folds.patients


def test_a_renamed_patient_is_refused(heads: Path, write: Callable[[Path, str, int], Path]) -> None:
    write(heads, "TCGA_FG_0001_20000101", 2)
    with pytest.raises(InputError, match="two patients share images"):
        divide_folder(heads)
    shutil.rmtree(heads / "TCGA_FG_0001_20000101")
    assert divide_folder(heads).rule.startswith("5 folds by patient")


def test_how_many_cases_are_left_out_is_told(heads: Path) -> None:
    told: list[str] = []
    divide_folder(heads, tell=told.append)
    assert told == []
    for path in sorted(heads.glob("*/*_1_mask.tif"))[:2]:
        path.unlink()
    assert len([name for fold in divide_folder(heads, count=4, tell=told.append).folds for name in fold]) == 4
    lacking = "TCGA_CS_4000_19990101, TCGA_CS_4002_19990101"
    assert told == [f"Left out: 2 cases that lack the channel, or the mask of one or more images ({lacking})."]
    with pytest.raises(NothingFound, match=r"there are 4; make fewer with `metseg folds --count`, or .* train --all`"):
        divide_folder(heads)


def test_the_real_sets_folds_come_out_as_they_are_shipped(lgg_root: Path) -> None:
    if len(list(lgg_root.iterdir())) < 88:
        pytest.skip("only a part of the LGG set is unpacked here: unpack it into kaggle_3m beside its parts")
    assert dataclasses.replace(divide_folder(lgg_root), name="lgg") == load_folds("lgg")
