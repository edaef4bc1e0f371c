"""Who a patient is: by name, by expression, by table; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import BrokenFile, InputError, NothingFound, UsageError
from core.evaluation.cases import LabelledSet, find_cases
from core.evaluation.patients import PatientRule, name_patients, parse_rule, patient_of, require_patients
from core.scan import SLICE_GAP, ScanSource

ROOT = Path("set")


def source(name: str, *files: str) -> ScanSource:
    paths = tuple(ROOT / file for file in files)
    return ScanSource(name, paths, tuple(path.with_name(f"{path.stem}_mask.png") for path in paths))


def whose(sources: list[ScanSource], rule: PatientRule) -> list[tuple[str, str, int]]:
    return [(case.patient, case.source.name, len(case.source.paths)) for case in name_patients(sources, ROOT, rule)]


def test_without_a_rule_names_tell_the_patient_and_visits_of_one_are_one() -> None:
    sources = [source("TCGA_CS_4941_19960909", "a.tif"), source("TCGA_CS_4941_19970101", "b.tif"), source("x", "c.tif")]
    assert [patient for patient, _, _ in whose(sources, PatientRule())] == ["TCGA_CS_4941", "TCGA_CS_4941", "x"]


@pytest.fixture
def layout(tmp_path: Path) -> Callable[..., LabelledSet]:
    """The labelled set of these files, all of them empty; a rule may be given."""

    def make(*files: str, rule: PatientRule | None = None) -> LabelledSet:
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return find_cases(tmp_path, rule)

    return make


def test_sessions_and_sequences_of_a_bids_subject_are_one_patient(layout: Callable[..., LabelledSet]) -> None:
    files = [
        f"{subject}/{session}/anat/{subject}_{session}_{word}.nii.gz"
        for subject in ("sub-01", "sub-02", "sub-A3")
        for session in ("ses-1", "ses-2")
        for word in ("FLAIR", "T1w", "label-L_mask")
    ]
    copy = "derivatives/smooth/sub-01_ses-1_FLAIR.nii.gz"
    labelled = layout(*files, copy, copy.replace("FLAIR", "label-L_mask"))
    assert len(labelled.cases) == 7
    assert labelled.channel == "flair"
    assert labelled.patients == ("sub-01", "sub-02", "sub-A3")
    assert [patient_of(name) for name in ("sub-01_ses-1", "sub-01", "sub-")] == ["sub-01", "sub-01", "sub-"]


@pytest.mark.parametrize(
    ("case", "words", "patient"),
    [
        ("BraTS20_Training_001", ("_flair", "_t1", "_t1ce", "_t2", "_seg"), "BraTS20_Training_001"),
        ("BraTS-GLI-00005-000", ("-t1c", "-t1n", "-t2f", "-t2w", "-seg"), "BraTS-GLI-00005"),
        ("BraTS-GLI-00005-001", ("-t2f", "-seg"), "BraTS-GLI-00005"),
        ("scan7", ("", "-seg"), "scan7"),
    ],
)
def test_sequences_of_one_mask_are_one_patient(
    layout: Callable[..., LabelledSet], case: str, words: tuple[str, ...], patient: str
) -> None:
    labelled = layout(*(f"{case}/{case}{word}.nii.gz" for word in words))
    assert labelled.patients == (patient,)
    assert len(labelled.cases) == 1


def test_two_patients_who_share_a_mask_are_refused(layout: Callable[..., LabelledSet]) -> None:
    files = [f"P1_{word}.nii.gz" for word in ("flair", "flair2", "seg")]
    table = {"P1_flair": "a", "P1_flair2": "b"}
    for rule in (PatientRule("_([a-z0-9]+)[.]"), PatientRule(files=table, each_image=True)):
        with pytest.raises(InputError, match="two patients share this mask") as told:
            layout(*files, rule=rule)
        assert told.value.source == "P1_seg.nii.gz"
    assert layout(*files, rule=PatientRule("(P1)")).patients == ("P1",)


def test_an_expression_is_searched_in_the_path_and_may_split_a_case() -> None:
    sources = [source("s", "north/p1/1.png", "north/p1/2.png", "north/p2/3.png")]
    assert whose(sources, parse_rule(r"/(p\d)/")) == [("p1", "s-p1", 2), ("p2", "s-p2", 1)]
    part = name_patients(sources, ROOT, parse_rule(r"/(p\d)/"))[1].source
    assert part.mask_paths == (ROOT / "north/p2/3_mask.png",)


def test_a_case_taken_apart_tells_of_the_gaps() -> None:
    sources = [source("s", "a1.png", "b2.png", "b3.png", "a4.png")]
    first, second = name_patients(sources, ROOT, parse_rule("(a|b)"))
    assert [note.code for note in first.source.notes] == [SLICE_GAP]
    assert second.source.notes == ()


@pytest.mark.parametrize(("key", "comma"), [("deep/7.png", ","), ("7.png", ";"), ("7", ","), ("case", ";")])
def test_a_table_may_name_path_file_stem_or_case(tmp_path: Path, key: str, comma: str) -> None:
    (tmp_path / "who.csv").write_text(f"file{comma}patient\n{key}{comma}Anna\n", encoding="utf-8-sig")
    rule = parse_rule(str(tmp_path / "who.csv"))
    assert whose([source("case", "deep/7.png")], rule) == [("Anna", "case", 1)]


def test_a_file_that_the_rule_does_not_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text("7,Anna\n")
    with pytest.raises(InputError, match="does not name this file") as told:
        whose([source("case", "8.png")], parse_rule(str(tmp_path / "who.csv")))
    assert told.value.source == "8.png"
    with pytest.raises(InputError, match="finds no patient"):
        whose([source("case", "8.png")], parse_rule(r"(p\d+)"))


def test_an_expression_may_be_longer_than_a_files_name() -> None:
    names = [f"p{number:03}" for number in range(200)]
    assert parse_rule(f"({'|'.join(names)})").pattern == f"({'|'.join(names)})"


@pytest.mark.parametrize("text", ["p(", r"p\d+", r"(p)(\d)"])
def test_what_cannot_be_used_as_an_expression_is_said(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rule(text)


@pytest.mark.parametrize("content", ["", "a\n", "a,\n", "a,Anna\na,Berta\n", "file,patient\n"])
def test_what_is_no_table_of_patients_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "who.csv").write_text(content)
    with pytest.raises(BrokenFile):
        parse_rule(str(tmp_path / "who.csv"))
    with pytest.raises(NothingFound, match="no such table"):
        parse_rule(str(tmp_path / "missing.csv"))


def test_a_rule_comes_back_from_json() -> None:
    for rule in (PatientRule(), PatientRule(r"(p\d)"), PatientRule(files={"a": "b"}), PatientRule(each_image=True)):
        assert PatientRule.from_json(rule.to_json()) == rule
    with pytest.raises(ValueError, match="one group"):
        PatientRule.from_json({"pattern": "p"})


def pictures(folder: Path, count: int) -> list[ScanSource]:
    found = []
    for number in range(count):
        path = folder / f"scan{chr(97 + number)}.png"
        cv2.imwrite(str(path), np.full((8, 8), number, np.uint8))
        found.append(ScanSource(path.stem, (path,), (path,)))
    return found


def test_pictures_that_each_pass_for_a_patient_are_refused_unless_vouched_for(tmp_path: Path) -> None:
    sources = pictures(tmp_path, 4)
    rule = PatientRule()
    with pytest.raises(InputError, match="4 of 4 cases are single pictures"):
        require_patients(name_patients(sources, tmp_path, rule), rule)
    for good in (PatientRule(each_image=True), PatientRule("(scan)"), PatientRule("scan(.)")):
        require_patients(name_patients(sources, tmp_path, good), good)


def test_a_lone_picture_and_volumes_need_no_rule(tmp_path: Path, write: object) -> None:
    rule = PatientRule()
    require_patients(name_patients(pictures(tmp_path, 1), tmp_path, rule), rule)
    volumes = [source("a", "1.png", "2.png"), source("b", "3.png", "4.png")]
    require_patients(name_patients(volumes, ROOT, rule), rule)
