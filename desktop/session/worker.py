"""The process that segments, so that the window never waits: JSON lines in, JSON lines out.

    in   {"job": 1, "name": …, "paths": […], "mask_paths": […], "notes": […], "series": …, "choices": […],
          "model": …, "device": …, "precision": …, "channel": …, "results": …}
         {"cancel": 1}
    out  {"job": 1, "event": "progress", "done": 3, "total": 20}
         {"job": 1, "event": "done", "key": …, "look": …, "image": …, "weights": …, "threshold": …, "summary": {…}}
         {"job": 1, "event": "failed", "code": …, "detail": …}   {"job": 1, "event": "cancelled"}

It ends when its input does: no window, no worker.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from core.errors import SeriesChoice
    from core.inference.predictor import Predictor
    from core.scan import Scan, ScanSource


class Worker:
    """Does one job after another."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._cancelled: set[int] = set()
        self._predictor: tuple[tuple[str, ...], Predictor] | None = None

    def cancel(self, job: int) -> None:
        """Stop a job that runs or waits; called from the reading thread."""
        self._cancelled.add(job)

    def do(self, request: dict[str, Any]) -> None:
        """One job, to its end, whatever that is."""
        from core.errors import Cancelled, DeviceLost, MetsegError

        job = int(request["job"])
        try:
            self._segment(job, request)
        except Cancelled:
            self._tell(job, "cancelled")
        except DeviceLost as error:
            raise SystemExit(error.detail) from error  # the next job begins a process to which the device may answer
        except MetsegError as error:
            self._tell(job, "failed", code=error.code, detail=error.detail)
        except Exception as error:
            detail = f"something unforeseen went wrong ({type(error).__name__})"
            self._tell(job, "failed", code="unexpected", detail=detail)

    def _segment(self, job: int, request: dict[str, Any]) -> None:
        from core.errors import Cancelled
        from core.io import read_scan
        from core.model_store import find_model, load_card
        from desktop.session.results import (
            Result,
            find,
            image_id,
            load_result,
            result_key,
            save_result,
            trim_results,
            with_channel_notes,
        )
        from desktop.session.series import check_series

        if job in self._cancelled:
            raise Cancelled("stopped as asked")
        source, series, choices = _case(request)
        if series is not None:
            check_series(source, series, choices)
        look = _look(source)
        scan = read_scan(source, series=series)
        image = image_id(scan, series)
        card = load_card(find_model(request["model"]))
        folder, channel = Path(request["results"]), request["channel"]
        key = result_key(image, card, channel, request["precision"], source.notes)
        result = load_result(folder, key)
        if result is None or result.probability.shape != scan.shape:
            self._tell(job, "progress", done=0, total=scan.shape[0])
            found = self._load(request).segment(
                scan,
                channel=channel,
                progress=lambda done, total: self._tell(job, "progress", done=done, total=total),
                cancelled=lambda: job in self._cancelled,
            )
            result = Result(found.probability, _beyond(found.warnings, scan), found.manifest)
            save_result(folder, key, result)
            trim_results(folder)
        result = with_channel_notes(result, scan, card.preprocessing.channels, channel)
        summary = find(result, card.threshold, scan).summary
        about = {"look": look, "image": image, "weights": card.weights.sha256, "threshold": card.threshold}
        self._tell(job, "done", key=key, **about, summary=asdict(summary))

    def _load(self, request: dict[str, Any]) -> Predictor:
        from core.inference.predictor import Predictor

        wanted = (request["model"], request["device"], request["precision"])
        if self._predictor is None or self._predictor[0] != wanted:
            self._predictor = None
            self._predictor = (wanted, Predictor(*wanted))
        return self._predictor[1]

    def _tell(self, job: int, event: str, **values: Any) -> None:
        if self._predictor:
            values["device"] = self._predictor[1].device
        self._out.write(json.dumps({"job": job, "event": event, **values}) + "\n")
        self._out.flush()


def _case(request: dict[str, Any]) -> tuple[ScanSource, str | None, tuple[SeriesChoice, ...]]:
    """A case, which of its series was chosen, and among which."""
    from core.errors import SeriesChoice
    from core.scan import Note, ScanSource

    paths = tuple(Path(path) for path in request["paths"])
    masks = tuple(None if path is None else Path(path) for path in request.get("mask_paths", ()))
    notes = tuple(Note(**note) for note in request.get("notes", ()))
    choices = tuple(SeriesChoice(**choice) for choice in request.get("choices", ()))
    return ScanSource(request["name"], paths, masks, notes), request["series"], choices


def _look(source: ScanSource) -> str:
    """What a case's files look like before they are read, so that a change meanwhile shows; masks count too."""
    from core.batch.resume import look_of
    from core.errors import BrokenFile

    try:
        return look_of(source)
    except OSError as error:
        detail = "a file of this case cannot be read any more; check the disk"
        raise BrokenFile(detail, source=source.name) from error


def _beyond(warnings: Any, scan: Scan) -> tuple[Any, ...]:
    """The warnings that the reader has not given already: those come with the scan itself."""
    return tuple(note for note in warnings if note not in scan.notes)


def main() -> None:
    """Work until the input ends."""
    # What a library prints must not end up between the lines.
    out, sys.stdout = sys.stdout, sys.stderr
    worker, jobs = Worker(out), queue.Queue[dict[str, Any]]()

    def listen() -> None:
        for line in sys.stdin:
            request = json.loads(line)
            if "cancel" in request:
                worker.cancel(int(request["cancel"]))
            else:
                jobs.put(request)
        os._exit(0)  # nobody waits for what is being computed

    threading.Thread(target=listen, daemon=True).start()
    while True:
        worker.do(jobs.get())
