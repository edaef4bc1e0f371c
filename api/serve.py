"""`metseg serve`: uvicorn around the application, with what it lacks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket

import uvicorn

from api.app import create_app
from api.logs import configure_logs
from api.protocol import Protocol, most_connections
from api.settings import Settings
from core.addresses import check_port, is_loopback
from core.errors import UsageError

HEAD_BYTES = 32 << 10
IDLE_SECONDS = 5
LAST_SECONDS = 5.0


class Server(uvicorn.Server):
    """uvicorn's, but what it cancels at the end of the drain time can still say so to its client."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called when it is told to stop."""
        await super().shutdown(sockets)
        if self.server_state.tasks and not self.force_exit:
            await asyncio.wait(set(self.server_state.tasks), timeout=LAST_SECONDS)
        await asyncio.sleep(0)  # what is closed says so
        for connection in list(self.server_state.connections):  # their clients have not taken all of an answer
            connection.transport.abort()
        await asyncio.sleep(0)


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
        # As many are let in before the first of them is looked at, so few enough that their files do not run out.
        backlog=max(most_connections() // 8, 8),
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    return Server(config)


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl+C, then finish what was accepted.

    Raises:
        UsageError: the address cannot be listened at.
        MetsegError: see `make_server`.
    """
    check_port(host, port)  # before the models are loaded, which takes a while
    configure_logs()
    server = make_server(settings, host, port)
    with contextlib.suppress(KeyboardInterrupt):  # which uvicorn hands on when it has finished
        server.run()
