"""The models that this server answers with."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from api.openapi import problems
from api.room import TheRoom
from api.schemas import ModelEntry, ModelList
from core.system import RESEARCH_ONLY

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="List the models")
async def list_models(room: TheRoom) -> ModelList:
    """The default first."""
    entries = [
        ModelEntry(
            name=name,
            default=name == room.catalogue.default,
            version=served.card.version,
            summary=served.card.summary,
            network=served.card.network.name,
            threshold=served.card.threshold,
            limits=list(served.card.limits),
            licence=served.card.licence,
        )
        for name, served in room.catalogue.models.items()
    ]
    return ModelList(research_use_only=RESEARCH_ONLY, models=entries)


@router.get("/{name}", summary="Show a model's card", responses=problems(404))
async def show_model(name: str, room: TheRoom) -> dict[str, Any]:
    """What it learnt from, what it is worth, what a user must know; as the model folder has it."""
    return room.catalogue.models[room.catalogue.find(name)].card.to_json()
