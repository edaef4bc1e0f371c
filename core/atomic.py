"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from core.errors import OutputError

NUMBERS = re.compile(r"\[\n *(-?\d[-+.\deE]*(?:,\n *-?\d[-+.\deE]*)*)\n *\]")
"""A list of numbers, each on a line."""
SURROGATE = re.compile("[\ud800-\udfff]")
"""What stands in a text for a byte of a file's name that is no UTF-8."""


def make_folder(path: Path, option: str = "--out") -> None:
    """Make a folder that may be there.

    Raises:
        OutputError: it cannot be made; the option named it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"this folder cannot be made; choose another {option}", source=str(path)) from error


def cannot_write(error: OSError, path: Path) -> OutputError:
    """The sentence for a disk that is full, read-only or gone."""
    reason = (error.strerror or type(error).__name__).lower()
    detail = f"this result cannot be written ({reason}); free some space or choose another folder"
    return OutputError(detail, source=str(path))


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside its place, then move it there; a reader never sees a part of it.

    Raises:
        OutputError: the disk is full, the folder is missing or must not be written to. Nothing is left behind, and
            what stood at `path` still does.
    """
    # Hidden, so that no search for scans meets it, and short, so that a long name does not become too long.
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            with part.open("xb") as file:
                file.write(content)
            os.replace(part, path)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError("the disk is full; make room and start again", source=str(path)) from error
        reason = error.strerror or "the disk does not answer"
        raise OutputError(f"the file cannot be written ({reason}); check the folder", source=str(path)) from error


def write_text(path: Path, content: str) -> None:
    """Write a text in UTF-8; names of files that are no text come back as the bytes they were.

    Raises:
        OutputError: see `write_atomic`.
    """
    write_atomic(path, content.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, values: Any, indent: int = 1) -> None:
    """Write values as JSON, lists of numbers on one line, into a folder that is made where it is missing.

    Names of files that are no text are escaped, so that the JSON is valid and they are read back as they were.

    Raises:
        OutputError: see `write_atomic`.
        ValueError: a number among them is not finite, which JSON cannot say.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("its folder cannot be made; choose another place", source=str(path)) from error
    content = json.dumps(values, indent=indent, ensure_ascii=False, allow_nan=False)
    # A text in JSON holds no line end as such, so what spans lines is a list and never a part of a text.
    content = NUMBERS.sub(lambda found: "[" + re.sub(r",\n *", ", ", found[1]) + "]", content)
    write_text(path, SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", content) + "\n")
