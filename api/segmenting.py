"""An upload's way to its answer. The event loop only directs it: other threads decode, compute and encode."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

from starlette.requests import ClientDisconnect, Request

from api.answers import Answer, MaskForm, Wanted, make_answer
from api.forms import Upload
from api.gate import Place
from api.negotiation import View, negotiate
from api.problems import Problem
from api.room import Room
from core.errors import InputError, UnsupportedFormat
from core.inference import Predictor
from core.inference.case import Case
from core.io import ReadLimits, read_scan_bytes
from core.io.formats import FORMATS
from core.model_card import ModelCard
from core.preprocess.channels import channel_name
from core.preprocess.prepare import plan_slices
from core.scan import SLICE_GAP, Note, Scan

T = TypeVar("T")
NAMELESS = "upload"
"""Every upload's name: what its client calls it goes nowhere."""
GAP = Note(SLICE_GAP, "the request says that slices are missing, so nothing is measured from slice to slice")


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands in a request beside its form.

    Attributes:
        accept: the header's value.
        view, mask: what an image shows, and how JSON holds the mask.
        request_id: as logged.
    """

    accept: str
    view: View
    mask: MaskForm
    request_id: str


async def segment(room: Room, place: Place, upload: Upload, asked: Asked) -> tuple[str, Answer]:
    """Media type and answer.

    Raises:
        Problem: no such model, too much going on, too late.
        MetsegError: the file or the options are not right.
    """
    fields = upload.fields
    model = room.catalogue.find(fields.model)
    until = time.monotonic() + room.settings.deadline_seconds
    try:
        async with asyncio.timeout(room.settings.deadline_seconds):
            scan = await room.in_thread(place, decode, upload.file, room.settings.read_limits, fields.series)
            if fields.slice_gap and scan.contiguous:
                scan = replace(scan, notes=(*scan.notes, GAP))
            check_channel(scan, fields.channel)
            media = negotiate(asked.accept, asked.view, scan)
            room.gate.take(place, weight(scan, room.catalogue.models[model].card))
            predictor = await room.inference.predictor(model)
            case = await room.in_thread(
                place,
                predictor.begin,
                scan,
                fields.threshold,
                tta=fields.tta,
                min_lesion=fields.min_lesion,
                channel=fields.channel,
            )
            await room.inference.compute(predictor, case, until)
            wanted = Wanted(media, asked.view, asked.mask, asked.request_id, fields.channel, fields.deidentify)
            return media, await room.in_thread(place, finish, predictor, case, wanted)
    except TimeoutError:
        raise Problem(504, "deadline", "this took longer than the server allows; send fewer slices or later") from None


def decode(file: BinaryIO, limits: ReadLimits, series: str | None = None) -> Scan:
    """Read an upload, and of several series in it the one asked for.

    Raises:
        Problem: 415, it is of no format that is read; 422, it is of an uncommon kind.
        InputError: it is damaged, too large, or holds several series and none was chosen.
    """
    content = file.read()
    try:
        return read_scan_bytes(content, NAMELESS, limits, series)
    except UnsupportedFormat as error:
        # A picture of an uncommon kind is a flaw of the picture; a DICOM report or an archive of texts is no scan.
        picture = any(form.matches(content) for form in FORMATS if form.NAME != "DICOM")
        raise Problem(422 if picture else 415, error.code, error.detail) from error


def check_channel(scan: Scan, channel: str | None) -> None:
    """Hold the channel that was asked for against those there are.

    Raises:
        Problem: 422, there is no such channel.
    """
    if channel is None:
        return
    try:
        channel_name(scan, channel)
    except InputError as error:
        raise Problem(422, error.code, error.detail, fields=[("channel", "there is no such channel")]) from error


def weight(scan: Scan, card: ModelCard) -> int:
    """Voxels that a scan holds in memory: its own, or those on the model's grid where they are more.

    Raises:
        InputError: on that grid it would be too large.
    """
    plane, grid, _ = plan_slices(scan, card.preprocessing)
    return max(scan.voxels.size, plane.shape(scan.shape)[0] * math.prod(grid.target))


def finish(predictor: Predictor, case: Case, wanted: Wanted) -> Answer:
    """Find the lesions in what was computed, and encode."""
    card: ModelCard = predictor.card
    return make_answer(wanted, case.scan, predictor.finish(case), card)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do some work as long as the client is there.

    Raises:
        ClientDisconnect: it has left, and the work was stopped.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for left in (task, gone):
            left.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        if not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
