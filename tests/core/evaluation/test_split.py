"""Whether the model has seen whom it is scored on: by its card's names and rule, by another folder, or not known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from core.errors import ChannelNeeded, InputError, ModelDamaged
from core.evaluation.evaluate import Settings, evaluate
from core.evaluation.folds import Folds, save_folds
from core.model_card import PreprocessSettings

CPU = Settings(device="cpu", precision="fp32")
VISITS = r"(P\d+)-v"

Model = Callable[..., Path]
Write = Callable[[Path, str, int], Path]


@pytest.fixture
def model(make_model: Model, tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a model whose card says this of its data."""

    def make(**data: Any) -> Path:
        return make_model(tmp_path / "model", preprocessing=PreprocessSettings(size=64), data=data)

    return make


@pytest.fixture
def visits(tmp_path: Path, write: Write) -> Path:
    """Two visits of one patient and one of another."""
    for number, name in enumerate(("P01-v1", "P01-v2", "P02-v1")):
        write(tmp_path / "visits", name, number)
    return tmp_path / "visits"


def test_patients_are_told_as_they_were_when_the_model_learnt(model: Model, visits: Path, tmp_path: Path) -> None:
    folder = model(patients=["P01"], patient_rule={"pattern": VISITS})
    with pytest.raises(InputError, match="learnt from 1 of the 2 patients") as told:
        evaluate(folder, visits, tmp_path / "out", settings=CPU)
    assert told.value.source == "P01"
    scores = evaluate(folder, visits, tmp_path / "out", settings=CPU, allow_learnt=True)
    assert [row["patient"] for row in scores["patients"]] == ["P01", "P02"]
    assert scores["held_out"] == "no"


def test_a_refusal_advises_the_held_out_fold_only_where_the_model_has_one(
    model: Model, visits: Path, tmp_path: Path
) -> None:
    rule = {"pattern": VISITS}
    with pytest.raises(InputError, match="choose its held-out fold with --folds and --fold, or"):
        evaluate(model(patients=["P01"], held_out=["P02"], patient_rule=rule), visits, tmp_path / "out", settings=CPU)
    save_folds(Folds("visits", "", (("P01",), ("P02",))), tmp_path / "folds.json")
    everybody = model(patients=["P01", "P02"], held_out=[], patient_rule=rule)
    with pytest.raises(InputError, match="metseg train DATA --network nested-unet --fold K --out DIR") as told:
        evaluate(everybody, visits, tmp_path / "out", folds=tmp_path / "folds.json", fold=0, patients=VISITS)
    assert "it has no held-out fold: score other patients" in told.value.detail
    assert "choose" not in told.value.detail


def test_names_told_by_another_rule_do_not_say_who_is_new(
    model: Model, visits: Path, tmp_path: Path, write: Write
) -> None:
    folder = model(patients=["P03"], patient_rule={"pattern": VISITS, "each_image": True})
    said = evaluate(folder, visits, tmp_path / "said", patients=r"(P\d+-v\d)", settings=CPU)
    save_folds(Folds("visits", "", (("P01-v1", "P01-v2", "P02-v1"),)), tmp_path / "folds.json")
    divided = evaluate(folder, visits, tmp_path / "divided", folds=tmp_path / "folds.json", settings=CPU)
    write(tmp_path / "others", "Anna", 9)  # the card's rule finds no patient in this name
    strange = evaluate(folder, tmp_path / "others", tmp_path / "strange", settings=CPU)
    for scores in (said, divided, strange):
        assert scores["held_out"] == "unknown"
    assert "not known whether these patients are new" in (tmp_path / "said" / "table.md").read_text()
    assert [row["patient"] for row in strange["patients"]] == ["Anna"]


def test_who_was_learnt_from_is_known_under_other_names_too(
    model: Model, visits: Path, tmp_path: Path, write: Write
) -> None:
    folder = model(patients=["P01"], patient_rule={"pattern": VISITS})
    run = {"patients": r"(P\d+-v\d)", "settings": CPU}
    with pytest.raises(InputError, match="learnt from 1 of the 3 patients"):
        evaluate(folder, visits, tmp_path / "out", **run)
    assert evaluate(folder, visits, tmp_path / "marked", **run, allow_learnt=True)["held_out"] == "no"
    save_folds(Folds("visits", "", (("P02-v1",),)), tmp_path / "folds.json")
    others = evaluate(folder, visits, tmp_path / "others", folds=tmp_path / "folds.json", **run)
    assert others["content_check"] == [{"learnt_patients_at_hand": 2, "shared": False}]


def test_another_hospital_s_namesakes_are_told_apart_by_a_table(
    model: Model, visits: Path, tmp_path: Path, write: Write
) -> None:
    for number, name in enumerate(("P01-v1", "P02-v1")):
        write(tmp_path / "learnt", name, 7 + number)
    folder = model(patients=["P01", "P02"], patient_rule={"pattern": VISITS})
    with pytest.raises(InputError, match="other people of the same names need others, by --patients"):
        evaluate(folder, visits, tmp_path / "out", settings=CPU)
    rows = "".join(f"{name},north-{name[:3]}\n" for name in ("P01-v1", "P01-v2", "P02-v1"))
    (tmp_path / "north.csv").write_text(f"file,patient\n{rows}")
    run = {"patients": str(tmp_path / "north.csv"), "settings": CPU}
    assert evaluate(folder, visits, tmp_path / "named", **run)["held_out"] == "unknown"
    scores = evaluate(folder, visits, tmp_path / "compared", **run, learnt=tmp_path / "learnt")
    assert (scores["held_out"], scores["content_check"][0]["learnt_patients_at_hand"]) == ("yes", 2)


def test_who_lies_in_the_other_folder_is_told_by_the_given_rule_too(model: Model, tmp_path: Path, write: Write) -> None:
    write(tmp_path / "learnt", "P01-v1", 7)
    write(tmp_path / "scored", "Visit2_P01", 8)  # in which the card's rule finds nobody
    folder = model(patients=["P01"], patient_rule={"pattern": VISITS})
    run = {"patients": r"(P\d+)", "learnt": tmp_path / "learnt", "settings": CPU}
    with pytest.raises(InputError, match="learnt from 1 of the 1 patients"):
        evaluate(folder, tmp_path / "scored", tmp_path / "out", **run)


def test_the_same_rule_says_who_is_new(model: Model, visits: Path, tmp_path: Path) -> None:
    folder = model(patients=["P03"], held_out=["P01"], watched=["P02"], patient_rule={"pattern": VISITS})
    for name, patients in (("told", VISITS), ("card", None)):
        assert evaluate(folder, visits, tmp_path / name, patients=patients, settings=CPU)["held_out"] == "yes"


def test_a_name_that_the_card_does_not_list_does_not_say_who_is_new(
    model: Model, visits: Path, tmp_path: Path, write: Write
) -> None:
    folder = model(patients=["P03"], held_out=["P01"], patient_rule={"pattern": VISITS})
    assert evaluate(folder, visits, tmp_path / "names", settings=CPU)["held_out"] == "unknown"
    write(tmp_path / "learnt", "P03-v1", 7)
    run = {"learnt": tmp_path / "learnt", "settings": CPU}
    assert evaluate(folder, visits, tmp_path / "contents", **run)["held_out"] == "yes"
    others = model(patients=["P03", "P04"], patient_rule={"pattern": VISITS})  # of whom one is not there to compare
    assert evaluate(others, visits, tmp_path / "some", **run)["held_out"] == "unknown"


def test_a_namesake_in_the_scored_set_is_not_who_was_learnt_from(model: Model, tmp_path: Path, write: Write) -> None:
    for number, name in enumerate(("P01", "P02", "P03")):
        write(tmp_path / "set", name, number)
    save_folds(Folds("set", "", (("P02", "P03"),)), tmp_path / "folds.json")
    folder = model(patients=["P01"])  # of another hospital, it may be
    run = {"folds": tmp_path / "folds.json", "settings": CPU}
    scores = evaluate(folder, tmp_path / "set", tmp_path / "named", **run)
    assert scores["content_check"] == [{"learnt_patients_at_hand": 1, "shared": False}]
    assert scores["held_out"] == "unknown"
    vouched = evaluate(folder, tmp_path / "set", tmp_path / "vouched", **run, learnt=tmp_path / "set")
    assert vouched["held_out"] == "yes"


def test_a_patient_of_the_cancer_genome_atlas_is_known_by_hyphens_too(
    model: Model, tmp_path: Path, write: Write
) -> None:
    write(tmp_path / "set", "TCGA-CS-4941-flair", 1)
    folder = model(patients=["TCGA_CS_4941"], patient_rule={})
    with pytest.raises(InputError, match="learnt from 1 of the 1 patients"):
        evaluate(folder, tmp_path / "set", tmp_path / "out", settings=CPU)
    write(tmp_path / "challenge", "BraTS19_TCIA10_103_1_flair", 2)  # which is somebody of the atlas, a table says
    (tmp_path / "who.csv").write_text("file,patient\nBraTS19_TCIA10_103_1_flair,TCGA-CS-4941\n")
    run = {"patients": str(tmp_path / "who.csv"), "settings": CPU}
    with pytest.raises(InputError, match="learnt from 1 of the 1 patients"):
        evaluate(folder, tmp_path / "challenge", tmp_path / "out", **run)
    write(tmp_path / "learnt", "TCGA_CS_4941", 3)
    run = {"learnt": tmp_path / "learnt", "settings": CPU}
    assert evaluate(folder, tmp_path / "challenge", tmp_path / "nameless", **run)["held_out"] == "unknown"
    (tmp_path / "who.csv").write_text("file,patient\nBraTS19_TCIA10_103_1_flair,TCGA-CS-4942\n")
    run |= {"patients": str(tmp_path / "who.csv")}
    assert evaluate(folder, tmp_path / "challenge", tmp_path / "named", **run)["held_out"] == "yes"


def test_a_card_without_a_rule_may_call_a_patient_by_a_case(model: Model, tmp_path: Path, write: Write) -> None:
    write(tmp_path / "set", "sub-01_ses-2_FLAIR", 1)
    with pytest.raises(InputError, match="learnt from 1 of the 1 patients"):
        evaluate(model(patients=["sub-01_ses-1_FLAIR"]), tmp_path / "set", tmp_path / "out", settings=CPU)


def test_a_rule_that_cannot_be_read_is_said(model: Model, visits: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match="how patients were named"):
        evaluate(model(patients=["a"], patient_rule={"pattern": "(("}), visits, tmp_path / "out", settings=CPU)


def test_who_bears_a_scored_patients_name_among_those_learnt_from_is_that_patient(
    model: Model, tmp_path: Path, write: Write
) -> None:
    write(tmp_path / "set", "Anna", 1)
    write(tmp_path / "learnt", "Anna", 2)
    write(tmp_path / "learnt", "Berta", 3)
    run = {"learnt": tmp_path / "learnt", "settings": CPU}
    with pytest.raises(InputError, match="learnt from 1 of the 1 patients"):
        evaluate(model(), tmp_path / "set", tmp_path / "out", **run)
    assert evaluate(model(), tmp_path / "set", tmp_path / "out", **run, allow_learnt=True)["held_out"] == "no"
    listed = evaluate(model(patients=["Berta"]), tmp_path / "set", tmp_path / "listed", **run)
    assert listed["held_out"] == "yes"
    assert listed["content_check"] == [{"learnt_patients_at_hand": 1, "shared": False}]


def test_scans_learnt_from_are_of_the_channel_that_is_scored(
    model: Model, tmp_path: Path, draw: Callable[..., Any], write: Write
) -> None:
    write(tmp_path / "set", "Anna", 1)
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "learnt" / folder).mkdir(parents=True)
    for channel, seed in ((0, 5), (1, 1)):
        images, truth = draw(seed)
        name = f"Berta_{channel:04}.tif"
        tifffile.imwrite(tmp_path / "learnt" / "imagesTr" / name, images, photometric="minisblack")
        tifffile.imwrite(tmp_path / "learnt" / "labelsTr" / "Berta.tif", truth.astype(np.uint8))
    for channel, refusal in ((None, ChannelNeeded), (1, InputError)):
        settings = Settings(channel=channel, device="cpu", precision="fp32")
        with pytest.raises(refusal, match="--channel" if channel is None else "share images"):
            evaluate(model(), tmp_path / "set", tmp_path / "out", learnt=tmp_path / "learnt", settings=settings)
