"""`metseg serve`: uvicorn around the application, with what it lacks."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.app import create_app
from api.guard import is_loopback
from api.logs import configure_logs
from api.problems import MEDIA_TYPE, Problem
from api.settings import Settings
from core.errors import UsageError

HEAD_BYTES = 32 << 10
IDLE_SECONDS = 5


class Protocol(H11Protocol):
    """uvicorn's, but a request's head must arrive in time, and one that is no HTTP is told so as a problem."""

    head_seconds = 10.0
    _waiting: Any = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.access_log = False  # whoever listens to uvicorn's logger: it would quote addresses as they were asked for

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._head_is_there()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed."""
        body = Problem(400, "no-http", "this is no HTTP request that the server understands").response("-").body
        head = h11.Response(
            status_code=400,
            headers=[("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")],
        )
        for event in (head, h11.Data(data=bytes(body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_head(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_is_there(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def make_server(settings: Settings, host: str = "127.0.0.1", port: int = 8000) -> uvicorn.Server:
    """A server that has not begun to listen.

    Raises:
        UsageError: it would listen beyond this machine without a key.
        MetsegError: a model or the device cannot be used.
    """
    if not (is_loopback(host) or settings.api_key or settings.insecure):
        raise UsageError(
            "beyond this machine the server needs a key (METSEG_API_KEY, at least 16 characters), or --insecure",
            source=host,
        )
    config = uvicorn.Config(
        create_app(settings),
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    return uvicorn.Server(config)


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl+C, then finish what was accepted.

    Raises:
        MetsegError: see `make_server`.
    """
    configure_logs()
    server = make_server(settings, host, port)
    with contextlib.suppress(KeyboardInterrupt):  # which uvicorn hands on when it has finished
        server.run()
