"""The line above the picture: a sentence, and a button where something can be done."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton


class Notice(QHBoxLayout):
    """Nothing is shown as long as there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.label, self.button = QLabel(), QPushButton()
        self.label.setObjectName("notice")
        self.label.setWordWrap(True)
        self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setContentsMargins(8, 0, 8, 0)
        self.addWidget(self.label, 1)
        self.addWidget(self.button)

    def say(self, text: str, ask: str) -> None:
        """Show these; "" is nothing."""
        self.label.setText(text)
        self.label.setVisible(bool(text))
        self.button.setText(ask)
        if not ask:
            self.button.clearFocus()  # else Qt gives the keys to the next text, and letters mean verdicts no more
        self.button.setVisible(bool(ask))
