"""What a scan is called, and what its tags say, becomes one of a few words or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sequence import SEQUENCES, same_sequence, sequence_of_names, sequence_of_tags, sequence_of_text

DESCRIPTIONS = {
    "AX FLAIR": "FLAIR",
    "Ax T2 FLAIR FS": "FLAIR",
    "tirm_tra_dark-fluid": "FLAIR",
    "3D CUBE T2FLAIR SAG": "FLAIR",
    "t2_space_dark-fluid_sag_p2": "FLAIR",
    "AX T1 FLAIR": "T1w",
    "SAG T1": "T1w",
    "t1_mprage_sag_p2_iso": "T1w",
    "IR-FSPGR BRAIN": "T1w",
    "Ax T1 +C": "T1w+contrast",
    "T1 AX POST GAD": "T1w+contrast",
    "t1_mpr_km_tra MPRAGE": "T1w+contrast",
    "T1 pre contrast": "T1w",
    "T1 without contrast": "T1w",
    "T1 post-op": "T1w",
    "T1 no contrast": "T1w",
    "patient_no_5_t1ce": "T1w+contrast",
    "AX T2 TSE": "T2w",
    "T2 SPACE": "T2w",
    "AX T2*": "T2*w",
    "Ax T2 star GRE": "T2*w",
    "STIR COR T2": "STIR",
    "PD AX": "PDw",
    "ep2d_diff_b1000": "DWI",
    "AX DWI b1000 TRACEW": "DWI",
    "Apparent Diffusion Coefficient": "ADC",
    "ADC map of DWI": "ADC",
    "SWI_Images": "SWI",
    "ep2d perf DSC T2*": "perfusion",
    "TOF 3D multi-slab": "angiography",
    "localizer": None,
    "": None,
    "T1 and T2 map": None,
}
NAMES = {
    "sub-01_FLAIR.nii.gz": "FLAIR",
    "sub-01_ses-2_acq-T1like_run-1_FLAIR.nii": "FLAIR",
    "sub-flair7_T2w.nii.gz": "T2w",
    "sub-01_ce-gadolinium_T1w.nii.gz": "T1w+contrast",
    "sub-01_T2starw.nii.gz": "T2*w",
    "sub-01_task-rest_bold.nii.gz": "BOLD",
    "sub-01_T1map.nii.gz": None,
    "CASE-00110-000-t1c.nii.gz": "T1w+contrast",
    "CASE-00110-000-t1n.nii.gz": "T1w",
    "CASE-00110-000-t2f.nii.gz": "FLAIR",
    "CASE-00110-000-t2w.nii.gz": "T2w",
    "MRHR_FLAIR_AX_FG-6692_SE_IR_5_tir2d1_21_fla.nii.gz": "FLAIR",
    "MRHR_T1_AX_POST_GAD_FG-6692_SE_13_se2d1r_t1c.nii.gz": "T1w+contrast",
    "MRHR_T2_AX_FG-6692_SE_2_tse2d1_11_t2.nii.gz": "T2w",
    "flair_in_t1_space.png": None,
    "head_ct.tif": "CT",
    "patient_pd_17.png": None,
    "TCGA_CS_4941_19960909_12.tif": None,
    "IM0001": None,
}


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_description_tells_its_sequence(text: str) -> None:
    assert sequence_of_text(text) == DESCRIPTIONS[text]


@pytest.mark.parametrize("name", NAMES)
def test_a_files_name_tells_its_sequence(name: str) -> None:
    assert sequence_of_names([name]) == NAMES[name]
    assert sequence_of_names([f"some/folder/{name}"]) == NAMES[name]


def test_a_folder_tells_where_its_files_do_not() -> None:
    assert sequence_of_names(["a/T1w/IM1.dcm", "a/T1w/IM2.dcm"]) == "T1w"
    assert sequence_of_names(["C:\\scans\\AX FLAIR\\1.png"]) == "FLAIR"


def test_names_that_differ_tell_nothing() -> None:
    assert sequence_of_names(["x/t1/a_flair.png", "x/t1/a_t2w.png"]) is None
    assert sequence_of_names([]) is None


FLUID = {"ScanningSequence": ["SE", "IR"], "RepetitionTime": 5000.0, "EchoTime": 388.0, "InversionTime": 1800.0}


@pytest.mark.parametrize(
    ("tags", "sequence"),
    [
        ({"Modality": "CT", "SeriesDescription": "T1"}, "CT"),
        ({"Modality": "PT"}, "PET"),
        ({"Modality": "US"}, "other"),
        ({"Modality": "OT"}, None),
        ({"Modality": "MR", "SeriesDescription": "AX T1", "ContrastBolusAgent": "Gadovist"}, "T1w+contrast"),
        (
            {"Modality": "MR", "SeriesDescription": "AX T1", "ContrastBolusAgent": "0.1 mmol/kg Gadovist"},
            "T1w+contrast",
        ),
        ({"Modality": "MR", "SeriesDescription": "AX T1", "ContrastBolusAgent": "07 ml Dotarem"}, "T1w+contrast"),
        ({"Modality": "MR", "SeriesDescription": "AX T1", "ContrastBolusAgent": "Nova"}, "T1w+contrast"),
        ({"Modality": "MR", "SeriesDescription": "AX T1", "ContrastBolusAgent": "NONE"}, "T1w"),
        ({"Modality": "MR", "SeriesDescription": "AX T1", "ContrastBolusAgent": "No contrast given"}, "T1w"),
        ({"Modality": "MR", "SeriesDescription": "AX T1", "ContrastBolusAgent": "0 ml"}, "T1w"),
        ({"Modality": "MR", "SeriesDescription": "AX FLAIR", "ContrastBolusAgent": "Gadovist"}, "FLAIR"),
        ({"Modality": "MR", "SeriesDescription": "head", "ProtocolName": "t2_tse_tra"}, "T2w"),
        ({"Modality": "MR", "ImageType": ["DERIVED", "PRIMARY", "ADC"]}, "ADC"),
        ({"Modality": "MR", "AcquisitionContrast": "FLUID_ATTENUATED", "SeriesDescription": "T2"}, "FLAIR"),
        ({"Modality": "MR", "SeriesDescription": "AX FLAIR T1 T2 set"}, None),
        ({"Modality": "MR", "SeriesDescription": "t2_tirm_tra_p2", **FLUID}, "FLAIR"),
        ({"Modality": "MR", "SeriesDescription": "t2_tirm_tra_p2", **FLUID, "InversionTime": None}, "T2w"),
        ({"Modality": "MR", "SeriesDescription": "t1_space", **FLUID}, "T1w"),
        ({}, None),
    ],
)
def test_tags_tell_the_sequence(tags: dict[str, object], sequence: str | None) -> None:
    assert sequence_of_tags(tags) == sequence


@pytest.mark.parametrize(
    ("kind", "echo", "repetition", "inversion", "sequence"),
    [
        (["SE", "IR"], 120, 9000, 2500, "FLAIR"),
        (["SE", "IR"], 390, 5000, 1650, "FLAIR"),
        (["SE"], 12, 500, None, "T1w"),
        (["GR", "IR"], "2.3", "1900", "900", "T1w"),
        (["SE"], 100, 4500, 0, "T2w"),
        (["SE"], 20, 2500, None, "PDw"),
        (["SE", "IR"], 60, 4000, 150, "STIR"),
        (["GR"], 20, 600, None, "T2*w"),
        (["EP"], 90, 6000, None, None),
        (["SE"], "nan?", 6000, None, None),
    ],
)
def test_times_tell_the_weighting_where_no_text_does(
    kind: list[str], echo: object, repetition: object, inversion: object, sequence: str | None
) -> None:
    tags = {"Modality": "MR", "ScanningSequence": kind, "EchoTime": echo, "RepetitionTime": repetition}
    tags |= {} if inversion is None else {"InversionTime": inversion}
    assert sequence_of_tags(tags) == sequence
    assert sequence_of_tags({**tags, "DiffusionBValue": 1000.0}) == "DWI"


@given(st.text())
def test_nothing_but_the_closed_set_ever_comes_out(text: str) -> None:
    tags = {"Modality": text, "SeriesDescription": text, "ImageType": [text], "EchoTime": text, "ProtocolName": text}
    answers = {sequence_of_text(text), sequence_of_names([text]), sequence_of_tags(tags)}
    assert answers <= {None, *SEQUENCES}


@pytest.mark.parametrize(
    ("sequence", "wanted", "same"),
    [
        ("FLAIR", "flair", True),
        ("T2-FLAIR", "flair", True),
        ("T1w", "flair", False),
        ("T1w+contrast", "t1ce", True),
        ("T1w", "t1ce", False),
        (None, "flair", None),
        ("T1w", "channel 0", None),
        ("FLAIR", "T1w+contrast", False),
    ],
)
def test_a_sequence_is_held_against_what_a_model_learnt(sequence: str | None, wanted: str, same: bool | None) -> None:
    assert same_sequence(sequence, wanted) is same
