"""The verdict on a case: buttons that show their keys, the reason of a rejection asked in place, the note."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QEvent, QObject, Qt, pyqtSignal
from PyQt6.QtGui import QAction, QKeyEvent
from PyQt6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from desktop.session.cases import Case
from desktop.session.verdicts import REASONS, Event, State
from desktop.tasks import make_timer
from desktop.theme import STATE_COLOURS
from desktop.widgets.icons import state_icon

SAVE_AFTER_MS = 500
BUTTONS = (
    ("accept", "Accept", State.ACCEPTED),
    ("reject", "Reject", State.REJECTED),
    ("flag", "Flag", State.FLAGGED),
    ("clear", "Clear", State.TODO),
)


class VerdictPanel(QWidget):
    """The top of the right column.

    Args:
        actions: by name; buttons are made of them.
        keep_note: takes a case and its note, half a second after the last key or when it is left; what it does not
            keep stays in the field.

    Signals:
        reason_given(str): why a case is rejected.
        left(): the reviewer is done typing.
    """

    reason_given = pyqtSignal(str)
    left = pyqtSignal()

    def __init__(
        self, actions: dict[str, QAction], keep_note: Callable[[Case, str], bool], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._keep_note = keep_note
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.sign = QLabel()
        self.sign.setFixedWidth(20)
        grid = QGridLayout()
        grid.setSpacing(8)
        self.buttons: dict[str, QPushButton] = {}
        for place, (name, text, state) in enumerate(BUTTONS):
            action = actions[name]
            button = QPushButton(f"{text}   {_key(action)}")
            button.setIcon(state_icon(state))
            button.setToolTip(action.toolTip())
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _, a=action: a.trigger())
            grid.addWidget(button, place // 2, place % 2)
            self.buttons[name] = button
        self.reasons = QWidget()
        asked = QVBoxLayout(self.reasons)
        asked.setContentsMargins(0, 0, 0, 0)
        asked.setSpacing(6)
        chips = QGridLayout()
        chips.setSpacing(6)
        for place, reason in enumerate(REASONS):
            chip = QPushButton(f"{place + 1}  {reason}")
            chip.setObjectName("chip")
            chip.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            chip.clicked.connect(lambda _, r=reason: self._give(r))
            chips.addWidget(chip, place // 2, place % 2)
        self.reason = QLineEdit()
        self.reason.setPlaceholderText("Why? 1 to 5, or a line of text")
        self.reason.setAccessibleName("Reason of the rejection")
        self.reason.installEventFilter(self)
        self.reason.returnPressed.connect(lambda: self._give(self.reason.text().strip()))
        asked.addLayout(chips)
        asked.addWidget(self.reason)
        self.reasons.hide()
        self._verdict: tuple[Case, Event | None] | None = None  # what the reason is asked for
        self.note = QPlainTextEdit()
        self.note.setAccessibleName("Note on this case")
        self.note.setTabChangesFocus(True)
        self.note.setFixedHeight(58)
        self.note.setPlaceholderText(f"Note ({_key(actions['note'])})")
        self.note.installEventFilter(self)
        self._note_of: tuple[Case, str | None] | None = None  # the case and the image that the text belongs to
        self._dirty = False
        self._timer = make_timer(self, SAVE_AFTER_MS, self.flush)
        self.note.textChanged.connect(self._touch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        line = QHBoxLayout()
        line.addWidget(self.sign)
        line.addWidget(self.state, 1)
        layout.addLayout(line)
        layout.addLayout(grid)
        layout.addWidget(self.reasons)
        layout.addWidget(self.note)

    def show_case(self, case: Case, last: Event | None, detail: str) -> None:
        """Show a case's verdict and note; what is being typed on the same case is left alone.

        Args:
            case: the case.
            last: its last verdict; another one ends the question for a reason.
            detail: what stands behind the state, in HTML.
        """
        self.sign.setPixmap(state_icon(case.state).pixmap(16, 16))
        self.state.setText(f"<b style='color:{STATE_COLOURS[case.state]}'>{case.state.value.capitalize()}</b>{detail}")
        if (case, last) != self._verdict:
            self._verdict = case, last
            typing = self.reason.hasFocus()
            self.reasons.hide()
            if typing:  # else Qt gives the focus to the note
                self.left.emit()
        another = (case, case.image) != self._note_of
        if another:
            self.flush()
            self._dirty = self._dirty and self._note_of is not None and self._note_of[0] is case
            self._note_of = case, case.image
        if not self._dirty and (another or not self.note.hasFocus()):
            self._put_note(case.note)

    def _put_note(self, text: str) -> None:
        if self.note.toPlainText() != text:
            self.note.blockSignals(True)
            self.note.setPlainText(text)
            self.note.blockSignals(False)

    def _touch(self) -> None:
        self._dirty = True
        self._timer.start()

    def flush(self) -> None:
        """Hand over the note now, if it was changed since."""
        self._timer.stop()
        if self._dirty and self._note_of:
            self._dirty = not self._keep_note(self._note_of[0], self.note.toPlainText())

    def ask_reason(self) -> None:
        """Ask why; the rejection itself is recorded already."""
        self.reason.clear()
        self.reasons.show()
        self.reason.setFocus()

    def set_usable(self, on: bool) -> None:
        """Whether a verdict can be given, and a note written."""
        for field in (*self.buttons.values(), self.note):
            field.setEnabled(on)

    def _give(self, reason: str) -> None:
        self.reasons.hide()
        if reason:
            self.reason_given.emit(reason)
        self.left.emit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """A digit in the empty line picks a reason; Escape leaves, and keeps what was written."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.flush()
                self.reasons.hide()
                self.left.emit()
                return True
            text = event.text()
            if watched is self.reason and not self.reason.text() and text in "12345" and text:
                self._give(REASONS[int(text) - 1])
                return True
        elif event is not None and event.type() == QEvent.Type.FocusOut and watched is self.note:
            self.flush()
        return super().eventFilter(watched, event)


def _key(action: QAction) -> str:
    return action.shortcut().toString().replace("Return", "Enter").replace("Delete", "Del")
