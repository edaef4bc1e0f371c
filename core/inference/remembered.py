"""Choices that a machine keeps between runs, in a small JSON file in the user's cache folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from core.system import cache_folder

FILE = "choices.json"


def recall(key: str) -> str | None:
    """What was kept under `key`; None where nothing was, or the file cannot be read."""
    return _read().get(key)


def keep(key: str, value: str) -> None:
    """Keep `value` under `key`, or go on without where the folder cannot be written."""
    with suppress(OSError, RuntimeError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps({**_read(), key: value}, indent=1, sort_keys=True)
        with NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False, encoding="utf-8") as file:
            file.write(content)
        try:
            Path(file.name).replace(folder / FILE)
        except OSError:
            Path(file.name).unlink(missing_ok=True)


def _read() -> dict[str, str]:
    try:
        values = json.loads((cache_folder() / FILE).read_text(encoding="utf-8"))
    except (OSError, RuntimeError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(value, str)}
