"""A model judged on a folder: who is scored, what is refused, what is written, and that it can be made again."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from core.errors import Cancelled, InputError, NothingFound, OutputError, UsageError
from core.evaluation.evaluate import Settings, evaluate
from core.evaluation.folds import Folds, save_folds
from core.evaluation.join import redo_tables
from core.evaluation.scores import read_scores, table_markdown
from core.evaluation.slices import read_slices
from core.inference.predictor import Predictor
from core.io import find_scans, read_mask, read_scan, write_mask
from core.measure.dice import dice
from core.model_card import PreprocessSettings
from core.system import RESEARCH_ONLY

NAMES = tuple(f"TCGA_{('CS', 'DU')[number % 2]}_{4000 + number}" for number in range(6))
FOLDS = Folds("six", "three folds", (NAMES[:2], NAMES[2:4], NAMES[4:]))
CPU = Settings(device="cpu", precision="fp32")

Model = Callable[..., Path]


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learnt, as it says, from all but the first fold, in a run that left a log."""
    run = tmp_path_factory.mktemp("run")
    (run / "logs").mkdir()
    (run / "logs" / "metrics.csv").write_text("epoch,loss,inner_dice,step\n0,1.5,,3\n1,0.75,0.5,6\n")
    settings = PreprocessSettings(size=64)
    learnt = {"patients": list(FOLDS.train(0)), "held_out": list(FOLDS.test(0))}
    return make_model(run / "model", "attention-unet", preprocessing=settings, data=learnt, limits=("Learnt noise.",))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folds") / "six.json"
    save_folds(FOLDS, path)
    return path


@pytest.fixture(scope="module")
def done(
    model: Path, still_heads: Path, folds: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("evaluation") / "first"
    return out, evaluate(model, still_heads, out, folds=folds, fold=0, settings=CPU)


def test_the_folds_patients_are_scored_and_nobody_else(done: tuple[Path, dict[str, Any]]) -> None:
    out, scores = done
    assert tuple(row["patient"] for row in scores["patients"]) == NAMES[:2]
    assert scores["held_out"] == "yes"
    assert scores["content_check"] == [{"learnt_patients_at_hand": 4, "shared": False}]
    assert scores["split"] == [{"folds": "six", "fold": 0, "rule": "three folds", "absent": 0}]
    assert scores["training"] == {"loss": [[1, 1.5], [2, 0.75]], "Dice of watched patients": [[2, 0.5]]}
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json", "masks", "patients.csv", "report.html", "scores.json", "slices.csv", "table.md",
    ]  # fmt: skip


def test_dice_is_that_of_the_predictors_masks(
    done: tuple[Path, dict[str, Any]], model: Path, still_heads: Path
) -> None:
    _, scores = done
    predictor = Predictor(model, "cpu", "fp32")
    source = find_scans(still_heads / "TCGA_CS_4000_19990101")[0]
    mask = predictor.segment(read_scan(source)).mask
    row = scores["patients"][0]
    assert row["dice"] == pytest.approx(dice(read_mask(source), mask), abs=1e-6)
    assert row["found_voxels"] == np.count_nonzero(mask)
    assert row["true_voxels"] == np.count_nonzero(read_mask(source))


def test_what_is_written_can_be_read_and_says_the_same(done: tuple[Path, dict[str, Any]]) -> None:
    out, scores = done
    assert read_scores(out) == json.loads((out / "scores.json").read_text()) == json.loads(json.dumps(scores))
    with (out / "patients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["dice"]) for row in rows] == [row["dice"] for row in scores["patients"]]
    assert {row["held_out"] for row in rows} == {"yes"}
    table = (out / "table.md").read_text()
    assert f"| Dice of the whole volume | {scores['figures']['dice']['mean']:.3f} |" in table
    assert RESEARCH_ONLY in table
    for name in ("scores.json", "patients.csv", "table.md", "report.html"):
        assert str(out.parent) not in (out / name).read_text()


def test_the_masks_are_not_taken_for_a_set(done: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(NothingFound):
        find_scans(done[0])


def test_scores_are_the_same_when_made_again(
    done: tuple[Path, dict[str, Any]], model: Path, still_heads: Path, folds: Path, tmp_path: Path
) -> None:
    again = evaluate(model, still_heads, tmp_path / "again", folds=folds, fold=0, settings=CPU)
    for one, other in zip(done[1]["patients"], again["patients"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_patients_learnt_from_are_refused_and_marked_where_they_are_wanted(
    model: Path, still_heads: Path, folds: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="learnt from 2 of the 2 patients") as told:
        evaluate(model, still_heads, tmp_path / "a", folds=folds, fold=1, settings=CPU)
    assert told.value.source == NAMES[2]
    with pytest.raises(InputError, match="learnt from 4 of the 6 patients"):
        evaluate(model, still_heads, tmp_path / "a", settings=CPU)
    assert not (tmp_path / "a").exists()
    scores = evaluate(model, still_heads, tmp_path / "b", folds=folds, fold=1, allow_learnt=True, settings=CPU)
    assert scores["held_out"] == "no"
    for name in ("scores.json", "table.md", "report.html"):
        assert "NOT HELD OUT" in (tmp_path / "b" / name).read_text(), name
    assert {line.split(",")[2] for line in (tmp_path / "b" / "patients.csv").read_text().split()[1:]} == {"no"}


def test_a_scored_patient_who_was_learnt_from_under_another_name_is_refused(
    model: Path, heads: Path, tmp_path: Path
) -> None:
    """The model learnt from CS_4002; its slices come back as a new patient."""
    old, new = "TCGA_CS_4002_19990101", "TCGA_HT_7777_20000101"
    (heads / new).mkdir()
    for path in (heads / old).iterdir():
        shutil.copy(path, heads / new / path.name.replace(old, new))
    save_folds(Folds("new", "", (("TCGA_HT_7777",), NAMES)), tmp_path / "folds.json")
    run = {"folds": tmp_path / "folds.json", "fold": 0, "settings": CPU}
    with pytest.raises(InputError, match="two patients share images") as told:
        evaluate(model, heads, tmp_path / "out", **run)
    assert told.value.source == f"{new} and {old}"
    scores = evaluate(model, heads, tmp_path / "out", **run, allow_learnt=True)
    assert scores["held_out"] == "no"
    assert scores["content_check"][0]["shared"] is True


def test_scans_learnt_from_may_lie_in_another_folder(
    model: Path, still_heads: Path, tmp_path: Path, write: Callable[[Path, str, int], Path]
) -> None:
    write(tmp_path / "elsewhere", "somebody", 2)
    write(tmp_path / "elsewhere", "else", 9)
    with pytest.raises(InputError, match="share images"):
        evaluate(model, tmp_path / "elsewhere", tmp_path / "out", learnt=still_heads, settings=CPU)
    write(tmp_path / "third", "stranger", 10)
    scores = evaluate(model, tmp_path / "third", tmp_path / "out", learnt=still_heads, settings=CPU)
    assert scores["content_check"][0]["learnt_patients_at_hand"] == 4


def test_a_card_that_names_nobody_leaves_it_open(
    make_model: Model, tmp_path: Path, write: Callable[[Path, str, int], Path]
) -> None:
    model = make_model(tmp_path / "model", preprocessing=PreprocessSettings(size=64))
    write(tmp_path / "set", "somebody", 2)
    scores = evaluate(model, tmp_path / "set", tmp_path / "out", settings=CPU)
    assert scores["held_out"] == "unknown"
    assert "not known whether these patients are new" in (tmp_path / "out" / "report.html").read_text()


def test_options_that_do_not_go_together_are_said_before_anything_is_written(
    model: Path, still_heads: Path, folds: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--folds"):
        evaluate(model, still_heads, tmp_path / "out", fold=0)
    with pytest.raises(UsageError, match="inside the set"):
        evaluate(model, still_heads, still_heads / "out")
    with pytest.raises(InputError, match="folds are 0 to 2"):
        evaluate(model, still_heads, tmp_path / "out", folds=folds, fold=7)
    with pytest.raises(OutputError, match="--overwrite"):
        evaluate(model, still_heads, done[0], folds=folds, fold=0)
    with pytest.raises(NothingFound, match="none of the fold's patients"):
        evaluate(model, still_heads, tmp_path / "out", folds="lgg", fold=0)
    assert not (tmp_path / "out").exists()


def test_a_stopped_evaluation_leaves_no_scores(model: Path, still_heads: Path, folds: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    with pytest.raises(Cancelled):
        evaluate(
            model, still_heads, tmp_path / "out", folds=folds, fold=0, settings=CPU,
            progress=lambda what, done, total: stages.append(what), cancelled=lambda: "scoring" in stages,
        )  # fmt: skip
    assert stages[0] == "comparing contents"
    assert not (tmp_path / "out" / "scores.json").exists()


def test_an_evaluation_that_fails_leaves_nothing_of_the_one_that_it_was_to_replace(
    model: Path, heads: Path, folds: Path, tmp_path: Path
) -> None:
    run = {"folds": folds, "fold": 0, "settings": CPU}
    evaluate(model, heads, tmp_path / "out", **run)
    for path in heads.rglob("*.tif"):
        if any(name in str(path) for name in NAMES[:2]) and "mask" not in path.name:
            path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="no patient can be scored"):
        evaluate(model, heads, tmp_path / "out", **run, overwrite=True)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_file()] == ["manifest.json"]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["masks"] == {}


@pytest.mark.parametrize("name", ["patients.csv", "report.html", "manifest.json", "scores.json"])
def test_files_of_others_are_never_replaced(
    model: Path, still_heads: Path, folds: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path, name: str
) -> None:
    (tmp_path / "study" / "masks").mkdir(parents=True)
    for path in (tmp_path / "study" / name, tmp_path / "study" / "masks" / "mine"):
        path.write_text('{"kind": "mine"}')
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"this folder holds an.*; choose another --out$"):
            evaluate(model, still_heads, tmp_path / "study", folds=folds, fold=0, settings=CPU, overwrite=overwrite)
        with pytest.raises(OutputError, match=r"this folder holds an.*; choose another --out$"):
            redo_tables([done[0]], tmp_path / "study", overwrite=overwrite)
    assert (tmp_path / "study" / name).read_text() == '{"kind": "mine"}'
    assert [path.name for path in (tmp_path / "study" / "masks").iterdir()] == ["mine"]


def test_masks_of_an_evaluation_that_was_cut_short_are_not_taken_for_another_s(
    model: Path, still_heads: Path, folds: Path, tmp_path: Path
) -> None:
    run: dict[str, Any] = {"folds": folds, "settings": CPU}
    with pytest.raises(Cancelled):
        evaluate(
            model, still_heads, tmp_path / "out", **run, fold=0,
            cancelled=lambda: len(list((tmp_path / "out").glob("masks/*/*"))) == 3,
        )  # fmt: skip
    left = {path.relative_to(tmp_path) for path in (tmp_path / "out").glob("masks/*/*")}
    assert left
    evaluate(model, still_heads, tmp_path / "out", **run, fold=1, allow_learnt=True)
    assert left.isdisjoint(path.relative_to(tmp_path) for path in (tmp_path / "out").glob("masks/*/*"))


def test_a_table_in_place_of_an_evaluation_keeps_nothing_of_it(
    model: Path, still_heads: Path, folds: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    shutil.copytree(done[0], tmp_path / "out")
    shutil.copy(done[0] / "scores.json", tmp_path / "alone.json")
    redo_tables([tmp_path / "out"], tmp_path / "out", overwrite=True)
    assert {"manifest.json", "slices.csv"} <= {path.name for path in (tmp_path / "out").iterdir()}
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "alone.json", tmp_path / "elsewhere" / "scores.json")
    redo_tables([tmp_path / "elsewhere"], tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file()) == [
        "patients.csv", "report.html", "scores.json", "table.md",
    ]  # fmt: skip


def test_what_is_left_out_and_too_few_patients_are_said(
    done: tuple[Path, dict[str, Any]], model: Path, heads: Path, folds: Path, tmp_path: Path
) -> None:
    next(heads.glob(f"{NAMES[1]}*/*_1_mask.tif")).unlink()
    evaluate(model, heads, tmp_path / "out", folds=folds, fold=0, settings=CPU)
    for name in ("table.md", "report.html"):
        said = (tmp_path / "out" / name).read_text()
        assert "Left out: 1 case that lacks the channel, or the mask of one or more images (TCGA_DU_4001" in said
        assert "So few patients (1) tell little" in said
    assert "Left out" not in (done[0] / "table.md").read_text()


@pytest.mark.parametrize("form", ["tif", "nii.gz"])
def test_metsegs_own_masks_are_not_passed_off_as_truth(model: Path, heads: Path, tmp_path: Path, form: str) -> None:
    case = heads / "TCGA_FG_5000"
    case.mkdir()
    scan = read_scan(find_scans(heads / f"{NAMES[0]}_19990101")[0])
    if form == "tif":
        for path in heads.glob(f"{NAMES[0]}*/*_[0-9].tif"):
            shutil.copy(path, case / path.name.replace(f"{NAMES[0]}_19990101", "TCGA_FG_5000"))
    else:
        volume = nib.Nifti1Image(scan.voxels[:, 0].transpose(2, 1, 0), np.diag([1.0, 1.0, 5.0, 1.0]))
        nib.save(volume, case / "TCGA_FG_5000.nii.gz")
    (source,) = find_scans(case)
    fresh = read_scan(source)
    write_mask(Predictor(model, "cpu", "fp32").segment(fresh).mask, fresh, case)
    save_folds(Folds("two", "", (("TCGA_FG_5000", NAMES[0]),)), tmp_path / "folds.json")
    evaluate(model, heads, tmp_path / "out", folds=tmp_path / "folds.json", settings=CPU)
    said = "1 case scored against masks that metseg wrote: this says nothing about the truth."
    assert said in (tmp_path / "out" / "table.md").read_text()
    assert said in (tmp_path / "out" / "report.html").read_text()


def test_a_file_where_the_results_should_go_is_said(
    model: Path, still_heads: Path, folds: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot be made; choose another --out"):
            evaluate(model, still_heads, out, folds=folds, fold=0, settings=CPU)
    assert (tmp_path / "file").read_text() == "mine"


def test_settings_reach_the_model_and_the_outputs(
    model: Path, still_heads: Path, folds: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    settings = Settings(threshold=0.99, tta=True, min_lesion=3, device="cpu", precision="fp32")
    scores = evaluate(model, still_heads, tmp_path / "out", folds=folds, fold=0, settings=settings, name="strict")
    assert scores["settings"]["threshold"] == 0.99
    assert scores["settings"]["mirrored"] is True
    strict, plain = ([row["found_voxels"] for row in part["patients"]] for part in (scores, done[1]))
    assert sum(strict) < sum(plain)
    assert "# strict on heads" in (tmp_path / "out" / "table.md").read_text()


def test_folds_are_joined_into_one_table_that_is_made_again_from_scores_alone(
    make_model: Model, still_heads: Path, folds: Path, tmp_path: Path
) -> None:
    parts = []
    for fold in range(2):
        data = {"patients": list(FOLDS.train(fold))}
        model = make_model(tmp_path / f"m{fold}", seed=fold, preprocessing=PreprocessSettings(size=64), data=data)
        evaluate(model, still_heads, tmp_path / f"e{fold}", folds=folds, fold=fold, settings=CPU)
        parts.append(tmp_path / f"e{fold}")
    whole = redo_tables(parts, tmp_path / "all", name="both")
    assert [row["patient"] for row in whole["patients"]] == sorted(NAMES[:4])
    assert whole["figures"]["dice"]["mean"] == pytest.approx(
        np.mean([row["dice"] for part in parts for row in read_scores(part)["patients"]]), abs=1e-6
    )
    assert len(whole["models"]) == len(whole["content_check"]) == 2
    page = (tmp_path / "all" / "report.html").read_text()
    assert page.count("<img") == 9  # three patients, drawn from the folds' own masks
    weights = [model["weights_sha256"] for model in whole["models"]]
    with (tmp_path / "all" / "patients.csv").open(newline="") as file:
        named = {row["patient"]: (row["fold"], row["weights_sha256"]) for row in csv.DictReader(file)}
    assert named == {patient: (str(fold), weights[fold]) for fold in range(2) for patient in FOLDS.test(fold)}

    shutil.copy(tmp_path / "all" / "scores.json", tmp_path / "committed.json")
    again = redo_tables([tmp_path / "committed.json"])
    assert table_markdown(again) == (tmp_path / "all" / "table.md").read_text()
    with pytest.raises(InputError, match="stand in more than one"):
        redo_tables([parts[0], parts[0]])
    with pytest.raises(OutputError, match="--overwrite"):
        redo_tables(parts, tmp_path / "all")
    with pytest.raises(UsageError, match="name at least one"):
        redo_tables([])
    changed = json.loads((parts[1] / "scores.json").read_text())
    for setting, refused in (("precision", False), ("mirrored", True)):
        settings = {**changed["settings"], setting: "another"}
        (parts[1] / "scores.json").write_text(json.dumps({**changed, "settings": settings}))
        if refused:
            with pytest.raises(InputError, match="differ in their settings \\(mirrored\\)"):
                redo_tables(parts)
        else:
            assert redo_tables(parts)["settings"] == {**whole["settings"], setting: "several"}


def test_the_slices_counts_add_up_to_the_patients(done: tuple[Path, dict[str, Any]]) -> None:
    out, scores = done
    slices = read_slices(out).values()
    for row in scores["patients"]:
        mine = [each for each in slices if each.patient == row["patient"]]
        true, found, both = (sum(getattr(each, part) for each in mine) for part in ("true", "found", "both"))
        assert (len(mine), true, found) == (row["slices"], row["true_voxels"], row["found_voxels"])
        assert row["dice"] == pytest.approx(2 * both / (true + found), abs=1e-6)


def test_a_patient_who_cannot_be_read_is_left_out_and_named(
    model: Path, heads: Path, folds: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    broken = next(heads.glob(f"{NAMES[0]}*/*_2.tif"))
    broken.write_bytes(broken.read_bytes()[:200])
    scores = evaluate(model, heads, tmp_path / "out", folds=folds, fold=0, settings=CPU)
    assert scores["patients"] == [
        row | {"seconds": scores["patients"][0]["seconds"]} for row in done[1]["patients"][1:]
    ]
    assert [entry["patient"] for entry in scores["left_out"]] == [NAMES[0]]
    for page in ("table.md", "report.html"):
        assert f"Left out: {NAMES[0]} ({broken.name}: the TIFF ends" in (tmp_path / "out" / page).read_text()
    assert redo_tables([tmp_path / "out"])["left_out"] == scores["left_out"]
    for path in heads.glob(f"{NAMES[1]}*/*_2.tif"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="no patient can be scored"):
        evaluate(model, heads, tmp_path / "none", folds=folds, fold=0, settings=CPU)


@pytest.mark.parametrize("end", [".nii", ".nii.gz"])
def test_volumes_are_drawn_and_what_was_moved_is_said(
    make_model: Model, draw: Callable[..., Any], end: str, tmp_path: Path
) -> None:
    for number in range(3):
        images, truth = draw(number)
        for name, values in (("", images), ("_mask", truth.astype(np.uint8))):
            (tmp_path / "set").mkdir(exist_ok=True)
            image = nib.Nifti1Image(values.transpose(2, 1, 0), np.diag([1.0, 1, 4, 1]))
            nib.save(image, tmp_path / "set" / f"p{number}{name}{end}")
    model = make_model(tmp_path / "m", preprocessing=PreprocessSettings(size=64))
    evaluate(model, tmp_path / "set", tmp_path / "out", settings=CPU)
    assert (tmp_path / "out" / "report.html").read_text().count("<img") == 9
    for path in (tmp_path / "out").glob("masks/*/*"):
        path.unlink()
    redo_tables([tmp_path / "out"], tmp_path / "again")
    page = (tmp_path / "again" / "report.html").read_text()
    assert page.count("<img") == 0
    assert page.count("Not drawn") == 3
