"""Finding volumes, series, archives and their masks by names."""

from pathlib import Path

import pytest

from core.errors import InputError
from core.io import find_scans, masks_without_image, read_scan
from core.io.names import stem_of


def put(folder: Path, *names: str, content: bytes = b"") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def found(folder):
    return {
        source.name: ([path.name for path in source.paths], [mask and mask.name for mask in source.mask_paths])
        for source in find_scans(folder)
    }


DICOM = bytes(128) + b"DICM"


def test_each_volume_is_a_case_with_its_mask(tmp_path):
    put(tmp_path, "a_1.nii.gz", "a_2.nii", "a_2_mask.nii.gz", "b.nii.gz", "b_mask.nii", "b_probability.nii.gz")
    assert found(tmp_path) == {
        "a_1": (["a_1.nii.gz"], [None]),
        "a_2": (["a_2.nii"], ["a_2_mask.nii.gz"]),
        "b": (["b.nii.gz"], ["b_mask.nii"]),
    }


def test_bids_masks_belong_to_each_sequence_of_their_subject(tmp_path):
    anat = "sub-1/ses-1/anat/"
    put(tmp_path, f"{anat}sub-1_ses-1_FLAIR.nii.gz", f"{anat}sub-1_ses-1_T1w.nii.gz", f"{anat}sub-1_ses-2_T1w.nii.gz")
    mask = "sub-1_ses-1_label-lesion_desc-expert_mask.nii.gz"
    put(tmp_path, anat + mask, f"{anat}sub-1_ses-1_label-L_probseg.nii.gz")
    assert found(tmp_path) == {
        "sub-1_ses-1_FLAIR": (["sub-1_ses-1_FLAIR.nii.gz"], [mask]),
        "sub-1_ses-1_T1w": (["sub-1_ses-1_T1w.nii.gz"], [mask]),
        "sub-1_ses-2_T1w": (["sub-1_ses-2_T1w.nii.gz"], [None]),
    }


def test_brats_and_folders_of_labels_are_understood(tmp_path):
    put(tmp_path / "brats", "P-1-t2f.nii.gz", "P-1-t1c.nii.gz", "P-1-seg.nii.gz", "P-2-t2f.nii.gz")
    assert found(tmp_path / "brats") == {
        "P-1-t1c": (["P-1-t1c.nii.gz"], ["P-1-seg.nii.gz"]),
        "P-1-t2f": (["P-1-t2f.nii.gz"], ["P-1-seg.nii.gz"]),
        "P-2-t2f": (["P-2-t2f.nii.gz"], [None]),
    }
    put(tmp_path / "set", "images/p.nii.gz", "labels/p.nii.gz", "labels/q.nii.gz")
    assert found(tmp_path / "set") == {"p": (["p.nii.gz"], ["p.nii.gz"])}
    assert [path.name for path in masks_without_image(tmp_path / "set")] == ["q.nii.gz"]


def test_a_lone_file_finds_its_mask_in_every_layout(tmp_path):
    put(
        tmp_path,
        "p.nii.gz",
        "p_mask.nii.gz",
        "sub-1_FLAIR.nii",
        "sub-1_label-L_mask.nii.gz",
        "images/q.nii",
        "masks/q.nii",
    )
    for file, mask in (
        ("p.nii.gz", "p_mask.nii.gz"),
        ("sub-1_FLAIR.nii", "sub-1_label-L_mask.nii.gz"),
        ("images/q.nii", "masks/q.nii"),
    ):
        (source,) = find_scans(tmp_path / file)
        assert source.name == stem_of(Path(file).name)
        assert source.mask_paths == (tmp_path / mask,)


@pytest.mark.parametrize("names", [("10.dcm", "9.dcm"), ("I10", "I9"), ("1.2.840.10", "1.2.840.9"), ("b.IMA", "a.dcm")])
def test_a_folder_of_dicom_files_is_one_case(tmp_path, names):
    put(tmp_path / "series", *names, content=DICOM)
    put(tmp_path / "series", "DICOMDIR", content=DICOM)
    put(tmp_path / "series", "report.pdf", "notes.txt")
    (source,) = find_scans(tmp_path)
    assert source.name == "series"
    assert [path.name for path in source.paths] == list(names[::-1])


def test_files_without_a_suffix_are_dicom_only_if_they_look_so(tmp_path):
    put(tmp_path, "LICENSE", "Makefile", content=b"text")
    put(tmp_path, "p.nii", "study.zip")
    assert list(found(tmp_path)) == ["p", "study"]


def test_a_folder_with_one_case_is_read_and_one_with_several_is_not(tmp_path):
    import nibabel as nib
    import numpy as np

    put(tmp_path, "one/p.nii", content=nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4)).to_bytes())
    scan = read_scan(tmp_path / "one")
    assert (scan.name, scan.shape) == ("p", (6, 5, 4))
    put(tmp_path, "one/q.nii")
    with pytest.raises(InputError, match="2 cases"):
        read_scan(tmp_path / "one")


@pytest.mark.parametrize("name", ["mask", "seg"])
def test_a_volume_called_mask_is_that_of_all_sequences_beside_it(tmp_path, name):
    put(tmp_path, "p/flair.nii.gz", "p/t1.nii.gz", f"p/{name}.nii.gz")
    mask = [f"{name}.nii.gz"]
    assert found(tmp_path) == {"flair": (["flair.nii.gz"], mask), "t1": (["t1.nii.gz"], mask)}


@pytest.mark.parametrize("end", [".nii.gz", ".png"])
def test_nnunets_labels_are_no_scans_and_belong_to_every_channel(tmp_path, end):
    put(tmp_path, *(f"imagesTr/B_001_{channel:04}{end}" for channel in range(2)), f"labelsTr/B_001{end}")
    put(tmp_path, f"imagesTs/B_002_0000{end}", f"labelsTs/B_002{end}")
    case = {name: ([f"{name}{end}"], [f"{name[:5]}{end}"]) for name in ("B_001_0000", "B_001_0001", "B_002_0000")}
    assert found(tmp_path) == case
    (alone,) = find_scans(tmp_path / f"imagesTr/B_001_0001{end}")
    assert alone.mask_paths == (tmp_path / f"labelsTr/B_001{end}",)
