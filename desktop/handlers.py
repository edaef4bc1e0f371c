"""What each entry of the table of shortcuts does in a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from desktop.session.verdicts import Kind

if TYPE_CHECKING:
    from desktop.main_window import MainWindow

LOOKS = ("mask", "outline", "truth", "beside", "clahe", "smooth", "crosshair", "ruler")
"""What lies over the picture, or how it is drawn: switched on and off, and called as in `Look`."""


def handlers(window: MainWindow) -> dict[str, Callable[[], object]]:
    """A function for each entry, by its name."""
    desk, reader = window.desk, window.reader
    presets = {f"preset_{n + 1}": lambda n=n: reader.pick_preset(n) for n in range(5)}
    toggles = {name: lambda name=name: reader.set_look(**{name: window.actions_[name].isChecked()}) for name in LOOKS}
    return {
        "open": window.ask_folder,
        "bundled": lambda: desk.open_bundled(),
        "segment_all": lambda: desk.masks.segment_all(),
        "cancel": lambda: desk.stop(),
        "export": window.ask_export,
        "quit": window.close,
        "accept": lambda: desk.judge.accept(go_on=True),
        "accept_stay": lambda: desk.judge.accept(go_on=False),
        "reject": window.reject_case,
        "flag": lambda: desk.judge.decide(Kind.FLAG),
        "clear": lambda: desk.judge.decide(Kind.CLEAR),
        "undo": lambda: desk.judge.undo(),
        "redo": lambda: desk.judge.redo(),
        "note": window.write_note,
        "next_case": lambda: desk.step_case(1),
        "previous_case": lambda: desk.step_case(-1),
        "next_slice": lambda: reader.step(1),
        "previous_slice": lambda: reader.step(-1),
        "five_on": lambda: reader.step(5),
        "five_back": lambda: reader.step(-5),
        "first_slice": lambda: reader.go_to(0),
        "last_slice": lambda: reader.step(1 << 20),
        "next_lesion": lambda: reader.step_lesion(1),
        "previous_lesion": lambda: reader.step_lesion(-1),
        "lesions": lambda: window.show_right(not window.right.isVisible()),
        "search": lambda: window.write_in(window.list, window.list.search),
        "fainter": lambda: reader.fade(-1),
        "stronger": lambda: reader.fade(1),
        "channel": reader.next_channel,
        "auto_window": reader.auto_window,
        "zoom_in": lambda: reader.zoom(1.25),
        "zoom_out": lambda: reader.zoom(0.8),
        "reset": reader.reset,
        "maximise": lambda: window.maximise(reader.pane),
        "names": lambda: desk.show_names(window.actions_["names"].isChecked()),
        "keys": lambda: window.sheet.open(),
        **presets,
        **toggles,
    }
