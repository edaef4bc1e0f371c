"""The lesions of a case, the largest first; a click jumps there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PyQt6.QtCore import QAbstractTableModel, QModelIndex, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QHeaderView, QTableView, QWidget

from core.measure.totals import size_of, size_text
from core.scan import Lesion
from desktop.theme import MUTED

SHARES = (2, 5, 5, 4, 5)


class _Lesions(QAbstractTableModel):
    def __init__(self) -> None:
        super().__init__()
        self.lesions: Sequence[Lesion] = ()
        self.spans: Sequence[tuple[int, int]] = ()
        self.lone = False
        self.headings: tuple[str, ...] = ()
        self.set_lesions((), (), lone=False)

    def set_lesions(self, lesions: Sequence[Lesion], spans: Sequence[tuple[int, int]], lone: bool) -> None:
        self.beginResetModel()
        self.lesions, self.spans, self.lone = lesions, spans, lone
        known = bool(lesions) and lesions[0].longest_diameter_mm is not None
        unit = self._size(lesions[0])[1] if lesions else "voxels"
        self.headings = ("", unit, "⌀ mm" if known else "⌀ px", "peak", "slices")
        self.endResetModel()

    def _size(self, lesion: Lesion) -> tuple[float, str]:
        return size_of(lesion.voxels, lesion.area_mm2, lesion.volume_ml, self.lone)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return 0 if parent and parent.isValid() else len(self.lesions)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return len(self.headings)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.headings[section]
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return self.cells(index.row())[index.column()] if role == Qt.ItemDataRole.DisplayRole else None

    def cells(self, row: int) -> tuple[str, ...]:
        """A lesion's row; slices are counted from 1, as on the screen."""
        lesion, (first, last) = self.lesions[row], (number + 1 for number in self.spans[row])
        size, unit = self._size(lesion)
        diameter = lesion.longest_diameter_px if lesion.longest_diameter_mm is None else lesion.longest_diameter_mm
        return (
            str(lesion.label),
            size_text(size, unit).removesuffix(f" {unit}"),
            f"{diameter:.1f}",
            "–" if lesion.peak_probability is None else f"{lesion.peak_probability:.2f}",
            f"{first}" if first == last else f"{first}–{last}",
        )


class LesionTable(QTableView):
    """The table.

    Signals:
        chosen(int): index of a lesion.
    """

    chosen = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = _Lesions()
        self._nothing = ""
        self.setModel(self._model)
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setShowGrid(False)
        self.setCornerButtonEnabled(False)
        self.setAccessibleName("Lesions")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        vertical, horizontal = self.verticalHeader(), self.horizontalHeader()
        if vertical is not None and horizontal is not None:  # an empty header counts as false
            vertical.hide()
            vertical.setDefaultSectionSize(26)
            horizontal.setMinimumSectionSize(20)
            horizontal.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            horizontal.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.clicked.connect(lambda index: self.chosen.emit(index.row()))

    @property
    def current(self) -> int:
        """The chosen lesion; -1 for none."""
        return self.currentIndex().row()

    def set_lesions(
        self, lesions: Sequence[Lesion], spans: Sequence[tuple[int, int]], nothing: str, *, lone: bool = False
    ) -> None:
        """Show these.

        Args:
            lesions: the largest first.
            spans: for each the first and the last slice in which it is seen.
            nothing: what to say where there are none.
            lone: the case is a single slice.
        """
        self._model.set_lesions(lesions, spans, lone)
        self._nothing = nothing
        self._fit()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        super().paintEvent(event)
        viewport = self.viewport()
        if viewport is not None and not self._model.lesions and self._nothing:
            painter = QPainter(viewport)
            painter.setPen(QColor(MUTED))
            where = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
            painter.drawText(viewport.rect().adjusted(8, 12, -8, 0), where, self._nothing)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give columns what their contents need, and share out what is left."""
        viewport, header = self.viewport(), self.horizontalHeader()
        if viewport is not None and header is not None:
            needs = [max(self.sizeHintForColumn(c), header.sectionSizeHint(c)) for c in range(len(SHARES))]
            spare = max(viewport.width() - sum(needs), 0)
            for column, (need, share) in enumerate(zip(needs, SHARES, strict=True)):
                header.resizeSection(column, need + spare * share // sum(SHARES))

    def select(self, index: int) -> None:
        """Mark a lesion."""
        self.selectRow(index)
        self.scrollTo(self._model.index(index, 0))
