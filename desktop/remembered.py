"""Where a reader was and how it looked, as JSON, to be found again the next time."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from PyQt6.QtCore import QPointF

from desktop.reader import Reader
from desktop.session.display import Window
from desktop.session.store import Store
from desktop.widgets.slice_view import MOST_ZOOM


def view_in(store: Store) -> dict[str, Any]:
    """Where the reviewer was, as a review's record has it; what cannot be read is forgotten."""
    try:
        return {name: json.loads(value) for name, value in store.view().items()}
    except (sqlite3.Error, ValueError):
        return {}


def state_of(reader: Reader) -> dict[str, Any]:
    """Where the reader is and how it looks."""
    centre, window = reader.pane.centre, reader.window_
    return {
        "case": reader.case.name if reader.case else None,
        "slice": reader.index,
        "place": list(reader.place),
        "channel": reader.channel,
        "zoom": reader.pane.zoom,
        "centre": [centre.x(), centre.y()] if centre else None,
        "preset": reader.preset,
        "window": [window.low, window.high] if window else None,
        "look": asdict(reader.look),
    }


def restore(reader: Reader, state: dict[str, Any]) -> None:
    """Go back to where a reader was; what does not fit any more is left out."""
    if reader.opened is None:
        return
    channel, window, centre = state.get("channel"), state.get("window"), state.get("centre")
    if isinstance(channel, int) and 0 <= channel < len(reader.opened.channels):
        reader.channel = channel
    preset = int(state.get("preset", 0))
    reader.preset = preset if window else max(preset, 0)
    reader.apply_preset()
    if preset < 0 and window:
        reader.window_ = Window(float(window[0]), float(window[1]))
    place = state.get("place")
    if isinstance(place, list) and len(place) == 3:
        inside = zip(place, reader.opened.scan.shape, strict=True)
        if all(isinstance(value, int) and 0 <= value < size for value, size in inside):
            reader.go_to_place((place[0], place[1], place[2]))
    reader.panes.aim(min(max(float(state.get("zoom", 1.0)), 1.0), MOST_ZOOM), QPointF(*centre) if centre else None)
    reader.render_slice()
    reader.look_changed.emit()


def restore_look(reader: Reader, values: dict[str, Any]) -> None:
    """Show pictures as the last time."""
    kinds = asdict(reader.look)
    for name, value in values.items():
        if name in kinds and type(value) is type(kinds[name]):
            setattr(reader.look, name, value)
