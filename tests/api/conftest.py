"""Real servers on loopback ports, each in a thread, and what to upload to them."""

from __future__ import annotations

import base64
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import tifffile
import uvicorn

from api.room import Room
from api.serve import make_server
from api.settings import Settings
from core.inference import Predictor
from core.model_card import PreprocessSettings
from core.networks import NETWORK_NAMES
from core.scan import Scan

PATIENCE = 60.0
"""Seconds after which something hangs; no test expects to take that long."""


@dataclass
class Running:
    """A server that listens, and its insides."""

    server: uvicorn.Server
    port: int
    room: Room
    client: httpx.Client

    @property
    def predictor(self) -> Predictor:
        return self.room.inference.predictors[self.room.catalogue.default]

    def post(
        self, content: bytes | None, name: str = "slice.tif", accept: str = "*/*", **fields: Any
    ) -> httpx.Response:
        params = {key: fields.pop(key) for key in ("view", "mask") if key in fields}
        files = {} if content is None else {"file": (name, content)}
        return self.client.post("/predict/", files=files, data=fields, params=params, headers={"accept": accept})

    @contextmanager
    def connect(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            yield connection

    def talk(self, *pieces: bytes, end: bool = False) -> bytes:
        """Send raw bytes; what came back until the server closed."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            if end:
                connection.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while part := connection.recv(65536):
                answer += part
        return bytes(answer)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, "nothing happened"
            time.sleep(0.005)


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    server = make_server(settings, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + PATIENCE
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        room: Room = server.config.app.state.room
        key = settings.api_key
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        base = f"http://127.0.0.1:{port}"
        limits = httpx.Limits(max_connections=None)
        with httpx.Client(base_url=base, timeout=PATIENCE, trust_env=False, headers=headers, limits=limits) as client:
            started = Running(server, port, room, client)
            started.wait_until(lambda: client.get("/health/ready").status_code == 200)
            yield started
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def tiny_models(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Those of the same name for all rooms, but on the uploads' own grid: small uploads are then quick."""
    folder, native = tmp_path_factory.mktemp("models"), PreprocessSettings(grid="native")
    return {name: make_model(folder / f"tiny-{name}", name, preprocessing=native) for name in NETWORK_NAMES}


@pytest.fixture(scope="session")
def tiny_model(tiny_models: dict[str, Path]) -> Path:
    """The first of them."""
    return next(iter(tiny_models.values()))


@pytest.fixture
def start(tiny_model: Path) -> Iterator[Callable[..., Running]]:
    """Starts a server of its own with the settings given, for tests that change or break something."""
    with ExitStack() as servers:
        yield lambda **settings: servers.enter_context(running(Settings(model=str(tiny_model), **settings)))


@pytest.fixture(scope="session")
def shared(tiny_models: dict[str, Path]) -> Iterator[Running]:
    """One server for all tests that leave it as it was, with both tiny models."""
    first, second = tiny_models.values()
    with running(Settings(model=str(first), models=(second,))) as started:
        yield started


@pytest.fixture(scope="session")
def golden_mask(shared: Running) -> np.ndarray:
    """(height, width) of the golden image, without any server."""
    return np.uint8(255) * shared.predictor.segment(Scan("golden", GOLDEN_IMAGE[None, None])).mask[0]


@pytest.fixture
def server(shared: Running, golden_mask: np.ndarray) -> Iterator[Running]:
    """The shared server; after each test it must be alive, idle, and answer as it always did."""
    yield shared
    shared.wait_until(lambda: shared.room.gate.within == 0)
    assert shared.client.get("/health/live").json() == {"status": "live"}
    answer = shared.post(GOLDEN, accept="image/png")
    assert answer.status_code == 200
    np.testing.assert_array_equal(png_of(answer), golden_mask)


class Gated:
    """Holds the inference thread before its next batch until `open` is set."""

    def __init__(self, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.reached = threading.Event(), threading.Event()
        self.cases: list[list[int]] = []
        advance = predictor.advance

        def held(cases: Any, cancelled: Any = None) -> None:
            self.cases.append([case.scan.shape[1] for case in cases])
            self.reached.set()
            assert self.open.wait(PATIENCE)
            advance(cases, cancelled)

        monkeypatch.setattr(predictor, "advance", held)


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Running], Gated]]:
    """Puts a gate before a server's inference; it is opened in any case when the test ends."""
    gates: list[Gated] = []

    def put(server: Running) -> Gated:
        gates.append(Gated(server.predictor, monkeypatch))
        return gates[-1]

    yield put
    for gate in gates:
        gate.open.set()


@pytest.fixture
def listen() -> Iterator[Callable[[], io.StringIO]]:
    """What is logged from when it is called, after a server's start: uvicorn's lines and tracebacks as well."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    loggers = [logging.getLogger(name) for name in ("metseg", "uvicorn.error")]
    levels = [logger.level for logger in loggers]

    def begin() -> io.StringIO:
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
        return written

    yield begin
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def noise(*shape: int, seed: int = 0, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def png(array: np.ndarray, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, array)[1])


def png_of(answer: httpx.Response) -> np.ndarray:
    """The first slice of the mask in a JSON answer, or the picture of a PNG one."""
    content = answer.content
    if answer.headers["content-type"] == "application/json":
        content = base64.b64decode(answer.json()["mask"]["png"][0])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def tiff_of(answer: httpx.Response) -> np.ndarray:
    """(slices, height, width)"""
    with tifffile.TiffFile(io.BytesIO(answer.content)) as file:
        return np.stack([page.asarray() for page in file.pages])


GOLDEN_IMAGE = noise(48, 40, seed=99)
GOLDEN = tiff(GOLDEN_IMAGE)


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """Helpers that test modules share."""
    return SimpleNamespace(noise=noise, tiff=tiff, png=png, png_of=png_of, tiff_of=tiff_of, golden=GOLDEN)
