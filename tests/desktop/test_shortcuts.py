import ast
from dataclasses import replace
from pathlib import Path

from desktop.shortcuts import SHORTCUTS, conflicts, sections

DESKTOP = Path(__file__).resolve().parents[2] / "desktop"
OF_THE_BRIEF = {
    "next_lesion": ".", "previous_lesion": ",", "next_case": "PgDown", "previous_case": "PgUp", "mask": "S",
    "peek": "Space", "fainter": "A", "stronger": "D", "outline": "O", "crosshair": "X", "auto_window": "C",
    "reset": "R", "accept": "Return", "accept_stay": "Shift+Return", "reject": "Delete", "flag": "G", "clear": "U",
    "lesions": "L", "note": "T", "export": "Ctrl+E", "keys": "F1", "undo": "Ctrl+Z", "five_on": "Shift+Down",
}  # fmt: skip


def test_no_key_stands_for_two_things() -> None:
    assert conflicts() == []
    assert conflicts((SHORTCUTS[0], replace(SHORTCUTS[1], keys=SHORTCUTS[0].keys))) == list(SHORTCUTS[0].keys)


def test_no_press_on_a_us_keyboard_means_two_keys() -> None:
    typed = dict(zip('!@#$%^&*()_+{}|:"<>?~', "1234567890-=[]\\;',./`", strict=True))
    presses = [
        "+".join((*held, "Shift", typed[key]) if key in typed else (*held, key))
        for entry in SHORTCUTS
        for *held, key in (name.split("+") if len(name) > 1 else [name] for name in entry.keys)
    ]
    assert len(set(presses)) == len(presses)


def test_names_are_unique_and_the_keys_are_those_people_know() -> None:
    assert len({entry.name for entry in SHORTCUTS}) == len(SHORTCUTS)
    assert {entry.name: entry.keys[0] for entry in SHORTCUTS if entry.name in OF_THE_BRIEF} == OF_THE_BRIEF


def test_what_a_laptop_lacks_has_a_second_key() -> None:
    for entry in SHORTCUTS:
        if {"PgUp", "PgDown", "Home", "End", "Delete"} & set(entry.keys):
            assert len(entry.keys) > 1


def test_every_verdict_is_marked_as_one() -> None:
    verdicts = {entry.name for entry in SHORTCUTS if entry.verdict}
    assert verdicts == {"accept", "accept_stay", "reject", "flag", "clear", "undo", "redo"}
    assert set(sections()) == {"File", "Verdict", "Go", "View", "Help"}


def test_no_other_file_binds_a_key() -> None:
    for path in DESKTOP.rglob("*.py"):
        if path.name not in ("shortcuts.py", "actions.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            names = {node.id for node in nodes if isinstance(node, ast.Name)}
            names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            assert names & {"QShortcut", "QKeySequence", "setShortcut", "setShortcuts"} == set(), path.name
