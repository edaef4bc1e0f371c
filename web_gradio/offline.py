"""Keeps Gradio at home: nothing it does by itself leaves this machine."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from core.addresses import host_name, is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex"),
)


def seal_environment(folder: Path) -> None:
    """Set what Gradio reads from the environment; to be called before it is imported.

    Settings of other programs' pages are taken out, so that none opens, shares or records this one.

    Args:
        folder: private to this process; uploads and pictures go there.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        "GRADIO_TEMP_DIR": str(folder),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }
    # Gradio asks its own page whether it is there, and a proxy would not know it.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost", "::1")))


def refuse_addresses() -> None:
    """Let Gradio fetch nothing that a visitor names by an address instead of uploading it."""
    from gradio import Error, processing_utils

    sentence = "a file must be uploaded; this page fetches nothing from the network"

    async def refuse(url: str, cache_dir: str) -> str:
        raise Error(sentence, print_exception=False)

    def refuse_at_once(url: str, cache_dir: str) -> str:
        raise Error(sentence, print_exception=False)

    processing_utils.async_ssrf_protected_download = refuse
    processing_utils.ssrf_protected_download = refuse_at_once
    processing_utils.save_url_to_cache = refuse_at_once


class Seal:
    """ASGI middleware: tells browsers to fetch nothing from elsewhere, and answers nobody who calls us by another name.

    Args:
        app: what it stands before.
        local: whether only this machine may ask, so that a page from elsewhere cannot pose as ours.
    """

    def __init__(self, app: App, local: bool) -> None:
        self._app, self._local = app, local

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if self._local and not is_loopback(host_name(asked)):
            await _refuse(send, 400, b"this page answers this machine alone")
            return
        if any(part in scope["path"] for part in ("/file=http", "/proxy=")):
            await _refuse(send, 404, b"this page fetches nothing from the network")
            return

        async def send_sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in HEADERS}
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in ours]
                message["headers"] = [*kept, *HEADERS]
            await send(message)

        await self._app(scope, receive, send_sealed)


async def _refuse(send: Send, status: int, sentence: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence + b"\n"})
