"""What made a model, so that scores can be held against each other, and against a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import InputError
from core.io.names import some_of

SHOWN = 3
COMPUTED = frozenset({"device", "precision"})
"""Settings in which evaluations of one recipe may differ: on what they were computed, not how."""


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


def differing_settings(parts: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names of the settings in which some of these scores differ."""
    first = parts[0]["settings"]
    return {name for name in first if any(part["settings"][name] != first[name] for part in parts)}


def check_alike(parts: Sequence[Mapping[str, Any]], source: str) -> None:
    """Make sure that scores are of one recipe and were made with the same settings.

    Raises:
        InputError: they are not, or were not; named after `source`.
    """
    if differing := sorted(differing_settings(parts) - COMPUTED):
        raise InputError(
            f"these scores differ in their settings ({', '.join(differing)}); make them alike", source=source
        )
    first = parts[0]
    if strange := [str(part["name"]) for part in parts if not alike(first, part)]:
        raise InputError(
            f"these scores are of another recipe than {first['name']}: {some_of(strange, SHOWN)}; name scores of one "
            "recipe, or compare those of several",
            source=source,
        )


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
