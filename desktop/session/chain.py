"""The record as a chain: each entry is kept with the hash of the one before, so damage and careless edits show.

Who rewrites the whole can write new hashes too; only a copy of the last one, kept elsewhere, shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

Row = tuple[Any, ...]


def row_hash(row: Row) -> str:
    """SHA-256 over all columns of an entry, the last of which is the hash of the entry before."""
    return hashlib.sha256(json.dumps(row, default=repr).encode()).hexdigest()


def first_break(rows: Iterable[Row]) -> int | None:
    """Number of the first entry that does not follow from the one before it; None where all do.

    Args:
        rows: entries in order; first their number, last the hash of the entry before ("" at the very beginning, None
            in those that are older than the chain).
    """
    before, begun = "", False
    for row in rows:
        begun = begun or row[-1] is not None
        if begun and row[-1] != before:
            return int(row[0])
        before = row_hash(row)
    return None
