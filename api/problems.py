"""Errors as RFC 9457 problems: one sentence, a stable code, the request's id; never a name, a path or a traceback."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from core import errors

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
"""Only ever logged: nobody is there to read it."""

FieldErrors = Sequence[tuple[str, str]]
"""(field, what is wrong with it)"""

STATUS = {
    errors.TooLarge: 413,
    errors.InputError: 422,
    errors.UsageError: 422,
    errors.ModelNotFound: 404,
    errors.DeviceError: 503,
    errors.Cancelled: 503,
    errors.OutputError: 507,
    errors.MetsegError: 500,
}
"""By the nearest class of core's tree."""


MISSING = (
    (errors.ChannelNeeded, "channel", "say which channel to take"),
    (errors.AmbiguousSeries, "series", "say which series to take"),
)
"""The field that would have helped."""


class Problem(Exception):  # noqa: N818
    """An answer that ends a request.

    Attributes:
        status: of the answer.
        code: a stable word for programs.
        detail: one sentence for people.
        fields: what is wrong with which field.
        headers: of the answer, besides the usual ones.
        choices: what there is to choose from.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        fields: FieldErrors = (),
        headers: Mapping[str, str] | None = None,
        choices: Sequence[errors.SeriesChoice] = (),
    ) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.fields, self.headers, self.choices = tuple(fields), dict(headers or {}), tuple(choices)
        super().__init__(detail)

    def response(self, request_id: str) -> Response:
        """The answer."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.fields:
            content["errors"] = [{"field": field, "message": message} for field, message in self.fields]
        if self.choices:
            content["choices"] = [asdict(choice) for choice in self.choices]
        text = json.dumps(content, ensure_ascii=False).encode("utf-8", errors="replace")
        return Response(text, self.status, self.headers, MEDIA_TYPE)


def busy(detail: str, retry_after: int, code: str = "busy") -> Problem:
    """503, and when to come again."""
    return Problem(503, code, detail, headers={"Retry-After": str(retry_after)})


def stopping() -> Problem:
    """What is told to whom the server cannot answer any more."""
    return busy("the server stops and could not finish this in time; send it again in a moment", 5, "stopping")


def problem_of(error: Exception) -> Problem:
    """What an exception means to the person who asked."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.MetsegError):
        status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            return busy(error.detail, 5, error.code)
        fields = [(field, wrong) for kind, field, wrong in MISSING if isinstance(error, kind)]
        choices = error.choices if isinstance(error, errors.AmbiguousSeries) else ()
        return Problem(status, error.code, error.detail, fields=fields, choices=choices)
    if isinstance(error, MemoryError):
        return busy("there is not enough memory for this just now; try again later", 5, "out-of-memory")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Problem(507, "disk-full", "the server's disk is full; try again later or tell its owner")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return busy("the server has too many files open; try again later", 5)
    return Problem(500, "unforeseen", "something unforeseen went wrong on the server; tell its owner the request id")


def request_id(request: Request) -> str:
    """As the outermost layer drew it."""
    return str(request.scope["state"]["request_id"])


async def answer_problem(request: Request, error: Exception) -> Response:
    """The exception handler of everything that is foreseen."""
    return problem_of(error).response(request_id(request))
