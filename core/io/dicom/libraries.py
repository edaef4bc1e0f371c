"""pydicom and highdicom, imported where they are first needed, and kept quiet.

Both quote a tag's value when they doubt it, in warnings and in logs; a patient's name must not get there.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

_QUIET = ("pydicom", "highdicom")


def load_pydicom() -> Any:
    """The module pydicom."""
    _silence()
    import pydicom

    return pydicom


def load_highdicom() -> Any:
    """The module highdicom; takes a second, so only who writes a segmentation asks for it."""
    _silence()
    import highdicom

    return highdicom


def _silence() -> None:
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        # Asked for anew each time: others (tests, for instance) put the filters back as they were.
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
