"""The models that a reviewer can choose from."""

from __future__ import annotations

from pathlib import Path

from core.errors import MetsegError
from core.model_store import find_model, load_card, shipped_models
from desktop.session.review import Model


def find_models(wanted: str | Path | None) -> tuple[list[Model], str]:
    """The models to choose from, the wanted one first; and a sentence where there is none."""
    names: list[str | Path] = [] if wanted is None else [wanted]
    found: list[Model] = []
    problem = "No model is installed: cases can be looked at and judged, but not segmented."
    for name in (*names, *shipped_models()):
        try:
            folder = find_model(name)
            if all(model.folder != folder for model in found):
                found.append(Model(folder, load_card(folder)))
        except MetsegError as error:
            if name == wanted:
                raise
            problem = str(error)
    return found, problem
