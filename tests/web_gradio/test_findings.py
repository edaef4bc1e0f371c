"""From files to findings, another threshold afterwards, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import UsageError
from core.inference.predictor import Predictor
from core.measure.lesions import find_lesions
from core.overlay import draw_overlay
from core.scan import Scan
from web_gradio import pictures, words
from web_gradio.findings import (
    OTHERS,
    Failure,
    Finding,
    Step,
    find_in_files,
    number_colours,
    report_unforeseen,
    sentence_of,
)
from web_gradio.settings import Settings
from web_gradio.wanted import Wanted


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor(tiny_model, "cpu", "fp32")


@pytest.fixture
def find(predictor: Predictor) -> Callable[..., Finding]:
    def run(path: Path, **wanted: object) -> Finding:
        *_, found = find_in_files([path], predictor, Wanted(**wanted), Settings())
        assert isinstance(found, Finding)
        return found

    return run


def test_another_threshold_gives_what_asking_for_it_at_first_would_have_given(
    find: Callable[..., Finding], scans: dict[str, Path]
) -> None:
    first = find(scans["stack.tif"], threshold=0.5)
    again, asked = first.at(0.35, 4), find(scans["stack.tif"], threshold=0.35, min_lesion=4)
    np.testing.assert_array_equal(again.result.mask, asked.result.mask)
    np.testing.assert_array_equal(again.numbers, asked.numbers)
    assert again.result.lesions == asked.result.lesions
    assert again.result.manifest["settings"] == asked.result.manifest["settings"]
    assert again.result.mask.sum() != first.result.mask.sum()


@pytest.mark.parametrize(("threshold", "min_lesion"), [(1.5, 0), (float("nan"), 0), (0.5, -1)])
def test_a_threshold_that_makes_no_sense_is_refused(
    find: Callable[..., Finding], scans: dict[str, Path], threshold: float, min_lesion: int
) -> None:
    with pytest.raises(UsageError):
        find(scans["slice.tif"]).at(threshold, min_lesion)


def test_lesions_bear_the_numbers_of_the_table() -> None:
    mask = np.random.default_rng(3).random((4, 40, 40)) > 0.9
    mask, lesions = find_lesions(mask, min_voxels=3)
    numbers = number_colours(mask, contiguous=True)
    assert len(lesions) > OTHERS
    np.testing.assert_array_equal(numbers > 0, mask)
    for lesion in lesions[: OTHERS - 1]:
        own = np.argwhere(numbers == lesion.label)
        assert len(own) == lesion.voxels
        assert tuple(zip(own.min(axis=0).tolist(), own.max(axis=0).tolist(), strict=True)) == lesion.box
    assert (numbers == OTHERS).sum() == sum(lesion.voxels for lesion in lesions[OTHERS - 1 :])


def test_pictures_show_every_pixel_of_the_mask_and_no_other(
    find: Callable[..., Finding], scans: dict[str, Path]
) -> None:
    finding = find(scans["slice.tif"])
    image, regions = pictures.annotated(finding, 0)
    covered = sum((region > 0).astype(int) for region, _ in regions)
    np.testing.assert_array_equal(covered, finding.result.mask[0].astype(int))
    before, after = pictures.before_and_after(finding, 0)
    np.testing.assert_array_equal(before, image)
    np.testing.assert_array_equal(before[:, :, 1], finding.scan.voxels[0, 0])
    np.testing.assert_array_equal(after, draw_overlay(finding.images[0], finding.result.mask[0]))


def test_the_first_slice_shown_is_that_with_most_lesion(find: Callable[..., Finding], scans: dict[str, Path]) -> None:
    finding = find(scans["stack.tif"])
    mask = np.zeros_like(finding.result.mask)
    mask[1, :3, :3] = mask[2, :2, :2] = True
    assert pictures.fullest_slice(replace(finding, result=replace(finding.result, mask=mask))) == 1


def test_a_file_that_fails_is_told_of_and_the_next_goes_on(predictor: Predictor, scans: dict[str, Path]) -> None:
    steps = list(find_in_files([scans["broken.tif"], scans["slice.tif"]], predictor, Wanted(), Settings()))
    failure, finding = [step for step in steps if not isinstance(step, Step)]
    assert isinstance(failure, Failure)
    assert isinstance(finding, Finding)
    assert str(scans["broken.tif"].parent) not in failure.sentence
    assert [row[0] for row in words.file_rows([failure, finding])] == ["broken", "slice"]


def test_files_that_are_together_too_much_are_told_so_one_by_one(predictor: Predictor, scans: dict[str, Path]) -> None:
    settings = Settings(memory_bytes=60_000)
    outcomes = [
        step
        for step in find_in_files([scans["slice.tif"], scans["stack.tif"]], predictor, Wanted(), settings)
        if not isinstance(step, Step)
    ]
    assert isinstance(outcomes[0], Finding)
    assert isinstance(outcomes[1], Failure)
    assert "too much for one go" in outcomes[1].sentence


def test_no_file_is_told_in_a_sentence(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        list(find_in_files([], predictor, Wanted(), Settings()))


def test_what_is_unforeseen_tells_no_visitor_a_path_and_the_log_no_name(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        Path("/home/me/DOE_JANE.tif").read_bytes()
    assert "/home" not in sentence_of(caught.value)
    report_unforeseen(caught.value)
    assert "FileNotFoundError at pathlib.py:" in caplog.text
    assert "DOE_JANE" not in caplog.text


def test_names_from_uploads_cannot_become_part_of_the_page(
    find: Callable[..., Finding], scans: dict[str, Path]
) -> None:
    finding = replace(find(scans["slice.tif"]), name="<img src=x onerror=alert(1)>")
    assert "<img" not in words.headline(finding)


def test_millimetres_and_millilitres_are_stated_only_where_they_are_known(
    find: Callable[..., Finding], scans: dict[str, Path], predictor: Predictor
) -> None:
    unknown = find(scans["stack.tif"])
    assert "mm" not in str(words.lesion_rows(unknown)) + words.headline(unknown)
    assert " ml" not in str(words.lesion_rows(unknown)) + words.headline(unknown)
    scan: Scan = replace(unknown.scan, spacing_mm=(5.0, 1.0, 1.0))
    case = replace(unknown.case, scan=scan)
    known = replace(unknown, case=case, result=predictor.finish(case))
    assert f"{known.result.mask.sum() * 5 / 1000:,.2f} ml in all" in words.headline(known)
    assert words.lesion_rows(known)[0][3].endswith(" ml")
