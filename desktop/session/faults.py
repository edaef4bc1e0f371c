"""What nobody foresaw: written to a file for those who can mend it, told in a sentence, and the window stays open."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType

from core.errors import MetsegError
from desktop.session.places import data_folder

LOG, LOG_BYTES = "review-errors.log", 1 << 20


def explain(error: Exception) -> str:
    """A sentence for a person, without a name or a path, which may be a patient's; the log takes what is unforeseen."""
    if isinstance(error, MetsegError):
        return error.detail
    _log(error)
    what = "There was not enough memory for this." if isinstance(error, MemoryError) else "Something unforeseen failed."
    return f"{what} Verdicts are kept; {LOG} in the data folder tells more."


def _log(error: Exception) -> None:
    with suppress(OSError, MetsegError):
        path = data_folder() / LOG
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_name(f"{LOG}.old"))
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}\n")
            file.writelines(traceback.format_exception(error))


def watch(tell: Callable[[str], object]) -> None:
    """Take over what no function catches; Qt would end the process, and what is not saved with it."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, Exception):
            tell(explain(error))
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook
