"""A window on a real X server, with the command that people type; and what a kill leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop.session.places import session_folder
from desktop.session.store import Store
from desktop.session.verdicts import Kind

ROOT = Path(__file__).resolve().parents[2]

# Run in the window's process: waits until there is a mask, looks at the screen's own pixels, presses a key.
SCRIPT = """
import os, sys
from PyQt6.QtCore import QTimer, Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication
import desktop.app, desktop.main_window

class Watched(desktop.main_window.MainWindow):
    def __init__(self, settings):
        super().__init__(settings)
        self.timer = QTimer(self, interval=50)
        self.timer.timeout.connect(self.look)
        self.timer.start()

    def look(self):
        self.activateWindow()  # there is no window manager to do that
        if not (self.reader.opened and self.reader.opened.finding and self.isActiveWindow()):
            return
        self.timer.stop()
        QTimer.singleShot(300, self.act)

    def act(self):
        QApplication.primaryScreen().grabWindow(self.winId()).save(sys.argv[2])
        QTest.keyClick(self.reader.pane, Qt.Key.Key_G)
        if sys.argv[3] == "kill":
            os.kill(os.getpid(), 9)
        self.close()

desktop.app.MainWindow = Watched
from metseg import main
sys.exit(main(["review", sys.argv[1], "--model", sys.argv[4], "--device", "cpu", "--precision", "fp32"]))
"""


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """The name of a virtual screen."""
    program = shutil.which("Xvfb")
    if program is None:
        line = "there is no Xvfb; sudo apt-get install xvfb libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1"
        if os.environ.get("CI"):
            pytest.fail(line)
        pytest.skip(line)
    reading, writing = os.pipe()
    command = [program, "-displayfd", str(writing), "-screen", "0", "1440x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


def run_window(screen: str, scans: Path, model: Path, picture: Path, end: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DISPLAY": screen, "QT_QPA_PLATFORM": "xcb", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, str(scans), str(picture), end, str(model)]
    return subprocess.run(
        command, cwd=scans.parent, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_real_window_shows_the_picture_and_a_verdict_survives_even_a_kill(
    screen: str, scans: Path, results: Path, tiny_model: Path, tmp_path: Path, end: str
) -> None:
    import cv2

    picture = tmp_path / "window.png"
    done = run_window(screen, scans, tiny_model, picture, end)
    assert done.returncode == (0 if end == "close" else -signal.SIGKILL), done.stderr
    shown = cv2.imread(str(picture))
    assert shown.shape[:2] == (900, 1440)
    # Amber and blue are drawn, on a picture that is grey.
    amber = (abs(shown.astype(int) - (0x00, 0xB0, 0xFF)) < 3).all(axis=2)
    blue = (abs(shown.astype(int) - (0xFF, 0xC2, 0x4C)) < 3).all(axis=2)
    assert min(amber[:, 250:1100].sum(), blue[:, 250:1100].sum()) > 100
    store = Store(session_folder([scans]))
    deadline = time.monotonic() + 20
    while store.read_only and time.monotonic() < deadline:  # the killed window's lock goes with its process
        store.close()
        store = Store(session_folder([scans]))
    assert (store.read_only, store.notice) == (False, "")
    assert [event.kind for event in store.events()] == [Kind.FLAG]
    store.close()


def test_without_a_screen_the_command_says_so(scans: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux knows machines without a screen")
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-m", "metseg", "review", str(scans)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no screen" in done.stderr


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "metseg", "review", str(tmp_path / "gone")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no such file or folder" in done.stderr
