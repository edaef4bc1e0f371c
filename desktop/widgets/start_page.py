"""What an empty window shows: where to drop scans, and two buttons."""

from __future__ import annotations

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QAction, QColor, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from desktop.theme import ACCENT, GROUND, MUTED


class StartPage(QWidget):
    """The empty window. `lit` while something is dragged over it."""

    def __init__(self, actions: dict[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lit = False
        heading = QLabel("Drop a folder of brain MRI here")
        heading.setStyleSheet("font-size: 22px; font-weight: 600; background: transparent;")
        detail = QLabel(
            "TIFF, PNG, JPEG, NIfTI or DICOM; a folder per patient, or files side by side.\n"
            "Scans are opened read-only, verdicts are kept in your own data folder, and nothing leaves this machine."
        )
        detail.setStyleSheet(f"color: {MUTED}; background: transparent;")
        self.message = QLabel("")
        self.message.setStyleSheet("color: #FFD27A; background: transparent;")
        self.message.setWordWrap(True)
        for label in (heading, detail, self.message):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        buttons = QHBoxLayout()
        buttons.addStretch()
        self.buttons: dict[str, QPushButton] = {}
        for name in ("open", "bundled"):
            action = actions[name]
            button = QPushButton(action.text())
            button.setToolTip(action.toolTip())
            button.clicked.connect(lambda _, a=action: a.trigger())
            button.setObjectName("primary" if name == "open" else "plain")
            button.setMinimumHeight(38)
            buttons.addWidget(button)
            self.buttons[name] = button
        buttons.addStretch()
        layout = QVBoxLayout(self)
        layout.setSpacing(16)
        layout.setContentsMargins(48, 48, 48, 48)
        layout.addStretch()
        layout.addWidget(heading)
        layout.addWidget(detail)
        layout.addSpacing(8)
        layout.addLayout(buttons)
        layout.addWidget(self.message)
        layout.addStretch()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(GROUND))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(ACCENT if self.lit else "#3A4452"), 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(24, 24, -24, -24), 12, 12)
