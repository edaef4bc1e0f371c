"""The one table of keys. Menus, tooltips and the F1 sheet are made from it; nothing else binds a key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One thing that can be done.

    Attributes:
        name: for programs.
        text: for menus and the sheet.
        section: the menu it stands in.
        keys: as Qt writes them; the first is shown.
        verdict: whether it decides about a case: never while text is typed, never by a key that is held down.
        held: whether it holds only as long as its key does.
        mouse: what the mouse does for the same, for the sheet.
    """

    name: str
    text: str
    section: str
    keys: tuple[str, ...] = ()
    verdict: bool = False
    held: bool = False
    mouse: str = ""


SHORTCUTS = (
    Shortcut("open", "Open folder…", "File", ("Ctrl+O",)),
    Shortcut("bundled", "Open the bundled cases", "File"),
    Shortcut("segment_all", "Segment all cases", "File", ("Ctrl+Return",)),
    Shortcut("cancel", "Stop exporting or segmenting", "File", ("Ctrl+.",)),
    Shortcut("export", "Export…", "File", ("Ctrl+E",)),
    Shortcut("quit", "Quit", "File", ("Ctrl+Q",)),
    Shortcut("accept", "Accept and go on", "Verdict", ("Return", "Enter"), verdict=True),
    Shortcut("accept_stay", "Accept and stay", "Verdict", ("Shift+Return", "Shift+Enter"), verdict=True),
    Shortcut("reject", "Reject…", "Verdict", ("Delete", "Backspace"), verdict=True),
    Shortcut("flag", "Flag for a second look", "Verdict", ("G",), verdict=True),
    Shortcut("clear", "Clear the verdict", "Verdict", ("U",), verdict=True),
    Shortcut("undo", "Undo the last verdict", "Verdict", ("Ctrl+Z",), verdict=True),
    Shortcut("redo", "Redo it", "Verdict", ("Ctrl+Shift+Z", "Ctrl+Y"), verdict=True),
    Shortcut("note", "Write a note", "Verdict", ("T",)),
    Shortcut("next_case", "Next case", "Go", ("PgDown", "Ctrl+Down")),
    Shortcut("previous_case", "Previous case", "Go", ("PgUp", "Ctrl+Up")),
    Shortcut("next_slice", "Next slice", "Go", ("Down",), mouse="wheel"),
    Shortcut("previous_slice", "Previous slice", "Go", ("Up",), mouse="wheel"),
    Shortcut("five_on", "Five slices on", "Go", ("Shift+Down",)),
    Shortcut("five_back", "Five slices back", "Go", ("Shift+Up",)),
    Shortcut("first_slice", "First slice", "Go", ("Home", "Ctrl+Left")),
    Shortcut("last_slice", "Last slice", "Go", ("End", "Ctrl+Right")),
    Shortcut("next_lesion", "Next lesion", "Go", (".",)),
    Shortcut("previous_lesion", "Previous lesion", "Go", (",",)),
    Shortcut("lesions", "Lesion list", "Go", ("L",)),
    Shortcut("search", "Search cases", "Go", ("Ctrl+F",)),
    Shortcut("mask", "Mask on or off", "View", ("S",)),
    Shortcut("peek", "Peek without the mask", "View", ("Space",), held=True),
    Shortcut("outline", "Outline or fill", "View", ("O",)),
    Shortcut("fainter", "Fainter mask", "View", ("A",)),
    Shortcut("stronger", "Stronger mask", "View", ("D",)),
    Shortcut("truth", "Ground truth on or off", "View", ("Y",)),
    Shortcut("beside", "Ground truth beside the mask", "View", ("V",)),
    Shortcut("channel", "Next channel", "View", ("K",)),
    Shortcut("clahe", "Contrast as the model sees it (CLAHE)", "View", ("H",)),
    Shortcut("smooth", "Smooth or single pixels", "View", ("I",)),
    Shortcut("crosshair", "Crosshair", "View", ("X",), mouse="click or Shift+move takes all panes there"),
    Shortcut("ruler", "Ruler", "View", ("M",), mouse="left drag measures"),
    Shortcut("auto_window", "Automatic window", "View", ("C",), mouse="right drag sets the window"),
    Shortcut("preset_1", "Window: full range", "View", ("Shift+1",)),
    Shortcut("preset_2", "Window: brain", "View", ("Shift+2",)),
    Shortcut("preset_3", "Window: high contrast", "View", ("Shift+3",)),
    Shortcut("preset_4", "Window: bright lesions", "View", ("Shift+4",)),
    Shortcut("preset_5", "Window: dark detail", "View", ("Shift+5",)),
    Shortcut("zoom_in", "Zoom in", "View", ("+", "Ctrl+="), mouse="Ctrl+wheel"),
    Shortcut("zoom_out", "Zoom out", "View", ("-",), mouse="Ctrl+wheel"),
    Shortcut("reset", "Reset zoom and window", "View", ("R",), mouse="left or middle drag pans"),
    Shortcut("maximise", "Maximise a pane", "View", ("F11",), mouse="double click"),
    Shortcut("names", "Show the cases' names", "View", ("Ctrl+Shift+N",)),
    Shortcut("keys", "Keys", "Help", ("F1", "?")),
)
"""Second keys are for laptops without PgUp, Home or Delete. No second key is what the first one types on some layout,
such as "@" beside Shift+2: one press would then mean both, and Qt acts on neither."""


def readable(key: str) -> str:
    """A key as it is printed on keyboards."""
    for written, printed in (("Return", "Enter"), ("PgDown", "PgDn")):
        key = key.replace(written, printed)
    arrows = {"Up": "↑", "Down": "↓", "Left": "←", "Right": "→"}
    parts = key.split("+") if key != "+" else [key]
    return "+".join(arrows.get(part, part) for part in parts)


def sections(table: Iterable[Shortcut] = SHORTCUTS) -> dict[str, list[Shortcut]]:
    """The table by menu, in its order."""
    found: dict[str, list[Shortcut]] = {}
    for entry in table:
        found.setdefault(entry.section, []).append(entry)
    return found


def conflicts(table: Iterable[Shortcut] = SHORTCUTS) -> list[str]:
    """Keys that stand for two things; there must be none."""
    owner: dict[str, str] = {}
    found = []
    for entry in table:
        for key in entry.keys:
            if owner.setdefault(key.casefold(), entry.name) != entry.name:
                found.append(key)
    return found
