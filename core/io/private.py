"""Temporary folders for what people upload: gone with the block, and where a process was killed, at the next one."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir, mkdtemp

if sys.platform != "win32":  # where nothing tells whether a folder is still somebody's, so nothing is swept
    import fcntl


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """A folder that this user alone may enter, among the system's temporary ones.

    Folders of the same prefix whose processes were killed are removed first.

    Args:
        prefix: what its name begins with; one for each kind of owner.

    Raises:
        OSError: it cannot be made.
    """
    sweep(prefix)
    # Locked before it bears the prefix, so that nobody takes it for a forgotten one in between.
    made = Path(mkdtemp(prefix=f".{prefix}"))
    folder = made.with_name(made.name.lstrip("."))
    held = None
    try:
        if sys.platform != "win32":
            held = os.open(made, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
        made.rename(folder)
        yield folder
    finally:
        for path in (made, folder):
            shutil.rmtree(path, ignore_errors=True)
        if held is not None:
            os.close(held)


def sweep(prefix: str) -> None:
    """Remove this user's temporary folders of a prefix that no process holds any more."""
    if sys.platform != "win32":
        for path in Path(gettempdir()).glob(f"{prefix}*"):
            with contextlib.suppress(OSError):
                held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    if os.fstat(held).st_uid == os.getuid():
                        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError where somebody holds it
                        shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(held)
