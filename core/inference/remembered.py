"""Choices that a machine keeps between runs, in a small JSON file in the user's cache folder."""

from __future__ import annotations

import json
from contextlib import suppress

from core.atomic import write_json
from core.errors import OutputError
from core.system import cache_folder

FILE = "choices.json"


def recall(key: str) -> str | None:
    """What was kept under `key`; None where nothing was, or the file cannot be read."""
    return _read().get(key)


def keep(key: str, value: str) -> None:
    """Keep `value` under `key`, or go on without where the folder cannot be written."""
    with suppress(OutputError, RuntimeError):  # the latter where there is no home folder
        write_json(cache_folder() / FILE, {**_read(), key: value})


def _read() -> dict[str, str]:
    try:
        values = json.loads((cache_folder() / FILE).read_text(encoding="utf-8"))
    except (OSError, RuntimeError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(value, str)}
