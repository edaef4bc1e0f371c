"""Starts the window."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from desktop.desk import Settings
from desktop.main_window import MainWindow
from desktop.session.faults import watch
from desktop.theme import STYLE


def make_application(arguments: Sequence[str] = ()) -> QApplication:
    """The application, in its own dress."""
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        application = QApplication(["metseg", *arguments])
    application.setApplicationName("metseg")
    application.setStyle("Fusion")
    application.setStyleSheet(STYLE)
    return application


def run_review(paths: Sequence[Path], settings: Settings) -> int:
    """Open the window and stay until it is closed.

    Returns:
        the exit code.
    """
    application = make_application()
    window = MainWindow(settings)
    watch(window.tell)
    window.show()
    if paths:
        QTimer.singleShot(0, lambda: window.open(paths))
    # Ctrl+C in the terminal closes the window as a click would; Python hears it only while it runs now and then.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    heart = QTimer()
    heart.timeout.connect(lambda: None)
    heart.start(250)
    return application.exec()


def display_problem() -> str | None:
    """One sentence where no window can be opened; Qt itself would end the process."""
    if sys.platform.startswith("linux") and not os.environ.get("QT_QPA_PLATFORM"):
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return "there is no screen to open a window on; run metseg review in a desktop session"
    return None
