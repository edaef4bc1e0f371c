"""Requests that are wrong, too large, too slow or hostile: each is answered with a problem, and others go on."""

from __future__ import annotations

import gzip
import json
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

BOUNDARY = "limit"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, content: bytes, filename: str | bytes | None = None) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode()
    if filename is not None:
        head += b'; filename="' + (filename.encode() if isinstance(filename, str) else filename) + b'"'
    return head + b"\r\n\r\n" + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["title"]
    assert told["detail"]
    assert code is None or told["code"] == code
    assert "Traceback" not in answer.text
    return told


def head(length: int | None = None, host: str = "localhost", **more: str) -> bytes:
    lines = [f"POST /predict/ HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM['content-type']}"]
    lines += [] if length is None else [f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def problem_in(answer: bytes) -> dict[str, Any]:
    """The problem in a raw answer whose connection was closed."""
    top, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in top
    told: dict[str, Any] = json.loads(body)
    assert told["status"] == status_of(answer)
    return told


@pytest.mark.parametrize(
    ("files", "fields", "field"),
    [
        ([], {}, "file"),
        ([("file", ("a.tif", b""))], {}, "file"),
        ([("image", ("a.tif", b"II*\0"))], {}, "file"),
        ([("file", ("a.tif", b"II*\0")), ("file", ("b.tif", b"II*\0"))], {}, "file"),
        ([("threshold", ("a.tif", b"0.5")), ("file", ("b.tif", b"II*\0"))], {}, "threshold"),
        ([("file", ("a.tif", b"II*\0"))], {"treshold": "0.5"}, None),
        ([("file", ("a.tif", b"II*\0"))], {"tta": ["true", "false"]}, "tta"),
    ],
)
def test_a_form_without_its_one_file_is_422(server: Any, files: Any, fields: Any, field: str | None) -> None:
    if not files:
        files = [("other", (None, b"text"))] if field is None else [("tta", (None, b"false"))]
    told = is_problem(server.client.post("/predict/", files=files, data=fields), 422)
    assert [entry["field"] for entry in told.get("errors", [])] == ([field] if field else [])


def test_a_file_sent_as_text_is_422(server: Any) -> None:
    is_problem(server.client.post("/predict/", content=part("file", b"II*\0") + END, headers=FORM), 422, "bad-field")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("threshold", value) for value in ("NaN", "-1", "2", "1e999", "half", "0x1", "-inf")),
        *(("min_lesion", value) for value in ("-1", "1.5", "99999999999999999999", "x")),
        ("tta", "perhaps"),
        ("slice_gap", "perhaps"),
        ("model", "x" * 200),
        ("channel", "y" * 200),
    ],
)
def test_a_value_that_makes_no_sense_is_422_and_names_its_field(
    server: Any, kit: SimpleNamespace, field: str, value: str
) -> None:
    answer = server.post(kit.golden, **{field: value})
    told = is_problem(answer, 422, "bad-field")
    assert [entry["field"] for entry in told["errors"]] == [field]
    assert value not in answer.text or len(value) < 3


def test_an_empty_field_is_as_good_as_none_but_never_lets_a_name_pass(server: Any, kit: SimpleNamespace) -> None:
    empty = dict.fromkeys(("model", "threshold", "tta", "min_lesion", "channel", "series", "slice_gap"), "")
    plain, told = server.post(kit.golden).json(), server.post(kit.golden, **empty).json()
    assert told["manifest"]["settings"] == plain["manifest"]["settings"]
    assert told["mask"] == plain["mask"]
    is_problem(server.post(kit.golden, deidentify=""), 422, "bad-field")


@pytest.mark.parametrize("parameter", ["view", "mask"])
def test_a_parameter_that_makes_no_sense_is_422_and_named(server: Any, kit: SimpleNamespace, parameter: str) -> None:
    told = is_problem(server.post(kit.golden, **{parameter: "PLANTED"}), 422, "bad-field")
    assert [entry["field"] for entry in told["errors"]] == [parameter]
    assert "PLANTED" not in json.dumps(told)


@pytest.mark.parametrize(
    ("address", "fields"), [("deidentify=true", ["deidentify"]), ("view=mask&tta", ["tta"]), ("PLANTED=1", [])]
)
def test_what_belongs_in_the_form_is_not_ignored_in_the_address(
    server: Any, kit: SimpleNamespace, address: str, fields: list[str]
) -> None:
    answer = server.client.post(f"/predict/?{address}", files={"file": ("a.tif", kit.golden)})
    told = is_problem(answer, 422, "bad-field")
    assert "in the form" in told["detail"]
    assert [entry["field"] for entry in told.get("errors", [])] == fields
    assert "PLANTED" not in answer.text


@pytest.mark.parametrize("model", ["nothing", "../../tmp", "tiny-nested-unet/..", "\u202egro"])
def test_an_unknown_model_is_404_and_never_a_path(server: Any, kit: SimpleNamespace, model: str) -> None:
    told = is_problem(server.post(kit.golden, model=model), 404, "model-not-found")
    assert "tiny-attention-unet" in told["detail"]
    is_problem(
        server.client.get(f"/models/{httpx.URL('http://x').copy_with(path='/' + model).raw_path.decode()[1:]}"), 404
    )


def test_a_model_folder_s_path_is_no_model_s_name(server: Any, kit: SimpleNamespace, tiny_model: Path) -> None:
    answer = server.post(kit.golden, model=str(tiny_model)[-90:])
    is_problem(answer, 404, "model-not-found")


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain", None])
def test_a_body_that_is_no_form_is_415(server: Any, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = server.client.post("/predict/", content=b'{"file": "x"}', headers=headers)
    is_problem(answer, 415, "no-form")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (part("file", b"II*\0", "a.tif") + END, "multipart/form-data"),
        (part("file", b"II*\0", "a.tif") + END, "multipart/form-data; boundary=other"),
        (b"no form at all", FORM["content-type"]),
        (b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, FORM["content-type"]),
        (part("file", b"II*\0", "a.tif") + END, f"multipart/form-data; boundary={'b' * 400}"),
    ],
)
def test_a_broken_form_is_400(server: Any, content: bytes, kind: str) -> None:
    is_problem(server.client.post("/predict/", content=content, headers={"content-type": kind}), 400, "broken-form")


def test_a_form_that_ends_too_early_is_no_upload(server: Any, kit: SimpleNamespace) -> None:
    content = part("file", kit.golden, "a.tif")[:-20]
    answer = server.client.post("/predict/", content=content, headers=FORM)
    is_problem(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_too_many_parts_and_a_text_of_two_megabytes_are_400(server: Any, kit: SimpleNamespace) -> None:
    many = b"".join(part(f"f{number}", b"x") for number in range(1001)) + END
    is_problem(server.client.post("/predict/", content=many, headers=FORM), 400, "broken-form")
    files = b"".join(part("file", b"x", "a") for number in range(1001)) + END
    is_problem(server.client.post("/predict/", content=files, headers=FORM), 400, "broken-form")
    large = part("file", kit.golden, "a.tif") + part("model", b"x" * 2_000_000) + END
    is_problem(server.client.post("/predict/", content=large, headers=FORM), 400, "broken-form")


@pytest.mark.parametrize(
    "name",
    [
        "../../PLANTED^NAME",
        "C:\\PLANTED\\x.tif",
        b"PLANTED\0.tif",
        "PLANTED" + "x" * 4090,
        "\u202eDETNALP PLANTED",
        b"PLANTED\xff\xfe",
        "",
        "PLANTED.png; x=\\",
    ],
)
def test_a_hostile_file_name_is_ignored(
    server: Any,
    kit: SimpleNamespace,
    name: str | bytes,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    content = part("file", kit.golden, name) + END
    answer = server.client.post("/predict/", content=content, headers=FORM)
    assert answer.status_code == 200
    out, err = capfd.readouterr()
    assert "PLANTED" not in answer.text + str(answer.headers) + caplog.text + out + err


def test_an_encoded_body_is_not_inflated(server: Any, kit: SimpleNamespace) -> None:
    content = gzip.compress(part("file", kit.golden, "a.tif") + END)
    answer = server.client.post("/predict/", content=content, headers={**FORM, "content-encoding": "gzip"})
    is_problem(answer, 415, "encoded-body")


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(server: Any) -> None:
    answer = server.talk(head(length=server.room.settings.body_bytes + 1, Expect="100-continue"))
    assert problem_in(answer)["code"] == "too-large"
    assert status_of(answer) == 413
    assert status_of(server.talk(head(length=int("9" * 30)))) in (400, 413)


@pytest.fixture
def upload_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files would show, if any had a name."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def strict(start: Callable[..., Any], upload_folder: Path) -> Any:
    """A server with a small cap and little patience."""
    return start(body_bytes=4 << 20, read_seconds=0.4, upload_seconds=3, queue=4)


def test_a_chunked_body_is_cut_off_at_the_cap(strict: Any, upload_folder: Path) -> None:
    begin = head(Transfer_Encoding="chunked") + b"%x\r\n" % (1 << 40)
    answer = strict.talk(begin, part("file", b"", "a.tif")[:-2], bytes(5 << 20))
    assert (status_of(answer), problem_in(answer)["code"]) == (413, "too-large")
    assert list(upload_folder.iterdir()) == []


def test_a_client_that_stops_sending_is_told_and_closed(strict: Any, upload_folder: Path) -> None:
    answer = strict.talk(head(length=3 << 20) + part("file", bytes(2 << 20), "a.tif")[:-2])
    assert (status_of(answer), problem_in(answer)["code"]) == (408, "too-slow")
    assert list(upload_folder.iterdir()) == []
    chunked = strict.talk(head(Transfer_Encoding="chunked") + b"7\r\n--limit\r\n")
    assert status_of(chunked) == 408


def test_a_client_that_never_ends_its_head_is_closed(strict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict.server.config.http_protocol_class, "head_seconds", 0.2)
    assert strict.talk() == b""
    assert strict.talk(b"POST /predict/ HTTP/1.1\r\nHost: loc") == b""
    with strict.connect() as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = bytearray()
        while b"live" not in answer:
            answer += connection.recv(4096)
        connection.sendall(b"GET /heal")
        while piece := connection.recv(4096):
            answer += piece
    assert answer.count(b"HTTP/1.1 200") == 1


def test_slow_senders_leave_others_unaffected(start: Callable[..., Any], kit: SimpleNamespace) -> None:
    """Far more of them than there are places; the places are for those whose upload is there."""
    strict = start(queue=4, read_seconds=60, upload_seconds=600)
    content = part("file", kit.golden, "a.tif") + END
    with ExitStack() as connections:
        slow = [connections.enter_context(strict.connect()) for _ in range(20)]
        for connection in slow:
            connection.sendall(head(length=len(content)))
        for position in range(3):
            for connection in slow:
                connection.sendall(content[position : position + 1])
            assert strict.post(kit.golden).status_code == 200
        for connection in slow:
            connection.sendall(content[3:])
            assert status_of(connection.recv(65536)) in (200, 503)


def test_a_client_that_leaves_while_uploading_has_nothing_computed(
    strict: Any, kit: SimpleNamespace, upload_folder: Path, gated: Callable[[Any], Any]
) -> None:
    gate = gated(strict)
    gate.open.set()
    content = part("file", bytes(2 << 20), "a.tif") + END
    for abrupt in (False, True):
        with strict.connect() as connection:
            connection.sendall(head(length=len(content)) + content[: 1 << 20])
            if abrupt:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    strict.wait_until(lambda: strict.room.gate.uploads == 0)
    assert strict.room.gate.within == 0
    assert gate.cases == []
    assert list(upload_folder.iterdir()) == []
    assert strict.post(kit.golden).status_code == 200


def test_a_large_upload_lies_in_no_file_that_has_a_name(
    strict: Any, kit: SimpleNamespace, upload_folder: Path, gated: Callable[[Any], Any]
) -> None:
    gate = gated(strict)
    content = kit.tiff(kit.noise(740, 740, dtype=np.uint16))
    assert len(content) > 1 << 20
    with strict.connect() as connection:
        body = part("file", content, "../PLANTED.tif") + END
        connection.sendall(head(length=len(body), Connection="close") + body)
        assert gate.reached.wait(60)
        assert list(upload_folder.iterdir()) == []
        gate.open.set()
        assert status_of(connection.recv(64)) == 200
        while connection.recv(65536):
            pass


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.evil.example", "evil.example:80", "[::2]:8000"]
)
def test_a_foreign_host_is_400(server: Any, host: str) -> None:
    is_problem(server.client.get("/health/live", headers={"host": host}), 400, "unknown-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "127.0.0.2", "[::1]:8000"])
def test_this_machine_s_own_names_are_answered(server: Any, host: str) -> None:
    assert server.client.get("/health/live", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"POST /predict/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -4\r\n\r\n",
        b"POST /predict/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000,
        b"PLANTED\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400(server: Any, raw: bytes, listen: Callable[[], Any]) -> None:
    log = listen()
    answer = server.talk(raw)
    told = problem_in(answer)
    assert (told["status"], told["code"]) == (400, "no-http")
    assert len(told["request_id"]) == 32
    assert f"X-Request-ID: {told['request_id']}\r\n".encode() in answer
    assert log.getvalue().count(told["request_id"]) == 1
    assert "PLANTED" not in answer.decode() + log.getvalue()


def test_what_is_not_there_is_404_and_the_wrong_method_405(server: Any) -> None:
    told = is_problem(server.client.get("/PLANTED/../x"), 404, "no-such-page")
    assert "PLANTED" not in json.dumps(told)
    for path in ("/docs", "/redoc", "/models/", "/"):
        is_problem(server.client.get(path), 404)
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        is_problem(server.client.request(method, "/predict/"), 405, "wrong-method")
    is_problem(server.client.post("/models"), 405)


def test_head_is_answered_as_get_without_a_body(server: Any) -> None:
    for path in ("/health/live", "/health/ready", "/models", "/version", "/openapi.json"):
        told, whole = server.client.head(path), server.client.get(path)
        assert (told.status_code, told.content) == (200, b"")
        assert told.headers["content-length"] == str(len(whole.content))
    assert server.client.head("/predict/").status_code == 405
    assert server.client.head("/nowhere").status_code == 404


def test_a_body_nobody_asked_for_does_not_reach_the_next_request(server: Any) -> None:
    smuggled = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    first = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    answer = server.talk(first + smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(answer) == 200
