"""The small parts: Accept, hosts, the gate's sums, problems of every error, fields of the form."""

from __future__ import annotations

import errno
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from api.gate import Gate, Place
from api.logs import configure_logs
from api.negotiation import quality
from api.problems import Problem, problem_of
from api.settings import Settings
from core import errors


@pytest.mark.parametrize(
    ("accept", "offer", "expected"),
    [
        ("", "image/png", 1.0),
        ("  ", "image/png", 1.0),
        ("image/png", "image/png", 1.0),
        ("IMAGE/PNG; Q=0.25", "image/png", 0.25),
        ("*/*;q=0.9, image/png;q=0.1", "image/png", 0.1),
        ("image/png;q=0.1, image/*;q=0.9", "image/png", 0.1),
        ("image/*;q=0.3, */*", "image/tiff", 0.3),
        ("text/html", "image/png", 0.0),
        ("image/png;q=0", "image/png", 0.0),
        ("image/png;q=x", "image/png", 0.0),
        ("image/png;q=1e9", "image/png", 0.0),
        ("image/png;q=7", "image/png", 1.0),
        (",,;;,/", "image/png", 0.0),
    ],
)
def test_the_most_specific_range_decides(accept: str, offer: str, expected: float) -> None:
    assert quality(accept, offer) == expected


def every_error(kind: type[errors.MetsegError] = errors.MetsegError) -> list[type[errors.MetsegError]]:
    return [kind, *(error for child in kind.__subclasses__() for error in every_error(child))]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_becomes_a_problem_without_its_source(kind: type[errors.MetsegError]) -> None:
    problem = problem_of(kind("one sentence", source="/PLANTED"))
    assert (problem.code, problem.detail) == (kind.code, "one sentence")
    assert 400 <= problem.status < 600
    assert (problem.status < 500) == issubclass(kind, errors.InputError | errors.UsageError | errors.ModelNotFound)
    assert b"PLANTED" not in problem.response("id").body
    assert ("Retry-After" in problem.headers) == (problem.status == 503)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENOSPC, "PLANTED"), 507),
        (OSError(errno.EMFILE, "PLANTED"), 503),
        (OSError(errno.EIO, "PLANTED"), 500),
        (MemoryError("PLANTED"), 503),
        (ValueError("PLANTED"), 500),
    ],
)
def test_other_errors_keep_their_words_to_themselves(error: Exception, status: int) -> None:
    problem = problem_of(error)
    assert problem.status == status
    assert b"PLANTED" not in problem.response("id").body
    assert "PLANTED" not in errors.kind_and_place(error)
    assert ("Retry-After" in problem.headers) == (status == 503)


def test_a_full_disk_while_uploading_is_507(server: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tempfile import SpooledTemporaryFile

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SpooledTemporaryFile, "rollover", full)
        answer = server.post(bytes(3 << 20))
    assert (answer.status_code, answer.json()["code"]) == (507, "disk-full")


def test_the_wait_grows_with_what_is_within_and_with_how_long_each_takes() -> None:
    gate = Gate(Settings(queue=1000))
    gate._seconds_each = 3.0

    def told() -> int:
        return int(gate._full().headers["Retry-After"])

    few = told()
    gate.within = 10
    assert few < told() < 60
    gate.within = 1000
    assert told() == 60


def test_places_and_voxels_come_back_whatever_happens() -> None:
    gate = Gate(Settings(queue=1, queue_voxels=10))

    def fails() -> None:
        with gate.place() as place:
            gate.take(place, 8)
            with pytest.raises(Problem):
                gate.refuse_when_full()
            with pytest.raises(Problem):
                gate.take(Place(), 3)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    with gate.place() as place:
        gate.take(place, 11)
    assert (gate.within, gate._voxels) == (0, 0)


def test_problems_are_json_in_any_script() -> None:
    body = Problem(422, "bad-field", "Schwellenwert: größer als ∞", fields=[("ü", "\udcff")]).response("id").body
    assert json.loads(body)["detail"].endswith("∞")


def test_logs_are_set_up_once_and_access_lines_stay_back() -> None:
    import logging

    own, access = logging.getLogger("metseg"), logging.getLogger("uvicorn.access")
    before = list(own.handlers), own.level, own.propagate, access.disabled
    try:
        own.handlers.clear()
        configure_logs()
        configure_logs()
        assert len(own.handlers) == 1
        assert access.disabled
    finally:
        own.handlers[:], own.level, own.propagate, access.disabled = before


def test_no_thread_is_left_behind(start: Any) -> None:
    server = start()
    assert any(thread.name == "inference" for thread in threading.enumerate())
    inference = server.room.inference
    inference.stop(60)
    assert not inference._thread.is_alive()
    assert inference.stalled


def test_the_page_about_the_server_names_every_setting_and_its_addresses(server: Any) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `METSEG_"))
    assert set(re.findall(r"`METSEG_([A-Z_]+)`", rows)) == {name.upper() for name in Settings.model_fields}
    for path in server.client.get("/openapi.json").json()["paths"]:
        assert f"`{path.replace('{name}', 'NAME')}`" in page.replace("POST ", "").replace("GET ", "")
