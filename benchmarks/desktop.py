"""How quick the reviewer's window is: `python -m benchmarks.desktop --cases 1000`.

Real key presses in a real window (on X11 or Wayland; without a screen Qt's own "offscreen" one is taken), each timed
until what it changes is painted. Each window is a fresh process with verdicts and results of its own that are thrown
away, so nothing is warm. Processor time stands beside the clock, for a machine that others use is slower by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from core.phantom import write_phantom_case

ROOT = Path(__file__).resolve().parent.parent
WAIT_S, SETTLE_S, TICK_MS = 300.0, 2.0, 2
VOLUME = (155, 240, 240)
FRAME_MS = 16.0


def make_folder(folder: Path, cases: int, slices: int, side: int) -> None:
    """Write a folder of cases with truth: three heads, again and again under other names."""
    drawn = [write_phantom_case(seed, folder.parent / "drawn", slices, side) for seed in (1, 2, 3)]
    for number in range(cases):
        source, target = drawn[number % len(drawn)], folder / f"CASE_{number:05}"
        target.mkdir(parents=True)
        for path in sorted(source.iterdir()):
            copy = target / path.name.replace(source.name, target.name)
            try:
                copy.hardlink_to(path)
            except OSError:
                shutil.copyfile(path, copy)


def make_volume(folder: Path) -> None:
    """Write one volume of 1 mm voxels as NIfTI, which is shown in three panes."""
    import nibabel

    folder.mkdir(parents=True)
    values = np.random.default_rng(0).integers(0, 1000, VOLUME[::-1], np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), folder / "volume.nii.gz")


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds by the clock, and of this process's threads on a processor."""

    clock: float
    processor: float

    def __sub__(self, other: Span) -> Span:
        return Span(self.clock - other.clock, self.processor - other.processor)

    def row(self) -> dict[str, float]:
        """JSON-ready."""
        return {"clock_s": round(self.clock, 3), "processor_s": round(self.processor, 3)}


def now() -> Span:
    """The two clocks."""
    return Span(time.perf_counter(), time.process_time())


class Stopwatch:
    """Knows when a pane of a window was painted."""

    def __init__(self, window: Any) -> None:
        from PyQt6.QtCore import QEvent, QEventLoop, QObject, QTimer
        from PyQt6.QtWidgets import QApplication

        self.window, self.painted, self._application = window, False, QApplication.instance()
        watch = self

        class Eye(QObject):
            def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
                watch.painted |= event is not None and event.type() == QEvent.Type.Paint
                return False

        self._wait = QEventLoop.ProcessEventsFlag.WaitForMoreEvents
        self._tick = QTimer(interval=TICK_MS)  # ends a wait in which nothing happens
        self._tick.start()
        self._eye = Eye()
        window.reader.pane.installEventFilter(self._eye)

    def activate(self) -> None:
        """Wait until the window has the keys; where nobody manages windows it must ask for them."""
        self.until(lambda: self.window.activateWindow() or self.window.isActiveWindow())

    def until(self, there: Callable[[], bool]) -> None:
        """Let the window work until something is there."""
        deadline = time.perf_counter() + WAIT_S
        while not there():
            if time.perf_counter() > deadline:
                raise SystemExit("the window did not answer")
            self._application.processEvents(self._wait)

    def press(self, key: Any) -> Span:
        """From a key press to the end of the painting that follows it."""
        from PyQt6.QtTest import QTest

        self.painted = False
        begun = now()
        QTest.keyClick(self.window.reader.pane, key)
        self.until(lambda: self.painted)  # processEvents returns when what was painted is on its way to the screen
        return now() - begun


def look(folder: Path, keys: int, walk: int) -> dict[str, Any]:
    """In this process: open a window on a folder, and time it."""
    begun = now()
    from PyQt6.QtCore import Qt

    from desktop.app import make_application
    from desktop.desk import Settings
    from desktop.main_window import MainWindow

    application = make_application()
    window: Any = MainWindow(Settings(segment=False))
    window.resize(1440, 900)  # on any screen
    window.show()
    watch = Stopwatch(window)
    try:
        watch.activate()
        started = now()
        window.open([folder])
        watch.until(lambda: window.reader.opened is not None)
        watch.painted = False
        window.reader.pane.update()
        watch.until(lambda: watch.painted)
        first = now() - started
        memory = [_resident_mib()]
        settled = time.perf_counter() + SETTLE_S
        watch.until(lambda: time.perf_counter() > settled)  # thumbnails and the case ahead are made behind the window
        watch.press(Qt.Key.Key_Home)
        slices = window.reader.opened.view.shape[0]
        steps = [watch.press(key) for key in _up_and_down(keys, slices, Qt)]
        count = len(window.desk.review.cases)
        cases = [_next_case(watch, Qt) for _ in range(min(walk, count - 1))]
        memory.append(_resident_mib())
    finally:
        window.close()
    return {
        "platform": application.platformName(),
        "cases": count,
        "slices": slices,
        "window": (started - begun).row(),
        "first_image": first.row(),
        "slice": _spread(steps),
        "case": _spread(cases),
        "memory_mib": memory,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _next_case(watch: Stopwatch, qt: Any) -> Span:
    """From a key press to the next case's picture."""
    reader = watch.window.reader
    before, begun = reader.case, now()
    watch.press(qt.Key.Key_PageDown)
    watch.until(lambda: reader.case is not before and reader.opened is not None)
    watch.painted = False
    reader.pane.update()
    watch.until(lambda: watch.painted)
    return now() - begun


def _up_and_down(keys: int, slices: int, qt: Any) -> list[Any]:
    """Key presses that each change the slice, to the last one and back; none where there is one slice."""
    if slices < 2:
        return []
    down, up = [qt.Key.Key_Down] * (slices - 1), [qt.Key.Key_Up] * (slices - 1)
    return ((down + up) * (keys // (2 * (slices - 1)) + 1))[:keys]


def _spread(spans: Sequence[Span]) -> dict[str, Any]:
    """By the clock and of the processor: median, 95th percentile, and how often it was more than a frame."""
    if len(spans) < 2:
        return {"count": len(spans)}
    rows: dict[str, Any] = {"count": len(spans)}
    for name, seconds in (("clock", [span.clock for span in spans]), ("processor", [span.processor for span in spans])):
        samples = [1000 * each for each in seconds]
        rows[name] = {
            "median_ms": round(statistics.median(samples), 2),
            "p95_ms": round(statistics.quantiles(samples, n=20, method="inclusive")[-1], 2),
            "late": sum(sample > FRAME_MS for sample in samples),
        }
    return rows


def _resident_mib() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def run(folder: Path, keys: int, walk: int) -> dict[str, Any]:
    """Measure in a process of its own, whose verdicts and results go into a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="metseg-bench-") as own:
        environment = {**os.environ, "METSEG_HOME": f"{own}/home", "METSEG_CACHE": f"{own}/cache"}
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            environment.setdefault("QT_QPA_PLATFORM", "offscreen")
        command = [sys.executable, "-m", "benchmarks.desktop", "--look", str(folder), "--keys", str(keys)]
        done = subprocess.run(
            [*command, "--walk", str(walk)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000, help="in the folder that is made")
    parser.add_argument("--slices", type=int, default=12, help="of each case")
    parser.add_argument("--side", type=int, default=256, help="of a slice, in pixels")
    parser.add_argument("--keys", type=int, default=300, help="slice changes to time")
    parser.add_argument("--walk", type=int, default=60, help="cases to go through")
    parser.add_argument("--rounds", type=int, default=3, help="fresh windows")
    parser.add_argument("--volume", action="store_true", help="one NIfTI volume instead of a folder of cases")
    parser.add_argument("--folder", type=Path, help="a folder of cases that is there already")
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look:
        print(json.dumps(look(given.look, given.keys, given.walk)))
        return
    with tempfile.TemporaryDirectory(prefix="metseg-bench-") as name:
        folder = given.folder or Path(name) / "scans"
        if given.volume:
            make_volume(folder)
        elif not given.folder:
            make_folder(folder, given.cases, given.slices, given.side)
        rows = [run(folder, given.keys, given.walk) for _ in range(given.rounds)]
    print(json.dumps({"machine": describe_machine(), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
