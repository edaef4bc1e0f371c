"""Windows without a screen, three small cases, and results that are there already."""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
LINE = "sudo apt-get install libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the window are skipped, by name, where Qt cannot be loaded; in CI they fail instead."""
    try:
        importlib.import_module("PyQt6.QtWidgets")
    except ImportError as error:
        if os.environ.get("CI"):
            raise pytest.UsageError(f"Qt cannot be loaded ({error}); {LINE}") from error
        for item in items:
            if "qtbot" in getattr(item, "fixturenames", ()) and "desktop" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason=f"Qt cannot be loaded ({error}); {LINE}"))


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("METSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def made_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from core.phantom import write_phantom_case

    folder = tmp_path_factory.mktemp("scans")
    for seed in (1, 2, 3):
        write_phantom_case(seed, folder, slices=4, size=64)
    return folder


@pytest.fixture
def scans(made_cases: Path, tmp_path: Path) -> Path:
    """Three cases of four slices, with truth, free to be changed."""
    shutil.copytree(made_cases, tmp_path / "scans")
    return tmp_path / "scans"


@pytest.fixture
def sequences(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a case of one volume for each sequence: `sequences("flair", "t1")`; returns its folder."""
    import nibabel
    import numpy as np

    folder = tmp_path / "sequences"
    folder.mkdir()

    def write(*names: str) -> Path:
        with zipfile.ZipFile(folder / "case.zip", "w") as archive:
            for name in names:
                grey = len(name) * np.arange(16 * 16 * 3, dtype=np.int16).reshape(16, 16, 3)
                archive.writestr(f"{name}.nii", nibabel.Nifti1Image(grey, np.eye(4)).to_bytes())
        return folder

    return write


@pytest.fixture(scope="session")
def work() -> Callable[..., list[dict[str, Any]]]:
    """A function that segments a folder's cases as the worker does, in this process: `work(scans, model, results)`."""
    from dataclasses import asdict

    from core.io import find_scans
    from desktop.session.worker import Worker

    def segment(scans: Path, model: Path, results: Path) -> list[dict[str, Any]]:
        out = io.StringIO()
        worker = Worker(out)
        for number, source in enumerate(find_scans(scans), 1):
            wanted = {"model": str(model), "device": "cpu", "precision": "fp32", "channel": None, "series": None}
            files = {"paths": [str(path) for path in source.paths], "notes": [asdict(note) for note in source.notes]}
            worker.do({"job": number, "name": source.name, **files, **wanted, "results": str(results)})
        return [json.loads(line) for line in out.getvalue().splitlines()]

    return segment


@pytest.fixture(scope="session")
def made_results(
    made_cases: Path,
    tiny_model: Path,
    work: Callable[..., list[dict[str, Any]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("results")
    work(made_cases, tiny_model, folder)
    return folder


@pytest.fixture
def results(made_results: Path, tmp_path: Path) -> Path:
    """The three cases' results, where the window looks for them."""
    shutil.copytree(made_results, tmp_path / "cache" / "review-results")
    return tmp_path / "cache" / "review-results"


@pytest.fixture
def open_window(qtbot: Any, tiny_model: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens a window: `open_window(scans)`; it is shown, and its first case is on the screen."""
    from desktop.app import make_application
    from desktop.desk import Settings
    from desktop.main_window import MainWindow

    make_application()
    windows = []

    def make(folder: Path | None = None, *, model: Path | None = tiny_model, segment: bool = False) -> Any:
        window = MainWindow(Settings(model, "cpu", "fp32", segment))
        windows.append(window)
        window.resize(1440, 900)  # the screen that is none is smaller
        window.show()
        window.activateWindow()
        qtbot.waitExposed(window)
        if folder is not None:
            window.open([folder])
            qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
        return window

    yield make
    for window in windows:
        window.close()
        window.deleteLater()
