"""Segment what was uploaded."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.answers import MaskForm
from api.forms import Fields, read_upload
from api.negotiation import View, negotiate
from api.openapi import PREDICT, problems
from api.problems import CLIENT_GONE, Problem, busy, request_id
from api.room import TheRoom
from api.schemas import Prediction
from api.segmenting import Asked, segment, unless_gone
from api.sending import Sent

router = APIRouter(tags=["predict"])
PARAMETERS = ("view", "mask")


@router.post("/predict", include_in_schema=False)
@router.post(
    "/predict/",
    summary="Find lesions in a slice or a stack",
    response_model=Prediction,
    responses={**PREDICT.responses, **problems(400, 404, 406, 408, 413, 415, 422, 500, 503, 504, 507)},
    openapi_extra=PREDICT.extra,
)
async def predict(
    request: Request,
    room: TheRoom,
    view: Annotated[View, Query(description="What an image shows; a probability is float32.")] = "mask",
    mask: Annotated[MaskForm, Query(description="How JSON holds the mask.")] = "png",
) -> Response:
    """One file, one slice or a stack; the answer lies on its own grid.

    Accept decides between JSON, PNG, TIFF, NIfTI, DICOM SEG, and a zip of all of it.
    """
    asked = Asked(", ".join(request.headers.getlist("accept")), view, mask, request_id(request))
    # What would be refused anyway is refused before the upload.
    _refuse_strangers(request)
    negotiate(asked.accept, view)
    room.gate.refuse_when_full()
    if room.inference.stalled:
        raise busy("the inference does not answer; try again later", 30, "stalled")
    try:
        async with AsyncExitStack() as until_sent:
            async with AsyncExitStack() as until_answered:
                with room.gate.upload():
                    upload = await until_answered.enter_async_context(read_upload(request, room.settings))
                place = until_sent.enter_context(room.gate.place())
                media, answer = await unless_gone(request, segment(room, place, upload, asked))
            return Sent(answer, media, until_sent.pop_all())
    except ClientDisconnect:
        return Response(status_code=CLIENT_GONE)


def _refuse_strangers(request: Request) -> None:
    """Hold an address's parameters against those there are: one that is ignored may have been meant to hide a name.

    Raises:
        Problem: 422, there is another.
    """
    strange = set(request.query_params) - set(PARAMETERS)
    if strange:
        # Only names that are known anyway are repeated.
        fields = [(name, "send it in the form") for name in Fields.model_fields if name in strange]
        detail = f"the address takes {' and '.join(PARAMETERS)} alone; send everything else in the form"
        raise Problem(422, "bad-field", detail, fields=fields)
