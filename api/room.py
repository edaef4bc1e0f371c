"""What all requests share."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from api.batching import InferenceThread
from api.catalogue import Catalogue
from api.gate import Gate, Place
from api.problems import Problem
from api.settings import Settings

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Room:
    """The server's insides.

    Attributes:
        settings, catalogue: as made at the start.
        gate: how much is going on.
        inference: the thread that computes.
        limiter: of the threads that decode and encode.
        warm: whether the default model has computed something.
        running: what the threads are at.
    """

    settings: Settings
    catalogue: Catalogue
    gate: Gate
    inference: InferenceThread
    limiter: anyio.CapacityLimiter
    warm: bool = False
    running: set[asyncio.Future[Any]] = field(default_factory=set)

    async def in_thread(self, place: Place, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run what takes its time beside the event loop; whoever stops waiting is not held up by it.

        A thread cannot be stopped, so its turn and its request's place are free when it ends, not when nobody waits
        any more.
        """
        turn = object()
        await self.limiter.acquire_on_behalf_of(turn)
        self.gate.hold(place)
        call = functools.partial(function, *arguments, **named)
        running = asyncio.ensure_future(anyio.to_thread.run_sync(call, limiter=anyio.CapacityLimiter(1)))
        self.running.add(running)

        def ended(_: asyncio.Future[T]) -> None:
            self.running.discard(running)
            if not running.cancelled():
                running.exception()  # where nobody waits any more, nobody need hear of it
            self.gate.release(place)
            self.limiter.release_on_behalf_of(turn)

        running.add_done_callback(ended)
        await asyncio.wait({running})  # which, unlike awaiting it, does not cancel it
        return running.result()


def _room(request: Request) -> Room:
    room: Room = request.app.state.room
    return room


TheRoom = Annotated[Room, Depends(_room)]
_bearer = HTTPBearer(auto_error=False, description="The server's METSEG_API_KEY.")


def require_key(room: TheRoom, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> None:
    """Refuse whoever does not bear the key.

    Raises:
        Problem: 401.
    """
    key = room.settings.api_key
    if key is None:
        return
    offered = given.credentials if given is not None else ""
    # Compared as bytes, in a time that does not tell how much of it was right.
    if not secrets.compare_digest(offered.encode(), key.get_secret_value().encode()):
        raise Problem(
            401,
            "key-needed",
            "send the server's key: Authorization: Bearer KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )
