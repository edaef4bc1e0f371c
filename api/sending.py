"""How an answer goes out: piece by piece, and what it was made with is held until the client has it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.answers import Answer

PIECE_BYTES = 256 << 10
SILENT_SECONDS = 30.0
"""How long a client may take nothing of an answer."""


class Sent(Response):
    """An answer that holds a request's place until it is sent, and no longer than the client goes on taking it.

    Args:
        answer: what to send.
        media: its media type.
        until_sent: closed when it is.
    """

    silent_seconds = 2 * SILENT_SECONDS  # for servers that do not give up by themselves, as ours does

    def __init__(self, answer: Answer, media: str, until_sent: AsyncExitStack) -> None:
        super().__init__(answer.content, headers=answer.headers, media_type=media)
        self._until_sent = until_sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._until_sent:
            await self._send(send)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # In one piece it would be the server's at once, however slowly the client took it.
        for start in range(0, len(self.body), PIECE_BYTES):
            piece = bytes(self.body[start : start + PIECE_BYTES])
            async with asyncio.timeout(self.silent_seconds):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        async with asyncio.timeout(self.silent_seconds):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
