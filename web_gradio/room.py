"""What the page works with, made once where it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from web_gradio.examples import Example, draw_examples
from web_gradio.models import Models, load_models
from web_gradio.settings import Settings
from web_gradio.shelf import Shelf

UPLOADS = "uploads"


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """Settings, the loaded models, where uploads lie, the results that are kept, and drawn heads to try."""

    settings: Settings
    models: Models
    uploads: Path
    shelf: Shelf
    examples: tuple[Example, ...]


def open_room(settings: Settings, folder: Path) -> Room:
    """Load the models and draw the examples.

    Args:
        settings: the page's.
        folder: for examples and results; whoever made it removes it.

    Raises:
        MetsegError: as `load_models` says.
    """
    models = load_models(settings)
    shelf = Shelf(folder / "results", settings.memory_bytes, settings.keep_seconds)
    return Room(settings, models, folder / UPLOADS, shelf, draw_examples(folder / "examples"))
