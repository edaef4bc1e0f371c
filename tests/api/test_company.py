"""Many requests at a time: each gets what it would get alone, and the trouble of one is not another's."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from api import segmenting
from api.answers import Answer
from core.errors import DeviceLost, DeviceOutOfMemory, ModelDamaged
from core.inference import Predictor
from core.model_card import PreprocessSettings

TIFF = "image/tiff"


def uploads(kit: SimpleNamespace) -> list[tuple[bytes, dict[str, Any]]]:
    """Sixteen, of several sizes, kinds, models and options; two of them can't be read."""
    made: list[tuple[bytes, dict[str, Any]]] = []
    for number in range(4):
        made += [
            (kit.tiff(kit.noise(40, 56, seed=number)), {}),
            (kit.tiff(kit.noise(1 + number, 32, 48, seed=number), metadata=None), {"threshold": 0.4}),
            (kit.png(kit.noise(61, 45, seed=number)), {"model": "tiny-attention-unet", "tta": number % 2 == 0}),
            (kit.tiff(kit.noise(40, 56, seed=number, dtype=np.uint16) * 99), {"min_lesion": number}),
        ]
    made[5] = (b"neither picture nor stack", {})
    made[10] = (made[10][0][:50], {})
    return made


def test_sixteen_mixed_uploads_at_once_get_what_each_gets_alone(server: Any, kit: SimpleNamespace) -> None:
    asked = uploads(kit)

    def ask(entry: tuple[bytes, dict[str, Any]]) -> httpx.Response:
        return server.post(entry[0], accept=TIFF, view="probability", **entry[1])

    alone = [ask(entry) for entry in asked]
    barrier = threading.Barrier(len(asked))

    def together(entry: tuple[bytes, dict[str, Any]]) -> httpx.Response:
        barrier.wait(60)
        return ask(entry)

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(together, asked))
    assert [answer.status_code for answer in answers] == [answer.status_code for answer in alone]
    assert [answer.status_code for answer in alone].count(200) == 14
    for answer, lone in zip(answers, alone, strict=True):
        if lone.status_code == 200:
            assert answer.content == lone.content


def test_slices_of_waiting_requests_share_batches(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.app.Predictor", lambda *arguments: Predictor(*arguments, batch=4))
    server = start()
    images = [kit.tiff(kit.noise(40, 56, seed=seed)) for seed in range(6)]
    alone = [server.post(image, accept=TIFF).content for image in images]
    gate = gated(server)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(server.post, images[0], accept=TIFF)]
        assert gate.reached.wait(60)
        answers += [pool.submit(server.post, image, accept=TIFF) for image in images[1:]]
        server.wait_until(lambda: server.room.inference.waiting == 5)
        gate.open.set()
        assert [answer.result().content for answer in answers] == alone
    assert [len(cases) for cases in gate.cases] == [1, 5, 1]


def test_a_lone_slice_does_not_wait_for_a_volume_to_end(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any]
) -> None:
    server = start(device="cpu")  # where a turn is a slice
    gate = gated(server)
    with ThreadPoolExecutor(2) as pool:
        volume = pool.submit(server.post, kit.tiff(kit.noise(12, 32, 48), metadata=None))
        assert gate.reached.wait(60)
        slice_ = pool.submit(server.post, kit.tiff(kit.noise(40, 56)))
        server.wait_until(lambda: server.room.inference.waiting == 1)
        gate.open.set()
        assert (volume.result().status_code, slice_.result().status_code) == (200, 200)
    turns = [cases[0] for cases in gate.cases]
    assert len(turns) == 13
    assert turns.index(40) <= 2


def test_a_request_that_spoils_its_batch_fails_alone(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.app.Predictor", lambda *arguments: Predictor(*arguments, batch=4))
    server = start()
    images = [kit.tiff(kit.noise(40, 56, seed=seed)) for seed in range(4)]
    alone = [server.post(image, accept=TIFF).content for image in images]
    poison = kit.tiff(np.full((40, 56), 7, np.uint8))
    advance = server.predictor.advance

    def spoiled(cases: Any, cancelled: Any = None) -> None:
        if any((case.prepared.images == 7).all() for case in cases):
            raise ModelDamaged("the network's answer is not finite; install the model again")
        advance(cases, cancelled)

    monkeypatch.setattr(server.predictor, "advance", spoiled)
    gate = gated(server)
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(server.post, image, accept=TIFF) for image in images[:1]]
        assert gate.reached.wait(60)
        answers += [pool.submit(server.post, image, accept=TIFF) for image in images[1:]]
        bad = pool.submit(server.post, poison)
        server.wait_until(lambda: server.room.inference.waiting == 4)
        gate.open.set()
        assert [answer.result().content for answer in answers] == alone
        assert (bad.result().status_code, bad.result().json()["code"]) == (500, "model-damaged")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("PLANTED"), 500, "unforeseen"),
        (SystemExit("PLANTED"), 500, "unforeseen"),
        (KeyboardInterrupt(), 500, "unforeseen"),
        (MemoryError(), 503, "out-of-memory"),
        (DeviceOutOfMemory("the device's memory does not hold even one window"), 503, "device-out-of-memory"),
    ],
)
def test_inference_that_dies_costs_its_batch_and_recovers(
    server: Any,
    kit: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
    status: int,
    code: str,
) -> None:
    def dies(cases: Any, cancelled: Any = None) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(server.predictor, "advance", dies)
        answer = server.post(kit.golden)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert server.post(kit.golden).status_code == 200
    assert server.client.get("/health/ready").status_code == 200
    assert "PLANTED" not in answer.text + caplog.text


def test_a_server_whose_device_failed_says_that_it_is_not_ready(
    start: Callable[..., Any], kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()

    def fails(cases: Any, cancelled: Any = None) -> None:
        raise DeviceLost("the device failed")

    monkeypatch.setattr(server.predictor, "advance", fails)
    answer = server.post(kit.golden)
    assert (answer.status_code, answer.json()["code"]) == (503, "device-lost")
    for after in (server.client.get("/health/ready"), server.post(kit.golden)):
        assert (after.status_code, after.json()["code"]) == (503, "stalled")


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any]
) -> None:
    server = start(queue=2)
    gate = gated(server)
    with ThreadPoolExecutor(2) as pool:
        accepted = [pool.submit(server.post, kit.golden) for _ in range(2)]
        server.wait_until(lambda: server.room.gate.within == 2)
        for content in (kit.golden, bytes(9 << 20)):
            refused = server.post(content)
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert server.client.get("/health/live").status_code == 200
        assert server.client.get("/health/ready").json()["within"] == 2
        gate.open.set()
        assert [answer.result().status_code for answer in accepted] == [200, 200]
    assert server.post(kit.golden).status_code == 200


def test_the_voxels_within_are_bounded_too(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any]
) -> None:
    server = start(queue_voxels=3000)
    gate = gated(server)
    large = kit.tiff(kit.noise(2, 48, 40), metadata=None)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, large)  # more than the bound by itself, but nothing else is there
        assert gate.reached.wait(60)
        assert server.post(kit.golden).status_code == 503
        gate.open.set()
        assert first.result().status_code == 200
    assert server.post(kit.golden).status_code == 200


def test_what_an_upload_becomes_on_the_model_s_grid_counts_as_well(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any], make_model: Any, tmp_path: Path
) -> None:
    enlarging = make_model(tmp_path / "large", preprocessing=PreprocessSettings(grid="stretch", size=128))
    server = start(models=(enlarging,), queue_voxels=128 * 128 + 1000)
    gate = gated(server)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, kit.golden)
        assert gate.reached.wait(60)
        refused = server.post(kit.tiff(kit.noise(8, 8)), model="large")
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        gate.open.set()
        assert first.result().status_code == 200


def test_an_answer_that_nobody_takes_keeps_its_place_until_the_client_is_given_up(
    start: Callable[..., Any], kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    large = Answer(bytes(range(256)) * (24 << 12), {})
    monkeypatch.setattr(segmenting, "finish", lambda *arguments: large)
    assert server.post(kit.golden, accept=TIFF).content == large.content
    request = httpx.Request("POST", server.client.base_url.join("/predict/"), files={"file": ("a.tif", kit.golden)})
    head = b"".join(b"%s: %s\r\n" % header for header in request.headers.raw)
    with ExitStack() as connections:
        for _ in range(3):
            silent = connections.enter_context(server.connect())
            silent.sendall(b"POST /predict/ HTTP/1.1\r\n" + head + b"\r\n" + request.read())
            assert silent.recv(16)
        assert server.room.gate.within == 3
        monkeypatch.setattr(server.server.config.http_protocol_class, "silent_seconds", 1.0)
        hurried = connections.enter_context(server.connect())
        hurried.sendall(b"POST /predict/ HTTP/1.1\r\n" + head + b"\r\n" + request.read())
        server.wait_until(lambda: server.room.gate.within == 4)
        server.wait_until(lambda: server.room.gate.within == 3)
    server.wait_until(lambda: server.room.gate.within == 0)


def test_nothing_of_a_request_is_held_when_it_was_answered(
    start: Callable[..., Any], kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    begin, begun = server.predictor.begin, []

    def watched(scan: Any, *arguments: Any, **named: Any) -> Any:
        begun.append(weakref.ref(scan.voxels))
        return begin(scan, *arguments, **named)

    monkeypatch.setattr(server.predictor, "begin", watched)
    assert server.post(kit.golden).status_code == 200
    assert len(begun) == 1
    server.wait_until(lambda: gc.collect() >= 0 and begun[0]() is None)


def test_too_many_uploads_on_their_way_are_refused(start: Callable[..., Any], kit: SimpleNamespace) -> None:
    server = start(uploads=1)
    with server.connect() as connection:
        connection.sendall(b"POST /predict/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n")
        connection.sendall(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n")
        server.wait_until(lambda: server.room.gate.uploads == 1)
        assert server.post(kit.golden).status_code == 503
    server.wait_until(lambda: server.room.gate.uploads == 0)
    assert server.post(kit.golden).status_code == 200


def test_a_deadline_that_passes_in_the_queue_is_504_and_nothing_is_computed(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any]
) -> None:
    server = start(deadline_seconds=0.7)
    gate = gated(server)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.post, kit.tiff(kit.noise(30, 30)))
        assert gate.reached.wait(60)
        queued = pool.submit(server.post, kit.golden)
        for answer in (first.result(), queued.result()):
            assert (answer.status_code, answer.json()["code"]) == (504, "deadline")
    gate.open.set()
    server.wait_until(lambda: server.room.inference.waiting == 0)
    assert gate.cases == [[30]]
    assert server.room.gate.within == 0


def test_a_client_that_leaves_while_queued_has_nothing_computed(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any]
) -> None:
    server = start()
    gate = gated(server)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, kit.golden)
        assert gate.reached.wait(60)
        with httpx.Client(base_url=server.client.base_url, trust_env=False, timeout=0.5) as impatient:
            for _ in range(3):
                with pytest.raises(httpx.ReadTimeout):
                    impatient.post("/predict/", files={"file": ("a.tif", kit.tiff(kit.noise(30, 30)))})
        server.wait_until(lambda: server.room.gate.within == 1)
        gate.open.set()
        assert first.result().status_code == 200
    server.wait_until(lambda: server.room.inference.waiting == 0)
    assert gate.cases == [[48]]


def test_clients_that_leave_while_their_files_are_read_free_no_thread_before_it_ends(
    start: Callable[..., Any], kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(threads=2, queue=8)
    go, at_work, most, real = threading.Event(), [0], [0], segmenting.decode

    def slow(*arguments: Any) -> Any:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        assert go.wait(60)
        at_work[0] -= 1
        return real(*arguments)

    monkeypatch.setattr(segmenting, "decode", slow)

    def leave(_: int) -> None:
        with (
            httpx.Client(base_url=server.client.base_url, trust_env=False, timeout=0.5) as impatient,
            pytest.raises(httpx.ReadTimeout),
        ):
            impatient.post("/predict/", files={"file": ("a.tif", kit.golden)})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(leave, range(6)))
    server.wait_until(lambda: server.room.gate.within == 2)
    assert server.room.limiter.borrowed_tokens == 2
    assert server.client.get("/health/live").status_code == 200
    go.set()
    server.wait_until(lambda: server.room.gate.within == 0)
    assert (most, at_work, server.room.limiter.borrowed_tokens) == ([2], [0], 0)
    assert server.post(kit.golden).status_code == 200


def test_a_client_that_leaves_ends_its_own_computation(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any]
) -> None:
    server = start()
    gate = gated(server)
    with (
        httpx.Client(base_url=server.client.base_url, trust_env=False, timeout=1.0) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        impatient.post("/predict/", files={"file": ("a.tif", kit.tiff(kit.noise(40, 30, 30), metadata=None))})
    server.wait_until(lambda: server.room.gate.within == 0)
    gate.open.set()
    assert server.post(kit.golden).status_code == 200
    assert len(gate.cases) == 2


def test_inference_that_hangs_is_told_by_ready_and_by_refusals_until_it_is_back(
    start: Callable[..., Any], kit: SimpleNamespace, gated: Callable[[Any], Any]
) -> None:
    server = start(stall_seconds=2.0, deadline_seconds=3.0)
    gate = gated(server)
    assert server.post(kit.golden).json()["code"] == "deadline"
    ready = server.client.get("/health/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "stalled")
    refused = server.post(kit.golden)
    assert (refused.status_code, refused.json()["code"]) == (503, "stalled")
    assert "retry-after" in refused.headers
    assert server.client.get("/health/live").status_code == 200
    gate.open.set()
    server.wait_until(lambda: server.client.get("/health/ready").status_code == 200)
    assert server.post(kit.golden).status_code == 200
