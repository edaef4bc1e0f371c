"""The list of cases in the window: what is listed, in which order it is gone through, and what stays in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from metseg import main

OpenWindow = Callable[..., Any]


def test_cases_of_the_same_name_in_two_folders_are_both_listed_and_called_as_by_segment(
    qtbot: Any, open_window: OpenWindow, tiny_model: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for grey, folder in enumerate(folders):
        folder.mkdir()
        cv2.imwrite(str(folder / "flair.png"), np.full((64, 64), grey, np.uint8))
    window = open_window(None)
    window.open([*folders, folders[0] / "flair.png"])  # the same file twice is one case
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    names = {case.name: case.source.paths[0] for case in window.list.cases}
    assert names == {"flair": folders[0] / "flair.png", "flair-2": folders[1] / "flair.png"}
    out = tmp_path / "out"
    assert main(["segment", *map(str, folders), "--out", str(out), "--model", str(tiny_model), "--device", "cpu"]) == 0
    assert set(names) <= {path.name for path in out.iterdir()}
