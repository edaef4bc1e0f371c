"""The series of a case to choose from, in the place of the picture."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from core.errors import SeriesChoice

WIDTH_PX = 520


class SeriesList(QScrollArea):
    """A button for each series; hidden where there is nothing to choose.

    Signals:
        chosen(str): the key of a series.
    """

    chosen = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.buttons: dict[str, QPushButton] = {}
        self.offer(())

    def offer(self, choices: Sequence[SeriesChoice]) -> None:
        """List these; none hides the list."""
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.setSpacing(8)
        heading = QLabel("This case holds several series. Which one shall be reviewed?")
        heading.setStyleSheet("font-size: 15px;")
        column.addWidget(heading)
        column.addSpacing(8)
        self.buttons = {}
        for choice in choices:
            button = QPushButton(choice.description)
            button.setMaximumWidth(WIDTH_PX)
            button.setToolTip(choice.description)
            button.setMinimumHeight(36)
            button.setStyleSheet("text-align: left; padding: 6px 12px;")
            button.clicked.connect(lambda _, key=choice.key: self.chosen.emit(key))
            self.buttons[choice.key] = button
            column.addWidget(button)
        self.setWidget(inside)
        self.setVisible(bool(choices))
