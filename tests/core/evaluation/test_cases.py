"""Labelled sets in the layouts that people have."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile

from core.errors import ChannelNeeded, NothingFound
from core.evaluation.cases import find_cases
from core.evaluation.patients import PatientRule
from core.io import read_mask, read_scan


def nnunet(root: Path, channels: int = 1, names: dict[str, str] | None = None) -> Path:
    (root / "imagesTr").mkdir(parents=True)
    (root / "labelsTr").mkdir()
    for case in (1, 2, 10):
        for channel in range(channels):
            volume = np.full((4, 8, 8), 10 * case + channel, np.uint8)
            tifffile.imwrite(
                root / "imagesTr" / f"brain_{case:03d}_{channel:04d}.tif", volume, photometric="minisblack"
            )
        label = np.zeros((4, 8, 8), np.uint8)
        label[1, :2, :case] = 3
        if case != 10:
            tifffile.imwrite(root / "labelsTr" / f"brain_{case:03d}.tif", label, photometric="minisblack")
    if names is not None:
        (root / "dataset.json").write_text(json.dumps({"channel_names": names}))
    return root


def test_nnunets_layout_is_paired_by_case(tmp_path: Path) -> None:
    found = find_cases(nnunet(tmp_path / "Dataset001"))
    assert [case.source.name for case in found.cases] == ["brain_001", "brain_002"]
    assert found.patients == ("brain_001", "brain_002")
    assert (found.name, found.unlabelled, found.channel_chosen) == ("Dataset001", ("brain_010",), True)
    second = found.cases[1].source
    assert read_scan(second).voxels[0, 0, 0, 0] == 20
    assert read_mask(second).sum() == 4


def test_nnunets_channel_is_the_one_called_flair_or_the_one_that_was_chosen(tmp_path: Path) -> None:
    named = nnunet(tmp_path / "a", 3, {"0": "T1", "1": "T2-FLAIR", "2": "T2"})
    assert read_scan(find_cases(named).cases[0].source).voxels.max() == 11
    assert read_scan(find_cases(named, channel=2).cases[0].source).voxels.max() == 12
    assert read_scan(find_cases(named, channel="t1").cases[0].source).voxels.max() == 10
    unnamed = nnunet(tmp_path / "b", 2)
    with pytest.raises(ChannelNeeded, match="0, 1"):
        find_cases(unnamed)
    with pytest.raises(ChannelNeeded, match="1 \\(T2-FLAIR\\)"):
        find_cases(named, channel="flair2")


def brats(root: Path, *cases: str, words: tuple[str, ...] = ("t1c", "t1n", "t2f", "t2w")) -> Path:
    """Volumes of one mask each case; a sequence's voxels are its number among the words."""
    for case in cases:
        (root / case).mkdir(parents=True)
        for number, word in enumerate((*words, "seg")):
            volume = nib.Nifti1Image(np.full((8, 8, 4), number, np.uint8), np.eye(4))
            nib.save(volume, root / case / f"{case}-{word}.nii.gz")
    return root


def test_of_sequences_that_share_a_mask_one_is_taken(tmp_path: Path) -> None:
    root = brats(tmp_path / "set", "BraTS-MET-00001-000", "BraTS-MET-00002-000")
    brats(root, "BraTS-MET-00003-000", words=("t1c", "t1n"))
    found = find_cases(root)
    assert (found.channel, found.channel_chosen) == ("flair", True)
    assert found.patients == ("BraTS-MET-00001", "BraTS-MET-00002")
    assert [read_scan(case.source).voxels.max() for case in found.cases] == [2, 2]
    assert found.unlabelled == ("BraTS-MET-00003-000-t1c",)
    contrasted = find_cases(root, channel="t1c")
    assert (contrasted.channel, len(contrasted.cases)) == ("t1w+contrast", 3)
    assert read_scan(contrasted.cases[0].source).voxels.max() == 0
    with pytest.raises(ChannelNeeded, match="--channel which: FLAIR, T1w, T1w\\+contrast, T2w"):
        find_cases(root, channel="swi")


def test_images_that_share_a_mask_and_tell_no_sequence_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(ChannelNeeded, match="do not tell which sequence each is"):
        find_cases(brats(tmp_path / "set", "anna", words=("a", "b")))


def test_cases_without_mask_or_channel_are_named(tmp_path: Path) -> None:
    nnunet(tmp_path, 2)
    (tmp_path / "imagesTr" / "brain_002_0001.tif").unlink()
    assert find_cases(tmp_path, channel=1).unlabelled == ("brain_002", "brain_010")


def test_images_beside_masks_are_a_set(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in ("anna_1", "anna_2", "berta_1", "berta_2"):
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", np.ones((8, 8), np.uint8))
    found = find_cases(tmp_path)
    assert found.patients == ("anna", "berta")
    assert [len(case.source.paths) for case in found.cases] == [2, 2]
    assert find_cases(tmp_path, PatientRule("/(.)[a-z]+_")).patients == ("a", "b")


def test_a_set_without_truth_is_said_to_be_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), np.uint8))
    with pytest.raises(NothingFound, match="no image with its mask"):
        find_cases(tmp_path)
    for name in ("b_1.tif", "b_2.tif", "b_1_mask.tif"):
        tifffile.imwrite(tmp_path / name, np.ones((8, 8), np.uint8))
    with pytest.raises(NothingFound, match="one without lesion needs an empty mask"):
        find_cases(tmp_path)
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    with pytest.raises(NothingFound, match="channel's number"):
        find_cases(tmp_path)
