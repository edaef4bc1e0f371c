"""The models of the page, each loaded once."""

from __future__ import annotations

from core.errors import ModelNotFound, UsageError
from core.inference.predictor import Predictor
from core.model_store import shipped_models
from web_gradio.settings import Settings

Models = dict[str, Predictor]
"""A predictor by its model's name, the first one chosen at first."""


def load_models(settings: Settings) -> Models:
    """Load every model, so that a damaged one is met before the page opens.

    Raises:
        ModelNotFound, ModelDamaged: a model cannot be used.
        DeviceUnavailable: this machine has no such device.
        UsageError: two models of one name, or no such precision.
    """
    wanted = settings.models or shipped_models()
    if not wanted:
        raise ModelNotFound("no model came with this installation; name a model folder with --model")
    models: Models = {}
    for model in wanted:
        predictor = Predictor(model, settings.device, settings.precision)
        if predictor.card.name in models:
            raise UsageError("two models have this name; name one folder less", source=predictor.card.name)
        models[predictor.card.name] = predictor
    return models


def find_predictor(models: Models, name: str | None) -> Predictor:
    """The predictor of that name; None and "" take the first.

    Raises:
        ModelNotFound: there is no such model here.
    """
    if name in (None, ""):
        return next(iter(models.values()))
    if not isinstance(name, str) or name not in models:
        raise ModelNotFound(f"there is no such model; the models here are: {', '.join(models)}")
    return models[name]
