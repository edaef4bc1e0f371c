"""Whether the server lives, whether it is ready, and what it is."""

from __future__ import annotations

from fastapi import APIRouter

from api.openapi import problems
from api.problems import busy
from api.room import TheRoom
from api.schemas import Live, Ready, Version
from core.inference.manifest import versions
from core.system import VERSION

health = APIRouter(prefix="/health", tags=["health"])
about = APIRouter(tags=["about"])


@health.get("/live", summary="Does the process answer?")
async def live() -> Live:
    """Answers as long as the process does, however much there is to compute."""
    return Live()


@health.get("/ready", summary="Can it segment?", responses=problems(503))
async def ready(room: TheRoom) -> Ready:
    """503 before the warm-up has ended, and while the inference hangs."""
    name = room.catalogue.default
    if room.inference.stalled:
        raise busy("the inference does not answer; restart the server if it stays like this", 30, "stalled")
    if not room.warm:
        raise busy("the server is warming up; try again in a moment", 2, "warming-up")
    predictor = room.inference.predictors[name]
    return Ready(model=name, device=predictor.device, precision=predictor.precision, within=room.gate.within)


@about.get("/version", summary="What computes here?")
def version() -> Version:
    """The version of metseg, and those of the libraries whose numbers end up in a mask."""
    return Version(metseg=VERSION, versions=versions())
