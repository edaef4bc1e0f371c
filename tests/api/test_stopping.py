"""Told to stop: what is not answered within the drain time is answered all the same, and leaves no traceback."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from api import segmenting
from api.answers import Answer


def is_stopping(answer: httpx.Response) -> str:
    """The request's id."""
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (told["status"], told["code"]) == (503, "stopping")
    assert told["request_id"] == answer.headers["x-request-id"]
    assert int(answer.headers["retry-after"]) > 0
    return str(told["request_id"])


def test_what_waits_for_the_network_when_the_drain_time_ends_is_told_so(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any], listen: Callable[[], Any]
) -> None:
    server = start(drain_seconds=1)
    gate, log = gated(server), listen()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(server.post, kit.golden) for _ in range(3)]
        server.wait_until(lambda: server.room.gate.within == 3)
        assert gate.reached.wait(60)
        server.server.should_exit = True
        answers = [answer.result() for answer in asked]
        gate.open.set()
    ids = {is_stopping(answer) for answer in answers}
    assert len(ids) == 3
    server.wait_until(lambda: log.getvalue().count(" POST /predict/ 503 ") == 3)  # a client may have it before the log
    assert all(log.getvalue().count(id_) == 1 for id_ in ids)
    assert "Traceback" not in log.getvalue()
    assert server.room.gate.within == 0


def test_what_is_being_read_when_the_drain_time_ends_is_told_so(
    start: Callable[..., Any], kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, listen: Callable[[], Any]
) -> None:
    """Nothing else keeps the server then."""
    server = start(drain_seconds=1)
    go, log = threading.Event(), listen()
    monkeypatch.setattr(segmenting, "decode", lambda *arguments: go.wait(60))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.post, kit.golden)
        server.wait_until(lambda: server.room.gate.within == 1)
        server.server.should_exit = True
        is_stopping(asked.result())
        go.set()
    assert "Traceback" not in log.getvalue()


def test_an_upload_on_its_way_when_the_drain_time_ends_is_told_so_though_its_client_goes_on_sending(
    start: Callable[..., Any], listen: Callable[[], Any]
) -> None:
    server = start(drain_seconds=1)
    log, answer = listen(), bytearray()
    with server.connect() as connection:
        connection.sendall(b"POST /predict/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n")
        connection.sendall(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
        server.wait_until(lambda: server.room.gate.uploads == 1)
        server.server.should_exit = True
        server.wait_until(lambda: server.room.gate.uploads == 0)
        connection.sendall(bytes(1 << 20))
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code": "stopping"' in answer
    assert "Traceback" not in log.getvalue()


def test_an_answer_that_is_partly_sent_when_the_drain_time_ends_breaks_off_without_a_traceback(
    start: Callable[..., Any], kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, listen: Callable[[], Any]
) -> None:
    server = start(drain_seconds=1)
    log = listen()
    monkeypatch.setattr(segmenting, "finish", lambda *arguments: Answer(bytes(24 << 20), {}))
    request = httpx.Request("POST", server.client.base_url.join("/predict/"), files={"file": ("a.tif", kit.golden)})
    head = b"".join(b"%s: %s\r\n" % header for header in request.headers.raw)
    with server.connect() as connection:
        connection.sendall(b"POST /predict/ HTTP/1.1\r\n" + head + b"\r\n" + request.read())
        assert connection.recv(16).startswith(b"HTTP/1.1 200")
        server.server.should_exit = True
        server.wait_until(lambda: "broke off" in log.getvalue())
        server.wait_until(lambda: not server.server.server_state.connections)  # though this one takes nothing more
    assert "Traceback" not in log.getvalue()
    assert server.room.gate.within == 0


def test_a_body_that_breaks_after_its_answer_has_begun_leaves_none_either(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /predict/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
    with server.connect() as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 415 ")
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"zz\r\n")
            while part := connection.recv(65536):
                answer += part
    assert answer.count(b"HTTP/1.1 ") == 1
    assert server.client.get("/health/live").status_code == 200
    assert "Traceback" not in caplog.text
