"""Every error that a person can meet.

MetsegError
├── InputError                 something is wrong with what was given
│   ├── UnsupportedFormat      the content is of no kind that metseg reads
│   ├── BrokenFile             the right kind, but damaged or impossible
│   ├── TooLarge               beyond a limit; found before the memory was taken
│   ├── ChannelNeeded          a coloured picture, and nobody said which channel to take
│   ├── AmbiguousSeries        several series or volumes, and nobody said which one to take
│   │   ├── MixedSizes         slices of several sizes in what calls itself one series
│   │   ├── MixedOrientations  slices of several directions in what calls itself one series
│   │   └── MixedPatients      slices of several patients in what calls itself one series
│   ├── DifferingDuplicates    two slices at one place that are not equal
│   ├── PairMismatch           an image and its mask do not belong together
│   └── NothingFound           a folder without anything to read
├── UsageError                 options that do not go together
├── ModelError
│   ├── ModelNotFound
│   └── ModelDamaged           missing file, wrong hash, keys that do not fit
├── DeviceError
│   ├── DeviceUnavailable
│   ├── DeviceOutOfMemory      even for one window
│   └── DeviceLost             it failed, and computes nothing more for this process
├── OutputError                a result cannot be written, or would overwrite something
└── Cancelled                  somebody asked to stop
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


class MetsegError(Exception):
    """One sentence for a person: what is wrong with which input, and what to do.

    Attributes:
        detail: the sentence without any name, fit for a server's answer.
        source: the file or case it is about, for faces whose user chose that file; None where there is none.
        code: a stable word for programs.
    """

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, source: str | None = None) -> None:
        self.detail = detail
        self.source = source
        super().__init__(detail)

    def __str__(self) -> str:
        return self.detail if self.source is None else f"{self.source}: {self.detail}"


class InputError(MetsegError):
    code = "bad-input"


class UnsupportedFormat(InputError):
    code = "unsupported-format"


class BrokenFile(InputError):
    code = "broken-file"


class TooLarge(InputError):
    code = "too-large"


class ChannelNeeded(InputError):
    code = "channel-needed"


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """One of several series or volumes that lie in what was given.

    Attributes:
        key: what to choose it by; unique among the choices, and the same whenever the same files are read.
        description: what it is ("FLAIR, 24 slices of 256×256"), without any text about the patient.
    """

    key: str
    description: str


class AmbiguousSeries(InputError):
    """Several series, and none or an unknown one was chosen.

    Attributes:
        choices: what there is to choose from.
    """

    code = "ambiguous-series"

    def __init__(self, detail: str, choices: Sequence[SeriesChoice] = (), *, source: str | None = None) -> None:
        super().__init__(detail, source=source)
        self.choices = tuple(choices)


class MixedSizes(AmbiguousSeries):
    code = "mixed-sizes"


class MixedOrientations(AmbiguousSeries):
    code = "mixed-orientations"


class MixedPatients(AmbiguousSeries):
    code = "mixed-patients"


class DifferingDuplicates(InputError):
    code = "differing-duplicates"


class PairMismatch(InputError):
    code = "pair-mismatch"


class NothingFound(InputError):
    code = "nothing-found"


class UsageError(MetsegError):
    code = "usage"


class ModelError(MetsegError):
    code = "model"


class ModelNotFound(ModelError):
    code = "model-not-found"


class ModelDamaged(ModelError):
    code = "model-damaged"


class DeviceError(MetsegError):
    code = "device"


class DeviceUnavailable(DeviceError):
    code = "device-unavailable"


class DeviceOutOfMemory(DeviceError):
    code = "device-out-of-memory"


class DeviceLost(DeviceError):
    code = "device-lost"


class OutputError(MetsegError):
    code = "output"


class Cancelled(MetsegError):
    code = "cancelled"


def sentence(detail: str) -> str:
    """An error's detail with a capital at its beginning and a full stop at its end."""
    return detail[:1].upper() + detail[1:] + ("" if detail.endswith((".", "!", "?")) else ".")


def unforeseen(error: BaseException) -> str:
    """An error that nobody foresaw, for a person at this machine: its kind and the first line of its message."""
    first_line = str(error).partition("\n")[0]
    return f"something unforeseen went wrong ({type(error).__name__}{': ' if first_line else ''}{first_line})"


def kind_and_place(error: BaseException) -> str:
    """What a log may tell of an error that nobody foresaw: its kind, and the line that it came from.

    Its message may quote what somebody sent, a name or a path; METSEG_DEBUG=1 shows it all the same.
    """
    if os.environ.get("METSEG_DEBUG"):
        return "".join(traceback.format_exception(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {place}"
