"""The models that this server answers with. A request chooses among their names; it never names a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from api.problems import Problem
from api.settings import Settings
from core.errors import UsageError
from core.model_card import ModelCard
from core.model_store import SHIPPED, find_model, load_card, load_network, shipped_models


@dataclass(frozen=True, slots=True)
class Served:
    """A model folder and its card."""

    folder: Path
    card: ModelCard


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models by name.

    Attributes:
        models: the default first.
        default: the name that is taken when a request names none.
    """

    models: dict[str, Served]
    default: str

    def find(self, name: str | None) -> str:
        """The name, or the default's where there is none.

        Raises:
            Problem: 404, there is no such model here.
        """
        if name is None:
            return self.default
        if name not in self.models:
            known = ", ".join(self.models)
            raise Problem(404, "model-not-found", f"there is no such model; the models here are: {known}")
        return name


def open_catalogue(settings: Settings) -> Catalogue:
    """Find all models and load each once, so that a damaged one is met before the server listens.

    Raises:
        ModelNotFound, ModelDamaged: a model cannot be used.
        DeviceUnavailable: this machine has no such device.
        UsageError: no such device, or two models of one name.
    """
    from core.inference.devices import choose_device

    choose_device(settings.device)
    folders = [find_model(settings.model), *settings.models, *(SHIPPED / name for name in shipped_models())]
    models: dict[str, Served] = {}
    for folder in dict.fromkeys(path.resolve() for path in folders):
        card = load_card(folder)
        if card.name in models:
            raise UsageError("two models have this name; name one folder less", source=card.name)
        load_network(folder, card)
        models[card.name] = Served(folder, card)
    return Catalogue(models, next(iter(models)))
