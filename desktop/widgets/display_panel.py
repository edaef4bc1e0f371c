"""How the picture is shown: channel, contrast, mask, truth, and which model at which threshold."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import Qt, pyqtBoundSignal, pyqtSignal
from PyQt6.QtGui import QAction, QWheelEvent
from PyQt6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QSlider, QWidget

from desktop.session.display import PRESETS
from desktop.widgets.combo import Combo

STEPS = 100


class DisplayPanel(QWidget):
    """The display part of the right column.

    Signals:
        opacity_changed(float), threshold_changed(float), channel_picked(int), preset_picked(int), model_picked(int),
        series_picked(int)
    """

    opacity_changed = pyqtSignal(float)
    threshold_changed = pyqtSignal(float)
    channel_picked = pyqtSignal(int)
    preset_picked = pyqtSignal(int)
    model_picked = pyqtSignal(int)
    series_picked = pyqtSignal(int)

    def __init__(self, actions: dict[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._form = form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(6)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self.model = _combo("Model", self.model_picked)
        self.series = _combo("Series", self.series_picked)
        self.threshold, self._threshold = _slider("Threshold", self.threshold_changed)
        self.opacity, self._opacity = _slider("Opacity of the mask", self.opacity_changed)
        self.channel = _combo("Channel", self.channel_picked)
        self.preset = _combo("Window", self.preset_picked)
        self.preset.addItems([name for name, _ in PRESETS])
        self.preset.setPlaceholderText("own")
        self.boxes = QWidget()
        row = QHBoxLayout(self.boxes)
        row.setContentsMargins(0, 0, 0, 0)
        for name, text in (("mask", "Mask"), ("truth", "Truth"), ("outline", "Outline"), ("clahe", "CLAHE")):
            row.addWidget(self._check(actions[name], text))
        for label, widget in (
            ("Series", self.series),
            ("Model", self.model),
            ("Threshold", _beside(self.threshold, self._threshold)),
            ("Opacity", _beside(self.opacity, self._opacity)),
            ("Channel", self.channel),
            ("Window", self.preset),
        ):
            heading = QLabel(label)
            heading.setObjectName("muted")
            form.addRow(heading, widget)
        form.addRow(self.boxes)
        self.set_series((), -1)

    def set_series(self, descriptions: Sequence[str], current: int) -> None:
        """List the series of a case that holds several; none hides the list."""
        _fill(self.series, descriptions, current)
        self._form.setRowVisible(self.series, len(descriptions) > 0)

    def set_models(self, names: Sequence[str], current: int) -> None:
        """List the models; -1 for none."""
        _fill(self.model, names or ["no model installed"], max(current, 0))
        self.model.setEnabled(len(names) > 0)

    def set_channels(self, names: Sequence[str], current: int) -> None:
        """List a case's channels."""
        _fill(self.channel, names, current)
        self.channel.setEnabled(len(names) > 1)

    def set_preset(self, index: int) -> None:
        """Show which preset the window is; -1 for one of the reviewer's own."""
        self.preset.blockSignals(True)
        self.preset.setCurrentIndex(index)
        self.preset.blockSignals(False)

    def set_threshold(self, value: float, usable: bool) -> None:
        """Show a case's threshold."""
        _place(self.threshold, self._threshold, value)
        self.threshold.setEnabled(usable)

    def set_opacity(self, value: float) -> None:
        """Show the opacity."""
        _place(self.opacity, self._opacity, value)

    def _check(self, action: QAction, text: str) -> QCheckBox:
        box = QCheckBox(text)
        box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        box.setToolTip(action.toolTip())
        box.setChecked(action.isChecked())
        box.clicked.connect(action.trigger)
        action.toggled.connect(box.setChecked)
        action.enabledChanged.connect(box.setEnabled)
        return box


class _Slider(QSlider):
    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Scrolling past it changes nothing by accident: another threshold takes a verdict back."""
        if event:
            event.ignore()


def _combo(name: str, signal: pyqtBoundSignal) -> QComboBox:
    combo = Combo(name)
    combo.setMinimumContentsLength(8)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.activated.connect(signal)
    return combo


def _slider(name: str, signal: pyqtBoundSignal) -> tuple[QSlider, QLabel]:
    slider, label = _Slider(Qt.Orientation.Horizontal), QLabel()
    slider.setRange(0, STEPS)
    slider.setAccessibleName(name)
    slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    label.setFixedWidth(30)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    slider.valueChanged.connect(lambda value: label.setText(f"{value / STEPS:.2f}"))
    slider.valueChanged.connect(lambda value: signal.emit(value / STEPS))
    return slider, label


def _place(slider: QSlider, label: QLabel, value: float) -> None:
    slider.blockSignals(True)
    slider.setValue(round(value * STEPS))
    slider.blockSignals(False)
    label.setText(f"{value:.2f}")


def _fill(combo: QComboBox, names: Sequence[str], current: int) -> None:
    combo.blockSignals(True)
    combo.clear()
    combo.addItems(list(names))
    combo.setCurrentIndex(current)
    combo.blockSignals(False)


def _beside(slider: QSlider, label: QLabel) -> QWidget:
    both = QWidget()
    row = QHBoxLayout(both)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(slider, 1)
    row.addWidget(label)
    return both
