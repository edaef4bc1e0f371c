"""Folds by patient: whole, disjoint, stratified, read and written."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BrokenFile, InputError, NothingFound
from core.evaluation.folds import Folds, Patient, inner_part, load_folds, make_folds, save_folds
from core.evaluation.patients import patient_of, site_of

PATIENTS = st.lists(
    st.tuples(st.sampled_from(["CS", "DU", "HT", ""]), st.integers(0, 100_000)), min_size=5, max_size=80
).map(lambda rows: [Patient(f"p{number}", site, size) for number, (site, size) in enumerate(rows)])


@given(PATIENTS)
def test_every_patient_is_scored_once_and_never_learnt_from_in_that_fold(patients):
    folds = make_folds(patients, "set")
    scored = Counter(name for fold in range(5) for name in folds.test(fold))
    assert scored == Counter(patient.name for patient in patients)
    for fold in range(5):
        assert not set(folds.train(fold)) & set(folds.test(fold))
        assert len(folds.train(fold)) + len(folds.test(fold)) == len(patients)


@given(PATIENTS)
def test_folds_are_alike_in_size_and_in_sites(patients):
    folds = make_folds(patients, "set")
    site = {patient.name: patient.site for patient in patients}
    sizes = [len(folds.test(fold)) for fold in range(5)]
    assert max(sizes) - min(sizes) <= 1
    for one in set(site.values()):
        counts = [sum(site[name] == one for name in folds.test(fold)) for fold in range(5)]
        assert max(counts) - min(counts) <= 2


def test_the_same_patients_give_the_same_folds_in_any_order():
    patients = [Patient(f"p{number}", "CS" if number % 3 else "DU", number * 7 % 100) for number in range(40)]
    assert make_folds(patients, "set") == make_folds(reversed(patients), "set")


def test_the_shipped_folds_hold_the_88_patients_with_each_site_spread_out():
    folds = load_folds("lgg")
    assert [len(folds.test(fold)) for fold in range(5)] == [18, 17, 18, 17, 18]
    for site, patients in Counter(site_of(name) for fold in folds.folds for name in fold).items():
        counts = [sum(site_of(name) == site for name in fold) for fold in folds.folds]
        assert sum(counts) == patients
        assert max(counts) - min(counts) <= 1, site


def test_folds_come_back_as_they_were_written(tmp_path):
    folds = make_folds([Patient(f"p{number}", "", number) for number in range(11)], "mine", count=3)
    save_folds(folds, tmp_path / "folds.json")
    assert load_folds(tmp_path / "folds.json") == folds


def test_a_patient_in_two_folds_is_refused():
    with pytest.raises(InputError, match="two folds \\(b\\)"):
        Folds("set", "", (("a", "b"), ("b", "c")))


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"name": "x", "rule": "", "folds": 3})])
def test_what_is_no_fold_file_is_refused_in_one_sentence(tmp_path, content):
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(BrokenFile, match="not a fold file"):
        load_folds(tmp_path / "folds.json")


def test_a_missing_fold_file_and_too_few_patients_are_said(tmp_path):
    with pytest.raises(NothingFound, match="no such fold file"):
        load_folds(tmp_path / "nowhere.json")
    with pytest.raises(NothingFound, match="no such fold file"):
        load_folds("x" * 300)
    with pytest.raises(NothingFound, match="5 folds need at least 5 patients"):
        make_folds([Patient("a", "", 1)], "set")
    with pytest.raises(InputError, match="folds are 0 to 4"):
        load_folds("lgg").test(5)


def test_names_tell_patient_and_site_where_they_are_of_that_kind():
    assert patient_of("TCGA_HT_A61B_19991127") == "TCGA_HT_A61B"
    assert site_of("TCGA_HT_A61B") == "HT"
    assert (patient_of("case 7"), site_of("case 7")) == ("case 7", "")
    assert site_of("TCGA_CS_4941_19960909_1") == ""  # of a slice that counts as a patient


def test_the_inner_part_is_a_fixed_share():
    patients = [f"p{number:02}" for number in range(20)]
    assert inner_part(patients, 0.15, seed=1) == inner_part(reversed(patients), 0.15, seed=1)
    assert len(inner_part(patients, 0.15)) == 3
    assert inner_part(patients, 0.0) == ()


def test_the_sites_are_the_same_patients_divided_by_hospital() -> None:
    by_volume, by_site = load_folds("lgg"), load_folds("lgg-sites")
    assert sorted(name for fold in by_site.folds for name in fold) == sorted(
        name for fold in by_volume.folds for name in fold
    )
    assert [{site_of(name) for name in fold} for fold in by_site.folds] == [{"CS"}, {"DU"}, {"EZ"}, {"FG"}, {"HT"}]
