"""The folder that results go to: whether it may be written, and what is taken away before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from core.errors import OutputError
from core.evaluation.pictures import MANIFEST
from core.evaluation.scores import COMPARISON, COMPARISON_KIND, KIND, PATIENTS, REPORT, SCORES, TABLE
from core.evaluation.slices import SLICES

MASKS = "masks"
FILES = {SCORES: (SCORES, PATIENTS, TABLE, SLICES, MANIFEST, REPORT), COMPARISON: (COMPARISON, TABLE, REPORT)}
"""What is written beside the file by which a folder is known."""
KINDS = {SCORES: KIND, COMPARISON: COMPARISON_KIND}


def check_out(out: Path, ours: str, overwrite: bool) -> None:
    """Refuse a folder that holds results of the other kind, ours unless they may be replaced, or anybody's files.

    Args:
        out: the folder, which need not be there.
        ours: `SCORES` or `COMPARISON`, the file by which a folder is known.
        overwrite: whether earlier results of our kind may be replaced.

    Raises:
        OutputError: it does.
    """
    mine = _is_ours(out, ours)
    for name, what in ((SCORES, "an evaluation"), (COMPARISON, "a comparison")):
        if (out / name).exists() and not (overwrite and name == ours and mine):
            way = "choose another --out" + (", or say --overwrite" if name == ours and mine else "")
            raise OutputError(f"this folder holds {what}; {way}", source=str(out))
    strange = [] if mine else [name for name in FILES[ours] if (out / name).exists()]
    if strange:
        raise OutputError(f"this folder holds another {strange[0]}; choose another --out", source=str(out))


def clear_out(out: Path) -> None:
    """Take away an earlier evaluation, also one that was cut short: nobody shall take parts of it for the new one's."""
    if _is_ours(out, SCORES):
        shutil.rmtree(out / MASKS, ignore_errors=True)
        for name in FILES[SCORES]:
            (out / name).unlink(missing_ok=True)


def _is_ours(out: Path, ours: str) -> bool:
    """Whether results of this kind were written there; an evaluation's manifest stands there from its beginning on."""
    return any(_kind(out / name) == KINDS[ours] for name in (MANIFEST, ours))


def _kind(path: Path) -> object:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return values.get("kind")
    except (OSError, ValueError, AttributeError):
        return None
