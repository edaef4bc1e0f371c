"""Volumes in the window: which side is which, three views of one place, series, and masks in the form of the input."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtGui import QMouseEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from core.phantom import make_phantom
from desktop.session.display import eight_bit
from tests.desktop.hands import Held, Key, press, settle

OpenWindow = Callable[..., Any]
SIDE, SLICES = 32, 12
STORED = ("LPS", "RAS", "PSR", "ILA")
"""Towards which end of the body columns, rows and slices run."""


@pytest.fixture(scope="module")
def made_volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One head, stored in several ways, with its truth: 32 × 32 pixels of 2 mm, 12 slices of 3 mm."""
    folder = tmp_path_factory.mktemp("volumes")
    scan, truth = make_phantom(3, slices=SLICES, size=SIDE)
    # The phantom shows noses up and the right side at the left, slices from below.
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    affine[:3, 3] = (31.0, 33.0, -18.0)
    for name, values in (("", scan.voxels[:, 0]), ("_mask", truth.astype(np.uint8))):
        image = nibabel.Nifti1Image(values.transpose(2, 1, 0).astype(np.int16), affine)
        for code in STORED:
            old, new = nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(tuple(code))
            turned = image.as_reoriented(nibabel.orientations.ornt_transform(old, new))
            nibabel.save(turned, folder / f"{code}{name}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def made_answers(
    made_volumes: Path, tiny_model: Path, work: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    said = work(made_volumes, tiny_model, folder)
    assert [each["event"] for each in said if each["event"] != "progress"] == ["done"] * len(STORED)
    return folder


@pytest.fixture
def volumes(made_volumes: Path, made_answers: Path, tmp_path: Path) -> Path:
    """The same, segmented already."""
    shutil.copytree(made_answers, tmp_path / "cache" / "review-results")
    return made_volumes


def names(window: Any) -> list[str]:
    return [case.name for case in window.desk.review.cases]


def goto(qtbot: Any, window: Any, number: int) -> None:
    window.desk.show(window.desk.review.cases[number])
    qtbot.waitUntil(lambda: window.reader.case.number == number + 1, timeout=120000)
    settle(qtbot, window)


def move_mouse(pane: Any, place: QPointF, held: Qt.KeyboardModifier) -> None:
    none = Qt.MouseButton.NoButton
    event = QMouseEvent(QMouseEvent.Type.MouseMove, place, pane.mapToGlobal(place), none, none, held)
    QApplication.sendEvent(pane, event)


def screen_of(pane: Any, row: int, column: int) -> QPoint:
    return pane.to_screen(column + 0.5, row + 0.5).toPoint()


def test_a_head_looks_the_same_however_it_is_stored_and_its_sides_are_named(
    qtbot: Any, open_window: OpenWindow, volumes: Path
) -> None:
    window = open_window(volumes)
    seen = []
    for number in range(len(STORED)):
        goto(qtbot, window, number)
        reader = window.reader
        panes = (reader.pane, *reader.panes.sides)
        assert all(pane.isVisible() for pane in panes)
        assert [pane.corners.edges for pane in panes] == [tuple("RLAP"), tuple("RLSI"), tuple("APSI")]
        assert [pane.aspect for pane in panes] == [1.0, 1.5, 1.5]
        press(window, Key.Key_Home)
        for _ in range(5):
            press(window, Key.Key_Down)
        mask = reader.mask_of(5)
        seen.append((reader.pane.picture.copy(), mask))
    first, *others = seen
    assert first[1].any()
    for picture, mask in others:
        assert np.array_equal(picture, first[0])
        assert np.array_equal(mask, first[1])


def test_all_panes_meet_in_one_place(qtbot: Any, open_window: OpenWindow, volumes: Path) -> None:
    window = open_window(volumes)
    goto(qtbot, window, names(window).index("PSR"))
    reader = window.reader
    axial, coronal, sagittal = reader.pane, *reader.panes.sides
    press(window, Key.Key_X)

    QTest.mouseClick(axial, Qt.MouseButton.LeftButton, pos=screen_of(axial, 12, 7))
    assert (axial.crosshair, coronal.crosshair[1], sagittal.crosshair[1]) == ((12.5, 7.5), 7.5, 12.5)
    assert coronal.corners.top_left == ["Coronal", f"Slice {SIDE - 12} / {SIDE}"]  # from back to front
    before = reader.index
    QTest.mouseClick(coronal, Qt.MouseButton.LeftButton, pos=screen_of(coronal, 4, 20))
    assert reader.index == SLICES - 1 - 4 != before  # slices from below, the picture from above
    assert axial.crosshair == (12.5, 20.5)

    press(window, Key.Key_X)
    assert axial.crosshair is None
    move_mouse(sagittal, QPointF(screen_of(sagittal, 9, 25)), Held.ShiftModifier)
    assert (reader.index, axial.crosshair) == (SLICES - 1 - 9, (25.5, 20.5))
    move_mouse(sagittal, QPointF(screen_of(sagittal, 2, 5)), Held.NoModifier)  # without Shift nothing follows
    assert (reader.index, axial.crosshair) == (SLICES - 1 - 9, None)
    lines = axial.corners.bottom_right
    assert any(line.endswith("mm") for line in lines)

    stored = reader.place
    voxel = reader.opened.volume(0)[stored]
    for pane in (axial, coronal, sagittal):
        view = reader.view_of(pane)
        index, row, column = view.place(stored)
        assert view.cut(reader.opened.volume(0), index)[row, column] == voxel


def test_the_pointer_tells_the_millimetres_and_the_value_of_that_very_voxel(
    qtbot: Any, open_window: OpenWindow, volumes: Path
) -> None:
    window = open_window(volumes)
    goto(qtbot, window, names(window).index("ILA"))
    reader = window.reader
    image = nibabel.load(reader.case.source.paths[0])
    bright = np.unravel_index(np.asarray(image.dataobj).argmax(), image.shape)  # column, row, slice
    reader.go_to_place((int(bright[2]), int(bright[1]), int(bright[0])))
    _, row, column = reader.opened.view.place(reader.place)
    move_mouse(reader.pane, QPointF(screen_of(reader.pane, row, column)), Held.NoModifier)
    x, y, z = (image.affine @ (*bright, 1))[:3]
    millimetres = f"{'R' if x >= 0 else 'L'} {abs(x):.1f}  {'A' if y >= 0 else 'P'} {abs(y):.1f}"
    lines = reader.pane.corners.bottom_right
    assert lines[0] == f"{millimetres}  {'S' if z >= 0 else 'I'} {abs(z):.1f} mm"
    assert lines[1] == f"x {bright[0]}  y {bright[1]}  z {bright[2]}"
    assert lines[2].endswith(f" {np.asarray(image.dataobj).max()}")


def test_a_lesion_is_shown_in_all_panes_and_a_pane_can_have_all_the_room(
    qtbot: Any, open_window: OpenWindow, volumes: Path
) -> None:
    window = open_window(volumes)
    goto(qtbot, window, names(window).index("RAS"))
    reader = window.reader
    press(window, Key.Key_Period)
    lesion = reader.opened.finding.lesions[0]
    for pane in (reader.pane, *reader.panes.sides):
        top, bottom, left, right = pane.frame
        assert lesion.voxels <= (bottom - top + 1) * (right - left + 1) * SIDE
    first, last = reader.opened.view.box(lesion.box)[0]
    assert window.lesions._model.cells(0)[-1] == (f"{first + 1}–{last + 1}" if first < last else f"{first + 1}")
    assert window.lesions._model.headings[1] == "ml"

    side = reader.panes.sides[0]
    QTest.mouseDClick(side, Qt.MouseButton.LeftButton, pos=QPoint(50, 50))
    assert [pane.isVisible() for pane in reader.panes.all] == [False, False, True, False]
    assert not window.list.isVisible()
    QTest.mouseDClick(side, Qt.MouseButton.LeftButton, pos=QPoint(50, 50))
    assert [pane.isVisible() for pane in reader.panes.all] == [True, False, True, True]
    press(window, Key.Key_V)  # the truth beside the mask needs the room
    assert [pane.isVisible() for pane in reader.panes.all] == [True, True, False, False]


def drag(pane: Any, begin: QPoint, end: QPoint) -> None:
    QTest.mousePress(pane, Qt.MouseButton.LeftButton, pos=begin)
    QTest.mouseMove(pane, end)
    QTest.mouseRelease(pane, Qt.MouseButton.LeftButton, pos=end)


def test_the_ruler_measures_millimetres_where_they_are_known_and_pixels_elsewhere(
    qtbot: Any, open_window: OpenWindow, volumes: Path, tmp_path: Path
) -> None:
    window = open_window(volumes)
    settle(qtbot, window)
    press(window, Key.Key_M)
    side = window.reader.panes.sides[0]
    drag(side, screen_of(side, 1, 10), screen_of(side, 11, 10))
    assert side.ruler_text().endswith(" mm")
    assert float(side.ruler_text().split()[0]) == pytest.approx(30, abs=1)  # ten slices of 3 mm
    press(window, Key.Key_Down)
    assert side.ruler is not None  # this view shows the same slice as before
    press(window, Key.Key_M)
    assert side.ruler is None
    window.close()

    (tmp_path / "pngs").mkdir()
    cv2.imwrite(str(tmp_path / "pngs" / "one.png"), np.arange(4096, dtype=np.uint8).reshape(64, 64))
    flat = open_window(tmp_path / "pngs")
    pane = flat.reader.pane
    assert [each.isVisible() for each in flat.reader.panes.all] == [True, False, False, False]
    assert pane.corners.edges is None
    press(flat, Key.Key_M)
    drag(pane, screen_of(pane, 10, 10), screen_of(pane, 10, 40))
    assert pane.ruler_text().endswith(" px")
    assert float(pane.ruler_text().split()[0]) == pytest.approx(30, abs=0.2)


def test_without_an_orientation_the_cuts_across_are_shown_without_letters(
    qtbot: Any, open_window: OpenWindow, made_volumes: Path, tmp_path: Path
) -> None:
    image = nibabel.load(made_volumes / "LPS.nii.gz")
    plain = nibabel.Nifti1Image(np.asarray(image.dataobj), None)
    plain.header.set_zooms((2.0, 2.0, 3.0))
    plain.header.set_sform(None, 0)
    plain.header.set_qform(None, 0)
    (tmp_path / "plain").mkdir()
    nibabel.save(plain, tmp_path / "plain" / "a.nii.gz")
    window = open_window(tmp_path / "plain")
    panes = (window.reader.pane, *window.reader.panes.sides)
    assert all(pane.isVisible() for pane in panes)
    assert [pane.corners.edges for pane in panes] == [None] * 3
    assert window.reader.pane.corners.top_right[0] == "Orientation unknown"
    assert not any(" mm" in line and line[0] in "RLAPSI" for line in window.reader.pane.corners.bottom_right)


def test_an_accepted_mask_is_exported_as_the_command_line_writes_it(
    qtbot: Any, open_window: OpenWindow, volumes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from metseg import main

    two = tmp_path / "two"
    two.mkdir()
    for code in ("PSR", "RAS"):
        for path in volumes.glob(f"{code}*"):
            shutil.copy(path, two)
    window = open_window(two)
    settle(qtbot, window)
    for number in range(2):
        goto(qtbot, window, number)
        press(window, Key.Key_Return, Held.ShiftModifier)
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "out")
    asked = ["segment", str(two), "--out", str(tmp_path / "cli"), "--model", str(tiny_model)]
    assert main([*asked, "--device", "cpu", "--precision", "fp32"]) == 0
    written = tmp_path / "out" / "masks"
    masks = sorted(path.relative_to(written) for path in written.rglob("*.nii*"))
    assert len(masks) == 2
    for path in masks:
        ours, theirs = nibabel.load(written / path), nibabel.load(tmp_path / "cli" / path)
        assert np.array_equal(np.asarray(ours.dataobj), np.asarray(theirs.dataobj))
        assert np.array_equal(ours.affine, theirs.affine)
        assert np.asarray(ours.dataobj).any()


def test_contrast_as_the_model_sees_it_is_made_once_however_many_slices_are_drawn_meanwhile(
    qtbot: Any, open_window: OpenWindow, volumes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    released = threading.Event()

    def slowly(volume: Any) -> Any:
        begun.append(1)
        released.wait(120)
        return eight_bit(volume)

    monkeypatch.setattr("desktop.painter.eight_bit", slowly)
    window = open_window(volumes)
    press(window, Key.Key_Home)
    plain = window.reader.pane.picture.copy()
    window.actions_["clahe"].trigger()
    for _ in range(3):
        press(window, Key.Key_Down)
    press(window, Key.Key_Home)
    released.set()
    qtbot.waitUntil(lambda: not np.array_equal(window.reader.pane.picture, plain), timeout=120000)
    assert len(begun) == 1
    goto(qtbot, window, 1)  # and again for another case
    qtbot.waitUntil(lambda: len(begun) == 2, timeout=120000)


def test_a_place_is_found_again(qtbot: Any, open_window: OpenWindow, volumes: Path) -> None:
    window = open_window(volumes)
    goto(qtbot, window, 2)
    window.reader.go_to_place((3, 5, 7))
    window.close()
    again = open_window(volumes)
    settle(qtbot, again)
    assert (again.reader.case.number, again.reader.place) == (3, (3, 5, 7))


def test_of_several_series_one_is_chosen_remembered_and_can_be_changed(
    qtbot: Any, open_window: OpenWindow, made_volumes: Path, tmp_path: Path
) -> None:
    image = nibabel.load(made_volumes / "RAS.nii.gz")
    values = np.asarray(image.dataobj)
    (tmp_path / "four").mkdir()
    both = nibabel.Nifti1Image(np.stack([values, values[::-1]], axis=-1), image.affine)
    nibabel.save(both, tmp_path / "four" / "case.nii.gz")
    window = open_window(None)
    window.open([tmp_path / "four"])
    qtbot.waitUntil(lambda: window.reader.series.isVisible(), timeout=120000)
    case = window.reader.case
    assert case.undecided
    assert len(window.reader.series.buttons) == len(case.choices) == 2
    press(window, Key.Key_G)  # nothing can be judged yet
    assert window.desk.review._events == []

    keys = list(window.reader.series.buttons)
    window.reader.series.buttons[keys[0]].click()
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    assert not window.reader.series.isVisible()
    first = window.reader.opened.volume(0).copy()
    press(window, Key.Key_G)
    window.close()

    again = open_window(tmp_path / "four")
    assert np.array_equal(again.reader.opened.volume(0), first)
    assert [event.kind.value for event in again.desk.review._events] == ["flag"]
    again.display.series.setCurrentIndex(1)
    again.display.series.activated.emit(1)
    qtbot.waitUntil(lambda: again.reader.opened is not None, timeout=120000)
    qtbot.waitUntil(lambda: again.reader.case.series == keys[1], timeout=120000)
    qtbot.waitUntil(
        lambda: again.reader.opened and not np.array_equal(again.reader.opened.volume(0), first), timeout=120000
    )
    assert again.reader.case.state.value == "to do"  # the verdict was on the other one
