"""Volumes on the page: read, told apart, segmented by the server, cut in three directions."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import metseg
from core.io import RawFile, read_scan_bytes
from core.views import views_of
from web_streamlit.cases import read_truth
from web_streamlit.downloads import mask_files, overlay_file
from web_streamlit.lesion_table import middle_of
from web_streamlit.pictures import Frame, grey_png, overlay_png
from web_streamlit.planes import point_of
from web_streamlit.settings import UPLOAD_LIMITS
from web_streamlit.surface import surface_figure

nibabel = pytest.importorskip("nibabel")
Open = Callable[..., AppTest]
# Columns run down, rows backwards, slices to the left: nothing lies as a picture would have it.
AFFINE = np.array([[0, 0, -2.0, 20], [0, -1.5, 0, 30], [-1.5, 0, 0, 40], [0, 0, 0, 1]])
SHAPE = (24, 40, 36)


def nifti(voxels: np.ndarray, affine: np.ndarray | None = AFFINE) -> bytes:
    """(slices, rows, columns) as .nii.gz; without an affine nobody knows how it lies."""
    image = nibabel.Nifti1Image(voxels.T, affine)
    image.header.set_zooms((1.5, 1.5, 2.0))
    if affine is None:
        image.header["qform_code"] = image.header["sform_code"] = 0
    return gzip.compress(image.to_bytes())


@pytest.fixture(scope="module")
def volume() -> bytes:
    return nifti(np.random.default_rng(3).integers(0, 255, SHAPE).astype(np.uint8))


@pytest.fixture
def found(open_page: Open, api_url: str, kit: SimpleNamespace, volume: bytes) -> AppTest:
    page = kit.find_lesions(kit.upload(open_page(api_url), ("head.nii.gz", volume)))
    assert not page.exception
    return page


def result_of(kit: SimpleNamespace, page: AppTest):
    desk = kit.desk_of(page)
    (each,) = desk.results()
    return desk, desk.result(*each)


def test_the_mask_is_the_command_s_where_the_volume_lies(
    found: AppTest, kit: SimpleNamespace, volume: bytes, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "head.nii.gz").write_bytes(volume)
    assert (
        metseg.main(
            ["segment", str(tmp_path / "head.nii.gz"), "--out", str(tmp_path / "out"), "--model", str(tiny_model)]
        )
        == 0
    )
    (written,) = (tmp_path / "out").rglob("*_mask.nii.gz")
    _, result = result_of(kit, found)
    ((name, content),) = mask_files(result).items()
    assert name == "head_mask.nii.gz"
    expected, got = nibabel.load(written), nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    np.testing.assert_array_equal(got.affine, AFFINE)
    np.testing.assert_array_equal(np.asarray(got.dataobj), np.asarray(expected.dataobj))
    assert np.asarray(got.dataobj).any()


def test_what_was_read_is_said_and_three_planes_are_offered(found: AppTest, kit: SimpleNamespace) -> None:
    said = "\n".join(part.value for part in found.markdown)
    assert "1.5 × 1.5 × 2 mm" in said
    assert "orientation unknown" not in said
    found.session_state["layout-True"] = "Three planes"
    found.run()
    assert not found.exception
    sliders = {slider.label: slider for slider in found.slider}
    assert {"Sagittal", "Coronal", "Axial"} <= set(sliders)
    desk, result = result_of(kit, found)
    views = {view.name: view for view in views_of(result.case.scan)}
    first = views_of(result.case.scan)[0]
    before = first.stored(point_of(desk, result.case, first))
    sliders["Coronal"].set_value(sliders["Coronal"].value % 40 + 1).run()
    after = first.stored(point_of(desk, result.case, first))
    moved = np.array(views["coronal"].place(after)) - views["coronal"].place(before)
    assert moved[0] != 0
    assert not moved[1:].any()  # the others stay where they are


def test_a_lesion_s_row_leads_to_a_voxel_of_it(found: AppTest, kit: SimpleNamespace) -> None:
    _, result = result_of(kit, found)
    view = views_of(result.case.scan)[0]
    lesion = result.finding.lesions[0]
    index, row, column = middle_of(result, lesion, view)
    low, high = zip(*lesion.box, strict=True)
    stored = view.stored((index, row, column))
    assert all(a <= place <= b for a, place, b in zip(low, stored, high, strict=True))
    areas = [int(view.cut(result.finding.mask, n).sum()) for n in range(view.shape[0])]
    assert areas[index] > 0


def test_letters_stand_where_the_orientation_is_known_and_only_there(
    found: AppTest, open_page: Open, api_url: str, kit: SimpleNamespace
) -> None:
    _, result = result_of(kit, found)
    assert all(view.letters for view in views_of(result.case.scan))
    voxels = np.random.default_rng(4).integers(0, 255, SHAPE).astype(np.uint8)
    page = kit.upload(open_page(api_url), ("head.nii.gz", nifti(voxels, None)))
    assert "orientation unknown" in "\n".join(part.value for part in page.markdown)
    (case,) = kit.desk_of(page).reading.cases
    assert [view.letters for view in views_of(case.scan)] == [None] * 3


def test_without_letters_a_picture_is_the_slice_itself(kit: SimpleNamespace) -> None:
    grey = kit.noise(64, 64)
    bare = cv2.imdecode(np.frombuffer(grey_png(grey), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(bare, grey.repeat(8, axis=0).repeat(8, axis=1))
    lettered = cv2.imdecode(
        np.frombuffer(grey_png(grey, Frame(letters=("R", "L", "A", "P"))), np.uint8), cv2.IMREAD_COLOR
    )
    assert (lettered != bare[:, :, None]).any()


@pytest.mark.parametrize("aspect", [0.4, 1.0, 3.0])
def test_pictures_have_true_proportions(kit: SimpleNamespace, aspect: float) -> None:
    grey, mask = kit.noise(50, 60), kit.noise(50, 60) > 200
    content = overlay_png(grey, mask, None, 0.5, True, Frame(aspect, cross=(0.5, 0.5)))
    height, width, _ = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape
    assert height / width == pytest.approx(50 * aspect / 60, rel=0.02)


def test_surfaces_lie_in_the_millimetres_of_the_lesions(found: AppTest, kit: SimpleNamespace) -> None:
    found.session_state["layout-True"] = "Surface"
    found.run()
    assert not found.exception
    _, result = result_of(kit, found)
    figure = surface_figure(result)
    lesions = {trace["name"]: trace for trace in figure["data"]}
    assert "head" in lesions
    lesion = result.finding.lesions[0]
    ends = np.array([[*(pair[end] for pair in lesion.box[::-1]), 1] for end in (0, 1)]) @ AFFINE.T
    for axis, values in enumerate("xyz"):
        low, high = sorted(ends[:, axis])
        drawn = lesions["1"][values]
        assert low - 2 <= drawn.min() <= low + 2
        assert high - 2 <= drawn.max() <= high + 2


def test_truth_that_lies_elsewhere_is_no_truth(volume: bytes) -> None:
    scan = read_scan_bytes(volume, "head")
    moved = AFFINE.copy()
    moved[0, 3] += 5
    truth = np.zeros(SHAPE, np.uint8)
    truth[3, 4, 5] = 1
    mask = read_truth([RawFile("mask.nii.gz", nifti(truth))], scan, UPLOAD_LIMITS)
    assert np.argwhere(mask).tolist() == [[3, 4, 5]]
    with pytest.raises(Exception, match="elsewhere"):
        read_truth([RawFile("mask.nii.gz", nifti(truth, moved))], scan, UPLOAD_LIMITS)


def test_the_overlay_is_a_picture(found: AppTest, kit: SimpleNamespace) -> None:
    _, result = result_of(kit, found)
    assert cv2.imdecode(np.frombuffer(overlay_file(result), np.uint8), cv2.IMREAD_COLOR) is not None
    assert io.BytesIO(overlay_file(result)).read(4) == b"\x89PNG"


@pytest.fixture(scope="module")
def two_series(dicom_files: Any) -> list[Any]:
    """Files of two series of one person."""
    volume = np.random.default_rng(5).integers(0, 900, (4, 40, 44)).astype(np.int16)
    texts = {"PatientName": "Planted^A", "SeriesDescription": "Planted description"}
    other = dicom_files.slices(volume[:3], root="1.2.9", SeriesInstanceUID="1.2.9", **texts)
    return [*dicom_files.slices(volume, **texts), *other]


def packed(files: list[Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, file in enumerate(files):
            archive.writestr(f"{number}", file.content)
    return buffer.getvalue()


def test_of_several_series_the_user_chooses_one_and_may_choose_another(
    open_page: Open, api_url: str, kit: SimpleNamespace, two_series: list[Any]
) -> None:
    page = kit.upload(open_page(api_url), ("scans.zip", packed(two_series)))
    (box,) = (box for box in page.selectbox if "2 series" in box.label)
    assert not kit.desk_of(page).reading.cases
    assert "Planted" not in str(box.options)
    slices = []
    for option in box.options:
        (box,) = (box for box in page.selectbox if "2 series" in box.label)
        box.set_value(next(key for key in keys_of(kit, page) if told(kit, page)[key] == option)).run()
        assert not page.exception
        (case,) = kit.desk_of(page).reading.cases
        slices.append(case.scan.shape[0])
    assert sorted(slices) == [3, 4]
    kit.find_lesions(page)
    _, result = result_of(kit, page)
    assert {name.partition(".")[2] for name in mask_files(result)} == {"dcm", "nii.gz"}


def choose(page: AppTest, number: str) -> AppTest:
    (box,) = (box for box in page.selectbox if "series" in box.label)
    page = box.set_value(number).run()
    assert not page.exception
    return page


@pytest.mark.parametrize("number", ["1", "2"])
def test_of_loose_files_of_several_series_any_can_be_segmented(
    open_page: Open, api_url: str, kit: SimpleNamespace, two_series: list[Any], number: str
) -> None:
    loose = [(f"{index}.dcm", file.content) for index, file in enumerate(two_series)]
    page = kit.find_lesions(choose(kit.upload(open_page(api_url), *loose), number))
    assert kit.desk_of(page).failed == ()
    _, result = result_of(kit, page)
    zipped = kit.find_lesions(choose(kit.upload(open_page(api_url), ("both.zip", packed(two_series))), number))
    _, same = result_of(kit, zipped)
    assert result.case.scan.shape == same.case.scan.shape
    np.testing.assert_array_equal(result.finding.mask, same.finding.mask)


@pytest.mark.usefixtures("uploads")
def test_another_series_can_be_chosen_after_another_source_was_looked_at(
    open_page: Open, api_url: str, kit: SimpleNamespace, two_series: list[Any]
) -> None:
    page = choose(kit.upload(open_page(api_url), ("scans.zip", packed(two_series))), "1")
    slices = [case.scan.shape[0] for case in kit.desk_of(page).reading.cases]
    for source in ("Example", "Files"):
        page.segmented_control(key="source").set_value(source).run()
    choose(page, "2")
    slices += [case.scan.shape[0] for case in kit.desk_of(page).reading.cases]
    assert sorted(slices) == [3, 4]


def test_a_series_is_asked_for_anew_when_the_files_change(
    open_page: Open, api_url: str, kit: SimpleNamespace, two_series: list[Any], dicom_files: Any
) -> None:
    first = [(f"a{index}.dcm", file.content) for index, file in enumerate(two_series)]
    volume = np.random.default_rng(6).integers(0, 900, (6, 40, 44)).astype(np.int16)
    others = dicom_files.slices(volume, root="1.2.8", SeriesInstanceUID="1.2.8")
    others += dicom_files.slices(volume[:5], root="1.2.7", SeriesInstanceUID="1.2.7")
    second = [(f"b{index}.dcm", file.content) for index, file in enumerate(others)]
    page = choose(kit.upload(open_page(api_url), *first), "2")
    desk = kit.desk_of(page)
    assert [case.scan.shape[0] for case in desk.reading.cases] == [3]

    def asked(slices: set[int]) -> None:
        assert not page.exception
        assert desk.reading.cases == ()
        (box,) = (box for box in page.selectbox if "series" in box.label)
        assert box.value is None
        assert {int(option.split(" slices")[0].split()[-2]) for option in box.options} == slices

    kit.upload(page, *second)
    asked({5, 6})
    choose(page, "1")
    next(button for button in page.button if button.label == "Remove these files").click().run()
    assert (desk.series, desk.choices) == ({}, {})
    kit.upload(page, *first)
    asked({3, 4})


def test_a_choice_stays_where_other_files_come_beside(
    open_page: Open, api_url: str, kit: SimpleNamespace, two_series: list[Any]
) -> None:
    zipped = ("scans.zip", packed(two_series))
    page = kit.find_lesions(choose(kit.upload(open_page(api_url), zipped), "2"))
    desk = kit.desk_of(page)
    (found,) = desk.found.values()
    kit.upload(page, zipped, ("other.tif", kit.tiff(kit.noise(40, 44))))
    assert [case.series for case in desk.reading.cases] == [None, "2"]
    assert list(desk.found.values()) == [found]


def told(kit: SimpleNamespace, page: AppTest) -> dict[str, str]:
    ((_, choices),) = kit.desk_of(page).choices.items()
    return {choice.key: choice.description for choice in choices}


def keys_of(kit: SimpleNamespace, page: AppTest) -> list[str]:
    return list(told(kit, page))


def test_a_folder_of_dicom_files_goes_to_the_server_as_one_series(
    open_page: Open, api_url: str, kit: SimpleNamespace, two_series: list[Any]
) -> None:
    files = [(f"folder/{number:03}.dcm", file.content) for number, file in enumerate(two_series[:4])]
    page = kit.find_lesions(kit.upload(open_page(api_url), *files))
    assert not page.exception
    desk, result = result_of(kit, page)
    assert result.case.scan.shape == (4, 40, 44)
    alone = kit.find_lesions(kit.upload(open_page(api_url), ("series.zip", packed(two_series[:4]))))
    _, same = result_of(kit, alone)
    np.testing.assert_array_equal(result.finding.mask, same.finding.mask)
    assert result.finding.mask.any()
    assert desk.failed == ()
