"""Where a reviewer's work is kept: in the user's own data folder, never beside the scans."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import OutputError
from core.system import cache_folder


def data_folder() -> Path:
    """This user's folder for what must not be lost, by the platform's custom; METSEG_HOME names another.

    Raises:
        OutputError: the user has no home.
    """
    if named := os.environ.get("METSEG_HOME"):
        return Path(named)
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    except RuntimeError as error:
        raise OutputError("this user has no home folder; set METSEG_HOME to a folder for the verdicts") from error
    return base / "metseg"


def session_folder(inputs: Sequence[Path]) -> Path:
    """The folder of the review of these scans. Its name is a digest of where they lie, so it tells no name."""
    places = "\n".join(sorted(str(path.resolve()) for path in inputs))
    return data_folder() / "reviews" / hashlib.sha256(places.encode(errors="surrogateescape")).hexdigest()[:24]


def results_folder() -> Path:
    """Where segmentations are kept to be shown again; anyone may empty it.

    Raises:
        OutputError: the user has no home.
    """
    try:
        return cache_folder() / "review-results"
    except RuntimeError as error:
        raise OutputError("this user has no home folder; set METSEG_CACHE to a folder for results") from error


def bundled_cases() -> Path:
    """Write the synthetic cases that come with metseg, where they are not there yet, and return their folder.

    Raises:
        OutputError: they cannot be written.
    """
    from core.demo import SEEDS
    from core.phantom import write_phantom_case

    folder = data_folder() / "bundled-cases"
    for seed in SEEDS:
        write_phantom_case(seed, folder, slices=12)
    return folder
