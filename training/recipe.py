"""What makes a model, so that two runs, a run and its options, or a model and its scores can be held together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from core.errors import InputError
from core.evaluation.folds import inner_name, load_folds
from core.evaluation.recipe import plain_recipe, recipe_scored
from core.model_card import ModelCard
from training.options import TrainOptions


def recipe_of(card: ModelCard) -> list[Any]:
    """That of a trained model."""
    network = card.network
    return plain_recipe(card.recipe, asdict(card.preprocessing), network.name, network.filters, card.neighbours)


def is_made_by(scores: Mapping[str, Any], options: TrainOptions) -> bool:
    """Whether scores are of the run that options ask for."""
    run = scores.get("run", {})
    if run.get("inner", options.inner) != options.inner or not _of_the_folds(scores, options):
        return False
    preprocessing = replace(options.preprocessing, shrink=options.course[-1].shrink)
    scored = run.get("preprocessing") or {}
    if len(named := scored.get("channels", ())) == len(preprocessing.channels):
        preprocessing = replace(preprocessing, channels=tuple(named))  # a set may have names of its own for them
    asked = plain_recipe(options.recipe, asdict(preprocessing), options.network, options.filters, options.neighbours)
    return asked == recipe_scored(scores)


def _of_the_folds(scores: Mapping[str, Any], options: TrainOptions) -> bool:
    """Whether scores are of patients of the fold in a fold file of the same name, or of an inner part of the others."""
    if not options.folds:
        return True  # divided by the run itself
    try:
        folds = load_folds(options.folds)
        held = set(folds.test(options.fold or 0))
    except InputError:
        return False
    scored = {row["patient"] for row in scores["patients"]}
    whose = {folds.name: scored <= held, inner_name(folds.name, options.fold): not scored & held}
    return any(whose.get(part["folds"], False) for part in scores["split"])
