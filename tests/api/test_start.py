"""Starting, refusing to start, who may come in, and stopping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import metseg
from api.app import create_app
from api.serve import make_server
from api.settings import Settings, load_settings
from core.errors import DeviceUnavailable, ModelDamaged, ModelNotFound, UsageError

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-more-than-sixteen"


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def other_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def other_keys(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["network"]["name"] = "attention-unet"
    (folder / "card.json").write_text(json.dumps(card))


def pickled(folder: Path) -> None:
    """A pickle that would write a file, under the hash that the card names."""
    import hashlib

    written = repr(str(folder / "RAN")).encode()
    content = b"cbuiltins\nopen\n(V" + written[1:-1] + b"\nVw\ntR." + bytes(40_000)
    (folder / "model.safetensors").write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["weights"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.mark.parametrize("damage", [cut, other_weights, other_keys, pickled])
def test_a_damaged_model_is_met_before_anything_listens(
    damage: Callable[[Path], None], model: Path, tiny_models: dict[str, Path]
) -> None:
    damage(model)
    with pytest.raises(ModelDamaged, match="install the model again"):
        create_app(Settings(model=str(model)))
    with pytest.raises(ModelDamaged):
        create_app(Settings(model=str(tiny_models["attention-unet"]), models=(model,)))
    assert not (model / "RAN").exists()


def test_a_missing_model_and_two_of_one_name_are_refused(model: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        create_app(Settings(model=str(tmp_path / "nothing")))
    with pytest.raises(UsageError, match="this name"):
        create_app(Settings(model=str(model), models=(tiny_model,)))


def test_a_device_that_is_not_there_is_named_before_anything_listens(tiny_model: Path) -> None:
    import torch

    with pytest.raises(UsageError):
        create_app(Settings(model=str(tiny_model), device="abacus"))
    if torch.cuda.is_available():
        with pytest.raises(DeviceUnavailable, match="no CUDA device 99"):
            create_app(Settings(model=str(tiny_model), device="cuda:99"))
    else:
        with pytest.raises(DeviceUnavailable, match="no CUDA device"):
            create_app(Settings(model=str(tiny_model), device="cuda"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("API_KEY", "PLANTED"), ("QUEUE", "0"), ("DEADLINE_SECONDS", "PLANTED"), ("PRECISION", "PLANTED")],
)
def test_a_setting_that_makes_no_sense_is_named_and_not_repeated(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"METSEG_{name}", value)
    with pytest.raises(UsageError, match=f"METSEG_{name} makes no sense") as caught:
        load_settings()
    assert "PLANTED" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("short", "at least 16 characters"),
        ("", "at least 16 characters"),
        ("schlüssel-mit-umlaut", "printable ASCII"),
        ("a key with blanks in it", "without blanks"),
        ("a-key-that-ends-its-line\n", "without blanks"),
        ("a-key-with-\x7f-and-more", "printable ASCII"),
    ],
)
def test_a_key_that_no_client_can_send_is_refused_in_one_sentence(
    key: str, told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("api.serve.create_app", lambda settings: pytest.fail("the key was accepted"))
    monkeypatch.setenv("METSEG_API_KEY", key)
    assert metseg.main(["serve", "--port", "0"]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "METSEG_API_KEY makes no sense: choose a key" in line
    assert told in line
    assert not key or key not in line


def test_settings_come_from_the_environment_and_cannot_be_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METSEG_MODELS", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    monkeypatch.setenv("METSEG_TRUSTED_HOSTS", "One.Example, two.example.,")
    monkeypatch.setenv("METSEG_API_KEY", KEY)
    settings = load_settings(queue=3)
    assert settings.models == (tmp_path / "a", tmp_path / "b")
    assert settings.trusted_hosts == ("one.example", "two.example")
    assert settings.queue == 3
    assert KEY not in repr(settings) + str(settings.model_dump())
    with pytest.raises(ValueError, match="frozen"):
        settings.queue = 4


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "some.example", ""])  # noqa: S104
def test_beyond_this_machine_it_needs_a_key_or_insecure(host: str, tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="METSEG_API_KEY"):
        make_server(Settings(model=str(tiny_model)), host)
    for extra in ({"api_key": KEY}, {"insecure": True}):
        assert make_server(Settings(model=str(tiny_model), **extra), host).config.host == host


@pytest.mark.parametrize(
    ("address", "extra", "host", "status"),
    [
        ("192.0.2.1", {}, "192.0.2.1", 403),
        ("192.0.2.1", {"insecure": True}, "scanner.example", 200),
        ("192.0.2.1", {"api_key": KEY}, "scanner.example", 200),
        ("192.0.2.1", {"api_key": KEY, "trusted_hosts": ("one.example",)}, "scanner.example", 400),
        ("192.0.2.1", {"api_key": KEY, "trusted_hosts": ("one.example",)}, "one.example:8000", 200),
        ("127.0.0.1", {"trusted_hosts": ("one.example",)}, "localhost", 400),
        ("127.0.0.1", {"trusted_hosts": ("One.Example.",)}, "ONE.example", 200),
        ("::1", {}, "[::1]", 200),
        ("127.0.0.2", {}, "127.0.0.2:8000", 200),
        ("127.0.0.1", {}, "127.evil.example", 400),
        ("127.0.0.1", {}, "", 400),
    ],
)
def test_another_server_around_the_app_exposes_it_no_more(
    address: str, extra: dict[str, Any], host: str, status: int, tiny_model: Path
) -> None:
    """uvicorn or its like may have been told any host; the address that a request came in by counts."""
    app = create_app(Settings(model=str(tiny_model), **extra))
    sent: list[Any] = []

    async def ask() -> None:
        scope = {
            "type": "http", "method": "GET", "path": "/health/live", "query_string": b"", "http_version": "1.1",
            "headers": [(b"host", host.encode())], "server": (address, 80), "scheme": "http", "root_path": "",
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == status


def test_with_a_key_only_its_bearer_is_answered(start: Callable[..., Any], kit: SimpleNamespace) -> None:
    server = start(api_key=KEY)
    assert server.post(kit.golden).status_code == 200
    for wrong in (
        {},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": KEY},
        {"authorization": "Bearer ü".encode()},
    ):
        with httpx.Client(base_url=server.client.base_url, headers=wrong, trust_env=False) as stranger:
            files = {"file": kit.golden}
            for answer in (stranger.post("/predict/", files=files), *map(stranger.get, ("/models", "/version"))):
                assert (answer.status_code, answer.json()["code"]) == (401, "key-needed")
                assert answer.headers["www-authenticate"] == "Bearer"
                assert KEY not in answer.text
            assert stranger.get("/health/live").status_code == 200
            assert stranger.get("/health/ready").status_code == 200


def test_it_is_live_before_it_is_ready(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    import api.app

    real = api.app.Predictor
    monkeypatch.setattr(api.app, "Predictor", lambda *arguments: (go.wait(60), real(*arguments))[1])
    server = make_server(Settings(model=str(tiny_model)), port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            assert client.get("/health/live").status_code == 200
            ready = client.get("/health/ready")
            assert (ready.status_code, ready.json()["code"]) == (503, "warming-up")
            assert ready.headers["content-type"] == "application/problem+json"
            go.set()
            while client.get("/health/ready").status_code != 200:
                time.sleep(0.02)
            assert client.get("/health/ready").json()["device"] in ("cpu", "cuda:0")
    finally:
        go.set()
        server.should_exit = True
        thread.join(60)


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def when_ready(served: subprocess.Popen[str], lines: list[str]) -> tuple[str, threading.Thread]:
    """The port of a server, once it is ready, and what goes on adding to the lines that it writes."""
    assert served.stderr is not None
    for line in served.stderr:
        lines.append(line)
        if " ready: " in line:
            break
    reader = threading.Thread(target=lambda: lines.extend(served.stderr or ()))
    reader.start()
    (port,) = re.findall(r"running on http://127\.0\.0\.1:(\d+)", "".join(lines))
    return port, reader


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_in_use_is_told_in_one_line_before_any_model_is_loaded(
    host: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.serve.create_app", lambda settings: pytest.fail("a model was loaded"))
    family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        assert metseg.main(["serve", "--host", host, "--port", str(port)]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert f"port {port} cannot be used" in line


def test_the_module_for_uvicorn_ends_with_one_line_where_the_model_is_damaged(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METSEG_MODEL", str(model))
    assert runpy.run_module("api.asgi")["app"].title == "metseg"
    cut(model)
    with pytest.raises(SystemExit, match=r"^metseg: .*install the model again$"):
        runpy.run_module("api.asgi")


def test_serve_listens_logs_no_names_and_finishes_what_it_accepted_when_it_is_told_to_stop(
    tiny_model: Path, kit: SimpleNamespace
) -> None:
    lines: list[str] = []
    with process("-m", "metseg", "serve", "--port", "0", "--model", str(tiny_model)) as served:
        port, reader = when_ready(served, lines)
        stack = kit.tiff(kit.noise(12, 200, 256), metadata=None)

        def ask(number: int) -> httpx.Response:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
                files = {"file": (f"PLANTED-{number}.tif", stack)}
                return client.post("/predict/?mask=none", files=files, data={"channel": ""})

        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(ask, number) for number in range(4)]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
                client.get("/models/PLANTED?x=PLANTED")
                client.get("/PLANTED")
                while client.get("/health/ready").json()["within"] < 4:
                    time.sleep(0.01)
            served.send_signal(signal.SIGTERM)
            assert [answer.result().status_code for answer in answers] == [200] * 4
        served.wait(60)
        reader.join(60)
    assert served.returncode in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False)
    text = "".join(lines)
    assert text.count(" POST /predict/ 200 ") == 4
    assert " GET /models/{name} 404 " in text
    assert "PLANTED" not in text
    assert "Traceback" not in text


def test_what_outlasts_the_drain_time_is_told_so_and_leaves_one_line_in_the_log(
    tiny_model: Path, kit: SimpleNamespace
) -> None:
    begin = (
        "import sys, time, metseg, api.warm_up, api.segmenting; api.segmenting.decode = lambda *_: time.sleep(3); "
        "sys.exit(metseg.main())"
    )
    lines: list[str] = []
    with (
        process("-c", begin, "serve", "--port", "0", "--model", str(tiny_model), METSEG_DRAIN_SECONDS="1") as served,
        ThreadPoolExecutor(1) as pool,
    ):
        port, reader = when_ready(served, lines)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            asked = pool.submit(client.post, "/predict/", files={"file": kit.golden})
            while client.get("/health/ready").json()["within"] < 1:
                time.sleep(0.01)
            served.send_signal(signal.SIGTERM)
            answer = asked.result()
        served.wait(60)
        reader.join(60)
    assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
    text = "".join(lines)
    (line,) = (line for line in lines if answer.json()["request_id"] in line)
    assert " POST /predict/ 503 " in line
    assert "Traceback" not in text
    assert str(ROOT) not in text


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_more_silent_connections_than_files_leave_the_server_quick_and_its_log_short(tiny_model: Path) -> None:
    begin = (
        "import resource, sys, metseg; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)); sys.exit(metseg.main())"
    )
    lines: list[str] = []
    with (
        process("-c", begin, "serve", "--port", "0", "--model", str(tiny_model)) as served,
        contextlib.ExitStack() as silent,
    ):
        port, reader = when_ready(served, lines)
        for _ in range(260):
            silent.enter_context(socket.create_connection(("127.0.0.1", int(port)), timeout=60))
        begun = time.monotonic()
        assert httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False, timeout=60).status_code == 200
        assert time.monotonic() - begun < 5
        served.send_signal(signal.SIGTERM)
        served.wait(60)
        reader.join(60)
    text = "".join(lines)
    assert text.count("connections") == 1
    assert "Traceback" not in text
