"""Work off the window's thread: a function runs in a pool, its answer comes back as a call in the window's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from PyQt6.QtCore import QObject, QRunnable, QThreadPool, QTimer, pyqtSignal

T = TypeVar("T")


def make_timer(parent: QObject, interval_ms: int, then: Callable[[], object], *, once: bool = True) -> QTimer:
    """A timer that waits to be started."""
    timer = QTimer(parent)
    timer.setInterval(interval_ms)
    timer.setSingleShot(once)
    timer.timeout.connect(then)
    return timer


class _Bell(QObject):
    done = pyqtSignal(object, object)


class _Task(QRunnable):
    def __init__(self, bell: _Bell, work: Callable[[], Any], then: Any, failed: Any) -> None:
        super().__init__()
        self._bell, self._work, self._then, self._failed = bell, work, then, failed

    def run(self) -> None:
        try:
            callback, value = self._then, self._work()
        except Exception as error:
            callback, value = self._failed, error
        try:
            self._bell.done.emit(callback, value)
        except RuntimeError:
            return  # the window is gone


class Tasks(QObject):
    """A pool of threads.

    Args:
        threads: how many work at once.

    Signals:
        failed(object): the error of a work that named nobody to hear of it.
    """

    failed = pyqtSignal(object)

    def __init__(self, threads: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(threads)
        self._bell = _Bell(self)
        self._bell.done.connect(self._ring)
        self._closed = False

    def run(
        self, work: Callable[[], T], then: Callable[[T], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        """Run `work`; then, in the window's thread, call `then` with its answer or `failed` with its error."""
        self._pool.start(_Task(self._bell, work, then, failed))

    def _ring(self, callback: Callable[[Any], None] | None, value: Any) -> None:
        if self._closed:
            return
        if callback is not None:
            callback(value)
        elif isinstance(value, Exception):
            self.failed.emit(value)

    def close(self) -> None:
        """Drop what waits, and wait for what runs."""
        self._closed = True
        self._pool.clear()
        self._pool.waitForDone()


class Latest:
    """Work of which only what was asked for last counts: what comes of anything before it is dropped."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._number = 0

    def run(self, work: Callable[[], T], then: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        """As `Tasks.run`."""
        self._number += 1
        number = self._number
        self._tasks.run(
            work,
            lambda found: then(found) if number == self._number else None,
            lambda error: failed(error) if number == self._number else None,
        )
