"""Clients that load a server on this machine: a closed loop, where each waits for its answer, and an open one."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

BOUNDARY = "limit-of-the-load"
ANSWER_WITHIN = 120.0


@dataclass(frozen=True, slots=True)
class Answered:
    """One request.

    Attributes:
        status: of the answer; 0 where the connection broke.
        seconds: from when it should have been sent to the end of its answer.
        same: whether the answer's body was the expected one.
    """

    status: int
    seconds: float
    same: bool


@dataclass(frozen=True, slots=True)
class Load:
    """What happened under a load.

    Attributes:
        answers: of all requests.
        seconds: that it took altogether.
    """

    answers: tuple[Answered, ...]
    seconds: float

    def row(self) -> dict[str, float | int | None]:
        """Rates and quantiles, JSON-ready."""
        good = sorted(one.seconds for one in self.answers if one.status == 200)
        refused = sorted(one.seconds for one in self.answers if one.status == 503)
        return {
            "requests": len(self.answers),
            "good": len(good),
            "refused": len(refused),
            "other": len(self.answers) - len(good) - len(refused),
            "wrong_answers": sum(one.status == 200 and not one.same for one in self.answers),
            "good_per_second": round(len(good) / self.seconds, 3),
            "p50_ms": quantile_ms(good, 0.5),
            "p95_ms": quantile_ms(good, 0.95),
            "refusal_p95_ms": quantile_ms(refused, 0.95),
        }


def quantile_ms(values: Sequence[float], share: float) -> float | None:
    """The value that this share of sorted seconds does not exceed, in milliseconds."""
    if not values:
        return None
    return round(1000 * values[min(int(share * len(values)), len(values) - 1)], 1)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send what.

    Attributes:
        port: on 127.0.0.1, and nowhere else.
        content: the file.
        expected: the answer's body; None takes any.
    """

    port: int
    content: bytes
    expected: bytes | None = None

    @contextmanager
    def connect(self) -> Iterator[http.client.HTTPConnection]:
        """A connection of one client."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_WITHIN)
        try:
            yield connection
        finally:
            connection.close()

    def ask(self, connection: http.client.HTTPConnection, due: float | None = None) -> tuple[Answered, bytes]:
        """Send the file and read the answer, a mask as TIFF."""
        begun = time.perf_counter() if due is None else due
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'.encode()
        body = head + self.content + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Accept": "image/tiff"}
        try:
            connection.request("POST", "/predict/", body, headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            status, content = 0, b""
        seconds = time.perf_counter() - begun
        return Answered(status, seconds, self.expected is None or content == self.expected), content


def closed_loop(target: Target, clients: int, requests: int, seconds: float) -> Load:
    """So many clients, each sending its next request when it has its answer, until either bound is reached."""
    left = threading.Semaphore(requests)
    begun = time.perf_counter()

    def client(_: int) -> list[Answered]:
        answers = []
        with target.connect() as connection:
            while time.perf_counter() - begun < seconds and left.acquire(blocking=False):
                answers.append(target.ask(connection)[0])
        return answers

    with ThreadPoolExecutor(clients) as pool:
        answers = [one for each in pool.map(client, range(clients)) for one in each]
    return Load(tuple(answers), time.perf_counter() - begun)


def open_loop(target: Target, per_second: float, requests: int) -> Load:
    """Requests sent at a steady rate whatever becomes of them; latency counts from when one was due."""
    begun = time.perf_counter()

    def client(number: int) -> Answered:
        due = begun + number / per_second
        time.sleep(max(due - time.perf_counter(), 0))
        with target.connect() as connection:
            return target.ask(connection, due)[0]

    with ThreadPoolExecutor(min(requests, 256)) as pool:
        answers = tuple(pool.map(client, range(requests)))
    return Load(answers, time.perf_counter() - begun)
