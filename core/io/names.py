"""File names: what of them is the name of a scan, and what may be the name of a file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from core.scan import Scan

DOUBLE_SUFFIXES = (".nii.gz",)
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".dcm", ".zip")

STEM_BYTES = 230
"""Of names that results are made of; most file systems take 255, ending and all."""

SEG_ENDS = ("-seg", "_seg")
"""How BraTS and others end the name of a mask that belongs to all sequences of a case."""

NNUNET_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})", re.DOTALL)
"""The stem of an image as nnU-Net has it: a case, and which of its channels."""

_DIGITS = re.compile(r"(\d+)")
_SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)(_.*)?", re.DOTALL)
_BIDS = re.compile(r"(?P<entities>sub-[A-Za-z0-9]+(?:_[A-Za-z0-9]+-[A-Za-z0-9+]+)*)_[A-Za-z0-9]+")


def stem_of(name: str) -> str:
    """A file's name without its suffix; `.nii.gz` counts as one."""
    for suffix in DOUBLE_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return os.path.splitext(name)[0]  # noqa: PTH122


def result_stem(name: str) -> str:
    """What results of a file are named after: its stem, as much of it as a file system takes with a longer ending."""
    stem = stem_of(name)
    while len(os.fsencode(stem)) > STEM_BYTES:
        stem = stem[:-1]
    return stem


def file_stem(scan: Scan) -> str:
    """What results of a volume are named after: its one file, or else the case.

    A name that came with an upload, or is made of several files, is made safe as a file's.
    """
    if len(scan.paths) == 1:
        return result_stem(scan.paths[0].name)
    # A case may be called "sub.01"; only what is surely a suffix is taken off.
    name = stem_of(scan.name) if scan.name.lower().endswith(VOLUME_SUFFIXES) else scan.name
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return kept.strip(".")[:100] or "scan"


def natural_key(text: str) -> tuple[list[str | tuple[int, str]], str]:
    """Sorts as people count: `scan_2` before `scan_10`."""
    parts = _DIGITS.split(text)
    return [_by_size(part) if index % 2 else part.casefold() for index, part in enumerate(parts)], text


def _by_size(digits: str) -> tuple[int, str]:
    """Sorts as the number does; there may be more digits than `int` takes."""
    significant = digits.lstrip("0")
    return len(significant), significant


def bids_entities(stem: str) -> tuple[str, ...] | None:
    """Of a stem as BIDS has it, `sub-01_ses-2_FLAIR`, what stands before its last word; None for any other stem."""
    match = _BIDS.fullmatch(stem)
    return tuple(match["entities"].split("_")) if match else None


def bids_subject(name: str) -> str | None:
    """Of a name that begins as BIDS has it, `sub-01_ses-2`, its subject, `sub-01`; None for any other name."""
    match = _SUBJECT.fullmatch(name)
    return match[1] if match else None


def some_of(names: Sequence[str], most: int) -> str:
    """The first of many names, for a sentence."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
