"""What a disk answers, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.atomic import cannot_write


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Around what writes into a folder and reads nothing by itself.

    Raises:
        OutputError: the disk is full, read-only or gone.
    """
    try:
        yield
    except BrokenPipeError:  # whoever read what is printed went away; no disk's fault
        raise
    except OSError as error:
        raise cannot_write(error, folder) from error
