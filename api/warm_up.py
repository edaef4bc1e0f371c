"""Everything once before the first request: modules are imported, memory is taken, kernels are chosen."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from api.answers import Wanted
from api.gate import Place
from api.negotiation import JSON
from api.room import Room
from api.segmenting import decode, finish
from core.errors import MetsegError, kind_and_place
from core.io import encode_tiff
from core.scan import Scan

log = logging.getLogger("metseg.api")


async def warm_up(room: Room, document: Callable[[], Any]) -> None:
    """Take a blank slice all the way with the default model; then `room.warm` is true.

    Args:
        room: whose inference runs.
        document: makes the OpenAPI document, which takes a moment too.
    """
    try:
        predictor = await room.inference.predictor(room.catalogue.default)
        settings = predictor.card.preprocessing
        voxels = np.zeros((1, len(settings.channels), settings.size, settings.size), np.uint8)
        blank = Scan("warm-up", voxels, channels=settings.channels)
        nowhere = Place()  # it takes nobody's
        await room.in_thread(nowhere, document)
        await room.in_thread(nowhere, decode, io.BytesIO(encode_tiff(voxels[:, 0])), room.settings.read_limits)
        # At that threshold there is a lesion to measure.
        case = await room.in_thread(nowhere, predictor.begin, blank, threshold=0.0)
        await room.inference.compute(predictor, case, float("inf"))
        await room.in_thread(nowhere, finish, predictor, case, Wanted(JSON, "mask", "png", "warm-up"))
    except Exception as error:
        reason = error.detail if isinstance(error, MetsegError) else kind_and_place(error)
        log.error("the warm-up failed: %s", reason)
    else:
        room.warm = True
        log.info("ready: %s on %s in %s", predictor.card.name, predictor.device, predictor.precision)
