"""The window: puts list, picture and verdicts side by side, and lets each know what the others did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QByteArray, QSize, Qt
from PyQt6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QResizeEvent
from PyQt6.QtWidgets import (
    QApplication,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMessageBox,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.measure.dice import EMPTY_RULE
from desktop import facts
from desktop.actions import KeyGuard, fill_menus, make_actions
from desktop.desk import Desk, Settings
from desktop.handlers import LOOKS, handlers
from desktop.session.cases import Case
from desktop.session.verdicts import Kind, State
from desktop.tasks import make_timer
from desktop.theme import PANEL, RIGHT_PX
from desktop.widgets.case_list import CaseList
from desktop.widgets.display_panel import DisplayPanel
from desktop.widgets.key_sheet import KeySheet
from desktop.widgets.lesion_table import LesionTable
from desktop.widgets.slice_view import SliceView
from desktop.widgets.start_page import StartPage
from desktop.widgets.status_line import StatusLine
from desktop.widgets.verdict_panel import VerdictPanel

TITLE = "metseg review"
MESSAGE_MS = 6000
SIZE = QSize(1440, 900)


class MainWindow(QMainWindow):
    """One review, or the page that asks for one."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.setWindowTitle(TITLE)
        self.setAcceptDrops(True)
        screen = self.screen()
        self.resize(SIZE.boundedTo(screen.availableGeometry().size()) if screen else SIZE)
        self.desk = Desk(settings, self)
        self.reader = self.desk.reader
        self.actions_ = make_actions(self, handlers(self))
        bar = self.menuBar()
        if bar:
            fill_menus(bar, self.actions_)
        self.list = CaseList(self.desk.thumbnails.get)
        self.verdicts = VerdictPanel(self.actions_, self._keep_note)
        self.lesions = LesionTable()
        self.display = DisplayPanel(self.actions_)
        self.status = StatusLine()
        self.start = StartPage(self.actions_)
        self.pages = QStackedWidget()
        self._lay_out()
        self.sheet = KeySheet(self)
        self.sheet.closed.connect(self._leave_text)
        self.guard = KeyGuard(self, self.reader.peek, self.sheet.isVisible)
        application = QApplication.instance()
        if application:
            application.installEventFilter(self.guard)
        self._message = make_timer(self, MESSAGE_MS, self._forget_message)
        self._connect()
        self._show_look()
        self.refresh()

    def _lay_out(self) -> None:
        self.right = QScrollArea()
        self.right.setObjectName("right")
        self.right.setFixedWidth(RIGHT_PX)
        self.right.setWidgetResizable(True)
        self.right.setFrameShape(QFrame.Shape.NoFrame)
        self.right.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.right.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inside = QWidget()
        inside.setObjectName("panel")
        column = QVBoxLayout(inside)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        self.overlap = QLabel()
        self.overlap.setWordWrap(True)
        self.overlap.setTextFormat(Qt.TextFormat.RichText)
        self.warnings = QLabel()
        self.warnings.setObjectName("muted")
        self.warnings.setWordWrap(True)
        self.heading = _heading("LESIONS")
        column.addWidget(_heading("VERDICT"))
        column.addWidget(self.verdicts)
        column.addWidget(_rule())
        column.addWidget(self.heading)
        column.addWidget(self.lesions, 1)
        column.addWidget(self.overlap)
        column.addWidget(_rule())
        column.addWidget(_heading("DISPLAY"))
        column.addWidget(self.display)
        column.addWidget(self.warnings)
        self.lesions.setMinimumHeight(130)
        self.right.setWidget(inside)
        self.right.setStyleSheet(f"#right {{ background: {PANEL}; }}")
        self.reading = QWidget()
        row = QHBoxLayout(self.reading)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.list)
        row.addWidget(self.reader, 1)
        row.addWidget(self.right)
        self.pages.addWidget(self.start)
        self.pages.addWidget(self.reading)
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.pages, 1)
        column.addWidget(self.status)
        self.setCentralWidget(whole)

    def _connect(self) -> None:
        desk, reader = self.desk, self.reader
        desk.listed.connect(self.refresh)
        desk.leaving.connect(self.verdicts.flush)
        desk.case_changed.connect(self._show_case)
        desk.told.connect(self.tell)
        desk.opening_failed.connect(self.start.message.setText)
        desk.view_restored.connect(self._restore_view)
        desk.segmenting.changed.connect(self._show_work)
        desk.handover.changed.connect(self._show_work)
        desk.handover.told.connect(lambda text: self.tell(text, lasting=True))
        desk.thumbnails.ready.connect(self.list.redraw)
        self.list.chosen.connect(desk.show)
        self.list.changed.connect(self._relist)
        for signal in (self.list.chosen, self.list.left, self.reader.series.chosen, self.verdicts.left):
            signal.connect(self._leave_text)
        self.verdicts.reason_given.connect(lambda reason: desk.judge.decide(Kind.REJECT, reason))
        self.lesions.chosen.connect(reader.go_to_lesion)
        reader.lesion_changed.connect(self.lesions.select)
        reader.slice_changed.connect(lambda _: self._show_overlap())
        reader.look_changed.connect(self._show_look)
        reader.asked.connect(desk.masks.notice_asked)
        reader.maximise_asked.connect(self.maximise)
        self.display.opacity_changed.connect(lambda value: reader.set_look(opacity=value))
        self.display.threshold_changed.connect(desk.masks.preview_threshold)
        self.display.channel_picked.connect(reader.pick_channel)
        self.display.preset_picked.connect(reader.pick_preset)
        self.display.model_picked.connect(desk.masks.pick_model)
        self.display.series_picked.connect(lambda index: desk.choose_series(desk.choices[index].key))
        self.status.stop_asked.connect(desk.stop)

    # Opening

    def open(self, paths: Sequence[Path]) -> None:
        """Review what lies there."""
        self.desk.open(paths)

    def ask_folder(self) -> None:
        """Let a folder be picked."""
        folder = QFileDialog.getExistingDirectory(self, "Open a folder of scans")
        if folder:
            self.open([Path(folder)])

    def ask_export(self) -> None:
        """Let a folder be picked for what is handed over."""
        if self.desk.review is None or not self.desk.handover.may_begin():
            return
        folder = QFileDialog.getExistingDirectory(self, "Export into an empty folder")
        if folder:
            self.desk.export(Path(folder))

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        data = event.mimeData() if event else None
        if event and data and any(url.isLocalFile() for url in data.urls()):
            event.acceptProposedAction()
            self._light(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent | None) -> None:  # noqa: N802
        self._light(False)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        self._light(False)
        data = event.mimeData() if event else None
        if data:
            self.open([Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()])

    def _light(self, on: bool) -> None:
        self.start.lit = on
        self.start.update()

    # Showing

    def refresh(self) -> None:
        """Show the list, the counts and whether all is saved."""
        desk = self.desk
        review = desk.review
        self.pages.setCurrentWidget(self.reading if review else self.start)
        self.status.set_review(*facts.tally(self.desk))
        self._show_saved()
        self._relist()
        self._show_verdict()

    def _relist(self) -> None:
        cases, counts = self.desk.choose(self.list.which, self.list.search.text(), self.list.sorting)
        self.list.set_cases(cases, counts, self.desk.names)
        self.list.set_current(self.reader.case)

    def _show_case(self) -> None:
        """Another case is shown, or more is known of it."""
        self._show_lesions()
        self.list.set_current(self.reader.case)
        self.list.redraw()
        self._show_verdict()
        self._show_overlap()
        self._show_look()

    def _show_lesions(self) -> None:
        opened = self.reader.opened
        lesions = opened.finding.lesions if opened and opened.finding else ()
        spans = [opened.view.box(lesion.box)[0] for lesion in lesions] if opened else []
        lone = bool(opened and opened.view.shape[0] == 1)
        self.lesions.set_lesions(lesions, spans, facts.why_no_lesions(self.desk), lone=lone)

    def _show_verdict(self) -> None:
        desk, case = self.desk, self.reader.case
        writable, opened = bool(desk.review and not desk.review.read_only), self.reader.opened is not None
        self.verdicts.set_usable(writable and (opened or bool(case and case.problem)))
        if case and desk.review:
            event = desk.review.last_event(case)
            said = case.state not in (State.TODO, State.REOPENED) and event is not None and event.reason
            detail = f": {_plain(event.reason)}" if said and event else ""
            if case.state is State.REOPENED:
                detail = ": the mask or image is not the one that was judged"
            if case.state is State.TODO and desk.review.handed_over(case)[0]:
                detail = ", another series of this case has its verdict"
            self.verdicts.show_case(case, event, detail)

    def _show_overlap(self) -> None:
        opened, text = self.reader.opened, ""
        if opened and opened.finding:
            count = len(opened.finding.lesions)
            self.heading.setText(f"LESIONS  {count}")
        else:
            self.heading.setText("LESIONS")
        if opened and opened.truth is not None and opened.overlap is not None:
            here = facts.slice_overlap(self.desk)
            text = f"<b>Dice {opened.overlap:.3f}</b> with the ground truth"
            text += "" if here is None else f", {here:.3f} in this slice"
            text += f"<br><span style='color:#8B98A9; font-size:11px'>{EMPTY_RULE}</span>"
        self.overlap.setText(text)
        self.overlap.setVisible(bool(text))
        notes = facts.warnings(self.desk)
        self.warnings.setText("\n".join(f"• {note}" for note in notes))
        self.warnings.setVisible(bool(notes))

    def _show_look(self) -> None:
        look, reader = self.reader.look, self.reader
        for name in LOOKS:
            self.actions_[name].setChecked(getattr(look, name))
        has_truth = bool(reader.opened and reader.opened.truth is not None)
        for name in ("truth", "beside"):
            self.actions_[name].setEnabled(has_truth or reader.opened is None)
        self.display.set_opacity(look.opacity)
        self.display.set_preset(reader.preset)
        self.display.set_models(facts.model_names(self.desk), facts.model_index(self.desk))
        settable = bool(reader.opened and reader.opened.result and self.desk.review and not self.desk.review.read_only)
        self.display.set_threshold(facts.threshold(self.desk), settable)
        self.display.set_series(facts.series_names(self.desk), facts.series_index(self.desk))
        self.display.set_channels(*((reader.opened.channels, reader.channel) if reader.opened else ((), -1)))

    def _show_work(self) -> None:
        if not (self.reader.opened and self.reader.opened.finding):
            self._show_lesions()
        self.status.set_work(*facts.work(self.desk))
        self.status.device.setText(facts.engine(self.desk))

    def tell(self, text: str, *, lasting: bool = False) -> None:
        """A word in the status line, for a few seconds, or until there is something else to say."""
        self.status.say(text)
        if lasting:
            self._message.stop()
        else:
            self._message.start()
        self._show_saved()

    def _keep_note(self, case: Case, text: str) -> bool:
        kept = self.desk.judge.write_note(case, text)
        self._show_saved()
        return kept

    def _show_saved(self) -> None:
        if review := self.desk.review:
            self.status.set_saved(review.saved, review.read_only, review.problem)

    def reject_case(self) -> None:
        """Reject at once, then ask why; nothing moves on."""
        if self.desk.judge.decide(Kind.REJECT):
            self.right.show()
            self.verdicts.ask_reason()

    def write_in(self, column: QWidget, field: QWidget) -> None:
        """Give the keys to a field of a column, which may be hidden."""
        column.show()
        field.setFocus()

    def write_note(self) -> None:
        """Give the keys to the note; where there can be none, say why, for what is typed next would be verdicts."""
        if self.verdicts.note.isEnabled():
            self.write_in(self.right, self.verdicts.note)
        else:
            self.tell(self.desk.judge.refusal(Kind.FLAG))

    def show_right(self, on: bool) -> None:
        """Show or hide the right column; text there is left first, else Qt gives the keys to any other text."""
        self._leave_text()
        self.right.setVisible(on)

    def maximise(self, pane: SliceView) -> None:
        """Only this pane, or everything again."""
        everything = self.reader.panes.alone is not None
        self.show_right(everything)
        self.list.setVisible(everything)
        self.reader.panes.show_alone(None if everything else pane)
        self.reader.render_slice()
        self.actions_["maximise"].setChecked(not everything)

    def _leave_text(self, *_: object) -> None:
        self.reader.pane.setFocus()

    def _restore_view(self, values: dict[str, object]) -> None:
        geometry = values.get("geometry")
        if isinstance(geometry, str) and not self.isMaximized():
            self.restoreGeometry(QByteArray.fromBase64(geometry.encode()))
        self.list.restore(values)
        self._leave_text()

    def may_lose(self, unsaved: int) -> bool:
        """Ask whether the window shall close though something could not be saved."""
        return self._may_close(
            f"{unsaved} entries of this review could not be written to the disk. Close, and lose them?"
        )

    def may_cut(self) -> bool:
        """Ask whether the window shall close though an export is being written."""
        return self._may_close("An export is being written. Close, and leave it incomplete?")

    def _may_close(self, text: str) -> bool:
        buttons = QMessageBox.StandardButton.Close | QMessageBox.StandardButton.Cancel
        answer = QMessageBox.warning(self, TITLE, text, buttons, QMessageBox.StandardButton.Cancel)
        return answer is QMessageBox.StandardButton.Close

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self.sheet.setGeometry(self.rect())

    def _forget_message(self) -> None:
        self.status.say("")

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        self.verdicts.flush()
        unsaved = self.desk.unsaved()
        refused = (unsaved and not self.may_lose(unsaved)) or (self.desk.handover.progress and not self.may_cut())
        if refused and event:
            event.ignore()
            return
        self._message.stop()
        geometry = bytes(self.saveGeometry().toBase64().data()).decode()
        self.desk.close({"geometry": geometry, **self.list.state()})
        application = QApplication.instance()
        if application:
            application.removeEventFilter(self.guard)
        super().closeEvent(event)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName("heading")
    return label


def _rule() -> QFrame:
    line = QFrame()
    line.setFixedHeight(1)
    line.setStyleSheet("background: #262C36;")
    return line


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
