"""The window at small sizes: what it says is said whole, or visibly cut at its end; nothing lies over anything."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PyQt6.QtCore import QRect, QRectF
from PyQt6.QtGui import QFontMetricsF, QScreen
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from core.phantom import make_phantom
from desktop.app import make_application
from desktop.desk import Settings
from desktop.main_window import MainWindow
from tests.desktop.hands import Held, Key, press, settle

OpenWindow = Callable[..., Any]
SIZES = ((1440, 900), (1280, 720), (960, 540))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume with truth, whose corners say all that there is to say."""
    folder = tmp_path_factory.mktemp("volume")
    scan, truth = make_phantom(3, slices=8, size=64)
    affine = np.diag([-3.25, -3.25, 3.0, 1.0])
    affine[:3, 3] = (104.0, 104.0, -12.0)
    for name, values in (("", scan.voxels[:, 0].astype(np.int16)), ("_mask", truth.astype(np.uint8))):
        nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), folder / f"head{name}.nii.gz")
    return folder


def written(pane: Any) -> list[tuple[QRectF, str]]:
    """Where each text of a pane's corners is seen."""
    metrics = QFontMetricsF(pane._font())
    found = []
    for box, text, side in pane.lines():
        width = metrics.horizontalAdvance(text)
        left = box.left() if side == "left" else box.right() - width
        found.append((QRectF(left, box.top(), width, box.height()), text))
    return found


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_no_text_of_a_pane_is_cut_at_its_beginning_or_lies_over_another(
    qtbot: Any, open_window: OpenWindow, volume: Path, size: tuple[int, int], beside: bool
) -> None:
    window = open_window(volume)
    window.resize(*size)
    reader = window.reader
    reader.set_look(beside=beside)
    reader.zoom(1.5)
    QApplication.processEvents()
    assert (window.width(), window.height()) == size
    reader.point(reader.pane, (10, 10))
    for pane in filter(lambda pane: pane.isVisible(), reader.panes.all):
        corners = pane.corners
        whole = [*corners.top_left, *corners.top_right, *corners.bottom_left, *corners.bottom_right]
        assert sorted(text for _, text in written(pane)) == sorted(whole)  # there is room for all of it here
        above = 29 if pane.title else 12
        assert all(pane.rect().toRectF().contains(place) and place.top() >= above for place, _ in written(pane))
        for (one, _), (other, _) in combinations(written(pane), 2):
            assert not one.intersects(other)
        letter = QRectF(pane.width() / 2 - 5, above, 10, 17)
        assert not any(letter.intersects(place) for place, _ in written(pane))
    assert any(text.startswith("R ") and text.endswith(" mm") for _, text in written(reader.pane))


def test_a_text_that_is_too_long_loses_its_end(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    window.resize(960, 540)
    settle(qtbot, window)
    press(window, Key.Key_V)
    window.reader.pane.corners.top_right = ["256 × 256 px, " * 5]
    *_, text = [text for _, text in written(window.reader.pane) if text.startswith("256")]
    assert text.endswith("…")


@pytest.mark.parametrize(("room", "size"), [((1024, 640), (1024, 640)), ((2560, 1400), (1440, 900))])
def test_a_window_opens_no_larger_than_the_screen(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, tiny_model: Path, room: tuple[int, int], size: tuple[int, int]
) -> None:
    make_application()
    monkeypatch.setattr(QScreen, "availableGeometry", lambda _: QRect(0, 0, *room))
    window = MainWindow(Settings(tiny_model, "cpu", "fp32", False))
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    assert (window.width(), window.height()) == size


@pytest.mark.parametrize("size", SIZES)
def test_the_sheet_of_keys_is_as_wide_as_the_window_and_scrolls_to_its_end(
    qtbot: Any, open_window: OpenWindow, size: tuple[int, int]
) -> None:
    window = open_window(None)
    window.resize(*size)
    window.sheet.open()
    qtbot.waitUntil(window.sheet.hasFocus, timeout=120000)
    QApplication.processEvents()
    area, bar = window.sheet.area, window.sheet.area.verticalScrollBar()
    assert area.widget().width() <= area.viewport().width()
    for label in window.sheet.labels:
        assert label.heightForWidth(label.width()) <= label.height()
    assert (bar.maximum() > 0) == (size[1] < 700)
    for _ in range(10):
        press(window, Key.Key_Down)
    assert (window.sheet.isVisible(), bar.value()) == (True, bar.maximum())
    press(window, Key.Key_Escape)
    assert not window.sheet.isVisible()


def test_a_long_reason_widens_no_window(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    window.resize(1280, 720)
    press(window, Key.Key_Delete)
    QTest.keyClicks(window.verdicts.reason, "moved a lot " * 15)
    press(window, Key.Key_Return, Held.NoModifier)
    QTest.qWait(100)
    assert window.width() == 1280
    assert window.status.message.text().endswith("moved a lot")
    assert window.status.message.width() < 1280
    assert window.status.research.isVisible()


def test_in_a_small_window_a_refusal_can_be_read_while_cases_are_segmented(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    window.resize(1024, 640)
    window.status.device.setText("attention-unet on cpu")
    window.status.set_work("Segmenting 2 of 4", 0.3, 40)
    assert window.status.bar.isVisible()
    told = "There is no mask to accept yet."
    window.tell(told)
    QTest.qWait(50)
    message = window.status.message
    assert message.fontMetrics().horizontalAdvance(told) <= message.width()
    assert window.status.stop.isVisible()
    window.tell("")
    assert window.status.bar.isVisible()
    assert window.status.device.isVisible()
