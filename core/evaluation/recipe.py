"""What made a model, so that scores can be held against each other, and against a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def recipe_scored(scores: Mapping[str, Any]) -> list[Any]:
    """The recipe of the run whose scores these are, as far as they tell it."""
    model, told = scores["models"][0], _told(scores)
    network = model["network"], model["filters"], model.get("neighbours", 0.0)
    return plain_recipe(told.get("recipe") or {}, told.get("preprocessing"), *network)


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two scores are of one recipe, as far as both tell it."""
    first, second = _networks(one), _networks(other)
    if first and second and first != second:
        return False
    told = all(scores["models"] and _told(scores).get("recipe") for scores in (one, other))
    return not told or recipe_scored(one) == recipe_scored(other)


def _told(scores: Mapping[str, Any]) -> dict[str, Any]:
    """What scores say of how their model was made: of the model, or in a queue's results of the run."""
    return {**scores["models"][0], **scores.get("run", {})}


def plain_recipe(recipe: Mapping[str, Any], *rest: Any) -> list[Any]:
    """As JSON has it, with what an older run did not name: it kept the last end, decayed by 0.01, and did not change
    batches in ways that came later.
    """
    changes = recipe.get("augmentation", {})
    felt = {"ends": 1, "weight_decay": 0.01, **recipe}
    felt["augmentation"] = {name: strength for name, strength in changes.items() if strength}
    plain: list[Any] = json.loads(json.dumps([felt, *rest]))
    return plain


def _networks(scores: Mapping[str, Any]) -> set[str]:
    """What the scored models have to have in common."""
    known = {"neighbours": 0.0, "temperature": 1.0}
    names = ("network", "filters", *known)
    return {json.dumps([model.get(name, known.get(name)) for name in names]) for model in scores["models"]}
