"""The list of cases: a row each with thumbnail, name, what was found, and the sign of its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PyQt6.QtCore import QAbstractListModel, QModelIndex, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFont, QImage, QKeyEvent, QPainter
from PyQt6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from desktop.session.cases import Case, Filter, Order
from desktop.theme import HAIRLINE, LEFT_PX, MUTED, PANEL, PRESSED, RED, TEXT
from desktop.widgets.combo import Combo
from desktop.widgets.icons import draw_state

ROW_PX, THUMBNAIL_PX = 64, 48
CaseRole = Qt.ItemDataRole.UserRole


class _Cases(QAbstractListModel):
    def __init__(self) -> None:
        super().__init__()
        self.cases: list[Case] = []
        self.names = False
        self.shared = ""  # how all names begin, which tells none of them apart

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return 0 if parent and parent.isValid() else len(self.cases)

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        case = self.cases[index.row()]
        if role == Qt.ItemDataRole.AccessibleTextRole or role == Qt.ItemDataRole.ToolTipRole:
            return f"{case.label(self.names)}: {case.problem or case.state}"
        return case if role == CaseRole else None


class _Row(QStyledItemDelegate):
    def __init__(self, model: _Cases, thumbnail: Callable[[Case], QImage | None]) -> None:
        super().__init__()
        self._model, self._thumbnail = model, thumbnail

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802
        return QSize(LEFT_PX - 16, ROW_PX)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        if painter is None:
            return
        case: Case = index.data(CaseRole)
        box = QRectF(option.rect)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(PRESSED if chosen else PANEL))
        painter.drawRoundedRect(box.adjusted(4, 2, -4, -2), 6, 6)
        frame = QRectF(box.left() + 10, box.top() + 8, THUMBNAIL_PX, THUMBNAIL_PX)
        picture = self._thumbnail(case)
        painter.fillRect(frame, QColor("black"))
        if picture is not None:
            size = picture.size().scaled(frame.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
            place = QRectF(0, 0, size.width(), size.height())
            place.moveCenter(frame.center())
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(place, picture)
        text = QRectF(frame.right() + 10, box.top() + 12, box.right() - frame.right() - 18, 20)
        font = QFont(option.font)
        font.setPixelSize(12 if self._model.names else 13)  # of a long name as much as there is room for
        painter.setFont(font)
        painter.setPen(QColor(TEXT))
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        label, measure = case.label(self._model.names), painter.fontMetrics()
        if measure.horizontalAdvance(label) > text.width() and self._model.names:
            label = f"…{label[len(self._model.shared) :]}"
        label = measure.elidedText(label, Qt.TextElideMode.ElideMiddle, int(text.width()))
        painter.drawText(text, flags, label)
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(QColor(RED if case.problem else MUTED))
        painter.drawText(text.translated(0, 20), flags, facts(case))
        draw_state(painter, case.state, QRectF(box.right() - 28, text.bottom() + 2, 16, 16))
        painter.restore()


def shared_start(names: Sequence[str]) -> str:
    """How all names begin, up to a separator."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    length = next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first)
    )
    shared = first[:length]
    return shared[: max(shared.rfind(mark) for mark in "_- .") + 1]


def facts(case: Case) -> str:
    """The second line of a row."""
    if case.problem:
        return "cannot be used"
    if case.undecided:
        return "several series"
    if case.summary is None:
        return "not segmented"
    count = case.summary.lesions
    return "no lesion" if count == 0 else "1 lesion" if count == 1 else f"{count} lesions"


class CaseList(QWidget):
    """The left column.

    Signals:
        chosen(object): a case was picked.
        changed(): another filter, search or order.
        left(): the reviewer is done searching.
    """

    chosen = pyqtSignal(object)
    changed = pyqtSignal()
    left = pyqtSignal()

    def __init__(self, thumbnail: Callable[[Case], QImage | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("left")
        self.setFixedWidth(LEFT_PX)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(f"#left {{ background: {PANEL}; border-right: 1px solid {HAIRLINE}; }}")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search cases")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search cases")
        self.search.textChanged.connect(self._ask_again)
        self.search.returnPressed.connect(self._enter)
        self.order = Combo("Sort cases by")
        self.order.addItems([f"Sort: {order.value.lower()}" for order in Order])
        self.order.currentIndexChanged.connect(self._ask_again)
        chips = QWidget()
        rows = QVBoxLayout(chips)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(6)
        self._buttons: dict[Filter, QPushButton] = {}
        for number, which in enumerate(Filter):
            if number % 2 == 0:
                line = QHBoxLayout()
                line.setSpacing(6)
                rows.addLayout(line)
            button = QPushButton(which.value)
            button.setObjectName("chip")
            button.setCheckable(True)
            button.setChecked(which is Filter.ALL)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _, which=which: self._pick(which))
            self._buttons[which] = button
            line.addWidget(button)
        self._model = _Cases()
        self._current: Case | None = None
        self._in_sight: Case | None = None  # the shown case, once it was brought there
        self.view = QListView()
        self.view.setAutoScroll(False)  # what is being looked for in the list stays in sight
        self.view.setModel(self._model)
        self._row = _Row(self._model, thumbnail)
        self.view.setItemDelegate(self._row)
        self.view.setUniformItemSizes(True)
        self.view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.view.clicked.connect(lambda index: self.chosen.emit(index.data(CaseRole)))
        self.empty = QLabel("No case matches")
        self.empty.setObjectName("muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setStyleSheet(f"background: {PANEL}; color: {MUTED};")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(8)
        for widget in (self.search, self.order, chips, self.empty):
            layout.addWidget(widget)
        layout.addWidget(self.view, 1)
        chips.setStyleSheet(f"background: {PANEL};")
        self.empty.hide()

    @property
    def which(self) -> Filter:
        """The chip that is on."""
        return next(which for which, button in self._buttons.items() if button.isChecked())

    @which.setter
    def which(self, value: Filter) -> None:
        # Not by a QButtonGroup: that takes Tab from all chips but one, and up and down, which reach them, are slices'.
        for which, button in self._buttons.items():
            button.setChecked(which is value)

    def _pick(self, which: Filter) -> None:
        self.which = which
        self._ask_again()

    @property
    def sorting(self) -> Order:
        """How the list is sorted."""
        return list(Order)[self.order.currentIndex()]

    @property
    def cases(self) -> list[Case]:
        """What is listed."""
        return self._model.cases

    def set_cases(self, cases: list[Case], counts: dict[Filter, int], names: bool) -> None:
        """List these."""
        if cases != self._model.cases:
            self._model.beginResetModel()
            self._model.cases = cases
            self._model.shared = shared_start([case.name for case in cases])
            self._model.endResetModel()
        self._model.names = names
        self.redraw()
        self.empty.setVisible(not cases and counts[Filter.ALL] > 0)
        all_done = self.which is Filter.TODO and not counts[Filter.TODO]
        self.empty.setText("Every case has its verdict" if all_done else "No case matches")
        for which, button in self._buttons.items():
            button.setText(f"{which.value} {counts[which]:,}")

    def set_current(self, case: Case | None) -> None:
        """Mark the shown case; bring it into sight if it is another one, or listed otherwise."""
        self._current = case
        if case not in self._model.cases:
            self.view.clearSelection()
            return
        index = self._model.index(self._model.cases.index(case))
        self.view.setCurrentIndex(index)
        if case is not self._in_sight:
            self._in_sight = case
            self.view.scrollTo(index)

    def _enter(self) -> None:
        """Open the first case that was searched for, or stay with the shown one if it is among them."""
        if self.search.text() and self._current not in self.cases:
            if self.cases:
                self.chosen.emit(self.cases[0])
        else:
            self.left.emit()

    def _ask_again(self, *_: object) -> None:
        self._in_sight = None
        self.changed.emit()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Escape comes here from the search, which has no use for it."""
        if event and event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def redraw(self) -> None:
        """A thumbnail or a fact has come."""
        viewport = self.view.viewport()
        if viewport:
            viewport.update()

    def state(self) -> dict[str, str]:
        """Which cases are listed and how, to be remembered. A search is not: it would hide cases the next time."""
        return {"filter": self.which.value, "order": self.sorting.value}

    def restore(self, values: dict[str, object]) -> None:
        """List as the last time; every case where nothing is remembered."""
        self.which = next((which for which in Filter if values.get("filter") == which.value), Filter.ALL)
        for place, order in enumerate(Order):
            if values.get("order") == order.value:
                self.order.setCurrentIndex(place)
        self.search.clear()
        self._ask_again()
