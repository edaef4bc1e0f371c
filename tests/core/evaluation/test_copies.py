"""Leaks that were planted are found, and different people are told apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from core.errors import InputError
from core.evaluation.cases import find_cases
from core.evaluation.copies import ALIKE, find_shared, print_slices, read_prints, refuse_shared
from core.evaluation.patients import PatientRule
from core.io import read_scan
from core.scan import Scan

WRITE = Callable[[Path, str, int], Path]


def refuse(folder: Path, rule: PatientRule | None = None) -> None:
    refuse_shared(read_prints(find_cases(folder, rule).cases))


def test_different_patients_share_nothing(still_heads: Path) -> None:
    refuse(still_heads)


def test_a_patient_renamed_is_found_and_both_names_are_told(heads: Path) -> None:
    original = heads / "TCGA_CS_4000_19990101"
    copy = heads / "TCGA_HT_9999_20010101"
    copy.mkdir()
    for path in original.iterdir():
        shutil.copy(path, copy / path.name.replace(original.name, copy.name))
    with pytest.raises(InputError, match="two patients share images \\(3 alike") as told:
        refuse(heads)
    assert told.value.source == f"{original.name} and {copy.name}"
    assert "TCGA" not in told.value.detail


def test_a_single_slice_copied_into_another_patient_is_found(heads: Path) -> None:
    shutil.copy(
        heads / "TCGA_CS_4002_19990101" / "TCGA_CS_4002_19990101_2.tif",
        heads / "TCGA_DU_4005_19990101" / "TCGA_DU_4005_19990101_3.tif",
    )
    with pytest.raises(InputError, match="1 alike; slice 2 of the first is slice 3 of the second"):
        refuse(heads)


@pytest.mark.parametrize("change", ["png", "colour", "wide", "twice as large", "brighter", "jpeg", "trimmed"])
def test_a_copy_saved_anew_is_found(
    heads: Path, draw: Callable[..., tuple[np.ndarray, np.ndarray]], change: str
) -> None:
    images, truth = draw(3)
    other = heads / "other"
    other.mkdir()
    for number, image in enumerate(images):
        match change:
            case "colour":  # the original as FLAIR among two other channels, as the LGG set keeps it
                tifffile.imwrite(other / f"{number}.tif", np.stack([image // 3, image, 255 - image], axis=-1))
            case "wide":
                tifffile.imwrite(other / f"{number}.tif", image.astype(np.uint16) * 13)
            case "twice as large":
                cv2.imwrite(
                    str(other / f"{number}.png"), cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
                )
            case "brighter":
                cv2.imwrite(str(other / f"{number}.png"), cv2.convertScaleAbs(image, alpha=1.3, beta=10))
            case "jpeg":
                cv2.imwrite(str(other / f"{number}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
            case "trimmed":
                cv2.imwrite(str(other / f"{number}.png"), image[3:-3, 5:-5])
            case _:
                cv2.imwrite(str(other / f"{number}.png"), image)
        shape = truth[number].shape if change not in ("twice as large", "trimmed") else cv2.imread(
            str(other / f"{number}.png"), cv2.IMREAD_GRAYSCALE
        ).shape  # fmt: skip
        cv2.imwrite(str(other / f"{number}_mask.png"), np.full(shape, 255, np.uint8))
    with pytest.raises(InputError, match="3 alike") as told:
        refuse(heads)
    assert told.value.source in ("other and TCGA_DU_4003_19990101", "TCGA_DU_4003_19990101 and other")


SYMMETRIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "left for right": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "half a turn": lambda image: image[::-1, ::-1],
    "a quarter turn": lambda image: np.rot90(image),
    "three quarters": lambda image: np.rot90(image, 3),
    "transposed": lambda image: image.T,
    "transposed at the other diagonal": lambda image: np.rot90(image, 2).T,
}


@pytest.mark.parametrize("saved", ["as it was", "jpeg", "larger"])
@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_copy_mirrored_or_turned_is_found(
    heads: Path, draw: Callable[..., tuple[np.ndarray, np.ndarray]], symmetry: str, saved: str
) -> None:
    images, truth = draw(3)
    other = heads / "other"
    other.mkdir()
    for number, picture in enumerate(images):
        image = np.ascontiguousarray(SYMMETRIES[symmetry](picture[:, 4:]))  # of two unequal sides
        if saved == "larger":
            image = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(other / f"{number}.{'jpg' if saved == 'jpeg' else 'png'}"), image)
        cv2.imwrite(str(other / f"{number}_mask.png"), np.full(image.shape, 255 * truth[number].any(), np.uint8))
    with pytest.raises(
        InputError, match=r"3 alike; slice (.) of the first is slice \1 of the second, mirrored"
    ) as told:
        refuse(heads)
    assert told.value.source in ("other and TCGA_DU_4003_19990101", "TCGA_DU_4003_19990101 and other")


def test_a_copy_as_it_was_is_not_called_mirrored_even_of_a_symmetric_head(
    draw: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    images, _ = draw(3)
    symmetric = np.concatenate([images[:, :, :32], images[:, :, 31::-1]], axis=2)[:, None]
    one, other = (print_slices(scan(symmetric, name), name) for name in "ab")
    (shared,) = find_shared([one], [other])
    assert not shared.turned
    (shared,) = find_shared([one], [print_slices(scan(symmetric[:, :, ::-1], "b"), "b")])
    assert shared.turned
    assert shared.likeness > 0.99


def test_one_patients_own_cases_may_be_alike(heads: Path, write: WRITE) -> None:
    write(heads, "TCGA_CS_4000_20020202", 0)
    refuse(heads)
    with pytest.raises(InputError, match="share images"):
        refuse(heads, PatientRule("([^/]+)/"))


def scan(voxels: np.ndarray, name: str = "a") -> Scan:
    return Scan(name, voxels)


def test_empty_slices_leave_no_print() -> None:
    draw = np.random.default_rng(0)
    empty = (
        np.concatenate([np.zeros((1, 1, 64, 64)), draw.normal(1, 0.4, (2, 1, 64, 64))]).clip(0, 255).astype(np.uint8)
    )
    assert len(print_slices(scan(empty), "a").slices) == 0
    nothing = print_slices(scan(np.full((2, 1, 40, 40), np.nan, np.float32)), "b")
    assert len(nothing.slices) == 0
    assert find_shared([nothing, nothing]) == ()
    assert find_shared([], [nothing]) == ()


def test_prints_held_against_others_find_the_same_as_among_themselves(heads: Path, write: WRITE) -> None:
    write(heads, "z", 1)
    prints = read_prints(find_cases(heads).cases)
    (among,) = find_shared(prints)
    (against,) = find_shared(prints[:-1], prints[-1:])
    assert among == against
    assert among.likeness > ALIKE
    assert set(among.patients) == {"TCGA_DU_4001", "z"}


def test_many_slices_are_compared_in_blocks(heads: Path, write: WRITE, monkeypatch: pytest.MonkeyPatch) -> None:
    write(heads, "z", 1)
    prints = read_prints(find_cases(heads).cases)
    whole = find_shared(prints)
    monkeypatch.setattr("core.evaluation.copies.ROWS_AT_ONCE", 2)
    (cut,) = find_shared(prints)
    assert cut.cases == whole[0].cases
    assert cut.count == whole[0].count == 3
    assert cut.likeness == pytest.approx(whole[0].likeness, abs=1e-6)


def test_real_patients_are_told_apart_and_a_renamed_one_is_found(lgg_root: Path) -> None:
    cases = find_cases(lgg_root).cases[:6]
    prints = read_prints(cases)
    assert find_shared(prints) == ()
    copy = print_slices(replace(read_scan(cases[0].source), name="copy"), "somebody else")
    (shared,) = find_shared([*prints, copy])
    assert shared.count == len(copy.slices) > 5
    assert shared.cases == (cases[0].source.name, "copy")
    for turn in (lambda voxels: voxels[..., ::-1], lambda voxels: np.rot90(voxels, axes=(2, 3))):
        original = read_scan(cases[0].source)
        copy = print_slices(replace(original, name="copy", voxels=turn(original.voxels)), "somebody else")
        (shared,) = find_shared([*prints, copy])
        assert shared.count == len(copy.slices)
        assert shared.turned
