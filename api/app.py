"""Puts the server together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.batching import InferenceThread
from api.catalogue import open_catalogue
from api.gate import Gate
from api.guard import Guard
from api.head import Head
from api.observe import Observe
from api.openapi import document, problems
from api.problems import Problem, answer_problem, request_id
from api.room import Room, require_key
from api.routes import models, predict, service
from api.settings import Settings
from api.warm_up import warm_up
from core.errors import MetsegError
from core.inference import Predictor
from core.system import RESEARCH_ONLY, VERSION

STOP_SECONDS = 5.0


def create_app(settings: Settings) -> FastAPI:
    """The application, ready to be served; it computes nothing before it is.

    Raises:
        MetsegError: a model or the device cannot be used.
    """
    catalogue = open_catalogue(settings)

    def load(name: str) -> Predictor:
        return Predictor(catalogue.models[name].folder, settings.device, settings.precision)

    inference = InferenceThread(load, settings.stall_seconds)
    room = Room(settings, catalogue, Gate(settings), inference, anyio.CapacityLimiter(settings.threads))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        inference.start()
        warming = asyncio.create_task(warm_up(room, app.openapi))
        yield
        warming.cancel()
        await asyncio.to_thread(inference.stop, STOP_SECONDS)

    app = FastAPI(
        title="metseg",
        version=VERSION,
        summary="Finds lesions in brain MRI.",
        description=RESEARCH_ONLY,
        lifespan=lifespan,
        redirect_slashes=False,
        # Their pages would fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.room = room
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    keyed = [Depends(require_key)] if settings.api_key is not None else []
    refused = problems(401) if keyed else {}
    app.include_router(service.health)
    for router in (service.about, models.router, predict.router):
        app.include_router(router, dependencies=keyed, responses=refused)
    app.add_middleware(Head)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Observe)  # the last one added is the outermost
    for kind in (Problem, MetsegError, MemoryError, OSError):
        app.add_exception_handler(kind, answer_problem)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    return app


async def _answer_http(request: Request, error: Exception) -> Response:
    """What the router refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101
    known = {
        404: ("no-such-page", "there is nothing at this address; /openapi.json lists what there is"),
        405: ("wrong-method", "this address does not answer to this method; /openapi.json says to which it does"),
    }
    code, detail = known.get(error.status_code, ("refused", "the request was refused"))
    return Problem(error.status_code, code, detail, headers=error.headers).response(request_id(request))


async def _answer_validation(request: Request, error: Exception) -> Response:
    """What FastAPI finds wrong with parameters; their values are not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    fields = [(str(entry["loc"][-1]), str(entry["msg"]).lower()) for entry in error.errors()]
    detail = "; ".join(f"{field}: {message}" for field, message in fields)
    return Problem(422, "bad-field", detail, fields=fields).response(request_id(request))
