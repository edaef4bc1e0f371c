"""The outermost layer: request ids, one log line a request, and an answer to whatever nobody else answered."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_of
from core.errors import kind_and_place

log = logging.getLogger("metseg.api")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Observe:
    """Wraps the application. What is logged holds nothing that a client chose: routes instead of paths, no names."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Never the client's own id: it would carry text into the logs.
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        begun, status = time.perf_counter(), 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        except Exception as error:
            log.error("%s failed: %s", request_id, kind_and_place(error))
            if status:
                raise ConnectionAbortedError("an answer broke off") from None
            await problem_of(error).response(request_id)(scope, receive, tagged)
        except asyncio.CancelledError:
            # The server stops amid an answer; raised further, it would be logged with a traceback.
            log.error("%s broke off: the server stops", request_id)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "?"
            route = getattr(scope.get("route"), "path", "-")
            milliseconds = 1000 * (time.perf_counter() - begun)
            log.info("%s %s %s %d %.0f ms", request_id, method, route, status, milliseconds)
