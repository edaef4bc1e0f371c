"""The layer that decides whether a request may come in: its host, its body's size, and how long that may take."""

from __future__ import annotations

import asyncio
import contextlib
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, stopping
from api.settings import Settings
from core.addresses import host_name, is_loopback

LINGER_SECONDS = 1.0


class Guard:
    """Wraps the application; a refusal is answered here, before anything of the body is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = Body(scope, receive, send, self.settings)
        try:
            self._check(scope)
        except Problem as problem:
            await problem.response(scope["state"]["request_id"])(scope, body.receive, body.send)
            return
        try:
            await self.app(scope, body.receive, body.send)
        except asyncio.CancelledError:  # by the server, which has no more time
            if body.answered:
                raise
            await stopping().response(scope["state"]["request_id"])(scope, body.receive, body.send)

    def _check(self, scope: Scope) -> None:
        headers, settings = Headers(scope=scope), self.settings
        local = is_loopback((scope.get("server") or ("localhost",))[0])
        if not (local or settings.api_key or settings.insecure):
            raise Problem(403, "exposed", "this server was not made to be reached from other machines; ask its owner")
        name, allowed = host_name(headers.get("host", "")), settings.trusted_hosts
        # Another name that leads here is a foreign page's, which a browser would let speak for its user.
        known = "*" in allowed or name in allowed if allowed else not local or is_loopback(name)
        if not known:
            raise Problem(400, "unknown-host", "the Host header names no host that this server answers for")
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise Problem(415, "encoded-body", "send the body as it is, without a Content-Encoding")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise Problem(400, "bad-length", "the Content-Length header is no number")
        if len(length) > 18 or int(length) > settings.body_bytes:
            raise _too_large(settings)


class Body:
    """A request's channels, with a ceiling on its body's bytes and on the time they take.

    Attributes:
        answered: whether an answer has begun.
    """

    answered = False

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        headers = Headers(scope=scope)
        self._receive, self._send, self._settings = receive, send, settings
        # Without either header there is no body, and nobody may ever ask for it.
        self._unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._until = time.monotonic() + settings.upload_seconds
        self._bytes = 0

    async def receive(self) -> Message:
        """As the server's own, but it ends with 413 or 408."""
        if not self._unread:
            return await self._receive()
        seconds = min(self._settings.read_seconds, self._until - time.monotonic())
        try:
            async with asyncio.timeout(max(seconds, 0)):
                message = await self._next()
        except TimeoutError:
            raise Problem(408, "too-slow", "the body did not arrive in time; send it again") from None
        if self._bytes > self._settings.body_bytes:
            raise _too_large(self._settings)
        return message

    async def send(self, message: Message) -> None:
        """As the server's own, but a connection whose body was not read is closed after the answer.

        Not at once: what the client still sends is thrown away for a moment, for a connection that is closed over
        unread bytes is reset, and the client might never see the answer.
        """
        if message["type"] == "http.response.start":
            if self._unread:
                MutableHeaders(scope=message)["Connection"] = "close"
            await self._send(message)
            self.answered = True
        elif not self._unread or message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while self._unread:
                        await self._next()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> Message:
        message = await self._receive()
        self._unread = message["type"] == "http.request" and message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        return message


def _too_large(settings: Settings) -> Problem:
    return Problem(413, "too-large", f"the body is larger than the {settings.body_bytes:,} bytes that are taken")
