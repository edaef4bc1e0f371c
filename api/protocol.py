"""What the server does with connections, before any request."""

from __future__ import annotations

import logging
import math
import uuid
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.problems import MEDIA_TYPE, Problem
from api.sending import SILENT_SECONDS

log = logging.getLogger("metseg.api")
MOST_CONNECTIONS = 1024
OTHER_FILES = 64
"""Files that the process itself may have open."""
TELL_SECONDS = 60.0


def most_connections() -> int:
    """How many connections there may be at a time: so few that each may have an upload in a file as well."""
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return MOST_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(min((files - OTHER_FILES) // 2, MOST_CONNECTIONS), 8)


class Protocol(H11Protocol):
    """uvicorn's, but in want of nobody's patience.

    A request's head must arrive in time, and one that is no HTTP is told so as a problem. Of too many connections the
    one that has been silent longest is closed, and so is one whose client takes nothing of its answer.
    """

    head_seconds = 10.0
    silent_seconds = SILENT_SECONDS
    most = most_connections()
    _told = -math.inf
    _waiting: Any = None
    _stuck: Any = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.access_log = False  # whoever listens to uvicorn's logger: it would quote addresses as they were asked for

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._head_is_there()

    def pause_writing(self) -> None:
        """Called when much of an answer waits for the client."""
        super().pause_writing()
        # Aborted, for what is closed would first wait for the client.
        self._stuck = self.loop.call_later(self.silent_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Called when the client has taken most of it."""
        self._unstick()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        self._unstick()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed, unless an answer is on its way already."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        request_id = uuid.uuid4().hex  # no layer of the application has seen it, and drawn one
        problem = Problem(400, "no-http", "this is no HTTP request that the server understands")
        body = problem.response(request_id).body
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Request-ID": request_id,
        }
        head = h11.Response(status_code=400, headers=list(headers.items()))
        log.info("%s ? - 400: no HTTP", request_id)
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

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _make_room(self) -> None:
        """Close the connection that has waited longest for a request; that is this one where all others have one."""
        silent = [other for other in self.connections if isinstance(other, Protocol) and other._waiting is not None]
        longest = min(silent, key=lambda other: float(other._waiting.when()))
        longest._head_is_there()
        self.connections.discard(longest)
        longest.transport.abort()
        now = self.loop.time()
        if now - Protocol._told > TELL_SECONDS:
            Protocol._told = now
            log.warning("more than %d connections: those that send nothing are closed", self.most)
