"""How much may be going on at a time. What is beyond that is refused at once, with a time to come again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from api.problems import Problem, busy
from api.settings import Settings

FULL = "the server has as much to do as it takes on; try again later"
LONGEST_WAIT = 60


@dataclass(slots=True, eq=False)
class Place:
    """A request within.

    Attributes:
        voxels: that it holds.
        holders: the request itself, and each thread at work for it, which may outlast it.
    """

    voxels: int = 0
    holders: int = 1


class Gate:
    """Counts uploads on their way, requests within, and their voxels. Used in the event loop alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.uploads = 0
        self._voxels = 0
        self._seconds_each = 1.0
        self.within = 0

    def refuse_when_full(self) -> None:
        """Spare a client the upload.

        Raises:
            Problem: 503, no place is free.
        """
        if self.within >= self._settings.queue:
            raise self._full()

    @contextmanager
    def upload(self) -> Iterator[None]:
        """A body on its way.

        Raises:
            Problem: 503, there are too many.
        """
        if self.uploads >= self._settings.uploads:
            raise self._full()
        self.uploads += 1
        try:
            yield
        finally:
            self.uploads -= 1

    @contextmanager
    def place(self) -> Iterator[Place]:
        """From a whole body to its answer, or to the end of what was begun for it where that takes longer.

        Raises:
            Problem: 503, no place is free.
        """
        self.refuse_when_full()
        self.within += 1
        place = Place()
        company, begun = self.within, time.monotonic()
        try:
            yield place
            # Requests that are answered one after another: each took its share of the time spent here.
            self._seconds_each += 0.1 * ((time.monotonic() - begun) / company - self._seconds_each)
        finally:
            self.release(place)

    def hold(self, place: Place) -> None:
        """Keep a place until it was released once more."""
        place.holders += 1

    def release(self, place: Place) -> None:
        """Free a place when nobody holds it any more."""
        place.holders -= 1
        if place.holders == 0:
            self.within -= 1
            self._voxels -= place.voxels

    def take(self, place: Place, voxels: int) -> None:
        """Count a request's voxels, unless those within are already many.

        Raises:
            Problem: 503, they are.
        """
        if self._voxels and self._voxels + voxels > self._settings.queue_voxels:
            raise self._full()
        self._voxels += voxels
        place.voxels += voxels

    def _full(self) -> Problem:
        wait = math.ceil(self._seconds_each * max(self.within, 1) / 2)
        return busy(FULL, min(max(wait, 1), LONGEST_WAIT))
