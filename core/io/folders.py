"""Walks through folders and lists what may be scans; pairs images/ with the masks/ beside it; opens no picture.

DICOM files often have no suffix. So of a folder with such files a few are looked into, as far as the mark that DICOM
puts near their beginning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError, NothingFound
from core.io.formats import ARCHIVE_SUFFIXES, DICOM_SUFFIXES, SUFFIXES

NNUNET: dict[str, tuple[str, ...]] = {"imagestr": ("labelstr",), "imagests": ("labelsts",)}
TRUTH_OF = dict.fromkeys(("images", "image", "imgs"), ("masks", "mask", "labels")) | NNUNET
"""For folders of images, in small letters, what the folder beside them with their truth may be called."""
# What has only digits behind its last point has no suffix: instances are often named by their UIDs.
UNSUFFIXED = re.compile(r"[^.]+|.*\.\d+", re.DOTALL)
PREAMBLE, MARK = 128, b"DICM"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was walked through.

    Attributes:
        path: as text, for there may be very many.
        pictures: names of the files that each hold slices or a volume, sorted; hidden ones left out.
        instances: names of the files that may be a series' DICOM instances, sorted.
        truth: its counterpart below masks/ (which may not exist), or None where it is not below images/.
        is_truth: it lies below masks/ itself.
        is_result: metseg wrote it; nothing in it is listed, and no folder below it is walked.
        is_closed: it cannot be opened.
    """

    path: str
    pictures: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    truth: str | None = None
    is_truth: bool = False
    is_result: bool = False
    is_closed: bool = False


def walk_folders(root: Path) -> Iterator[Folder]:
    """List root and all folders below, each once, even where links run in a circle.

    The masks/ beside a root that is called images/ belongs to it.

    Raises:
        NothingFound: there is no such folder.
        InputError: root cannot be opened.
    """
    if not root.is_dir():
        raise NothingFound("there is no such folder; check the path", source=str(root))
    scan_folder(root)
    truth_of_root = masks_beside(root)
    waiting: list[tuple[str, str | None, bool]] = [(str(root), truth_of_root, False)]
    if truth_of_root:
        waiting.append((truth_of_root, None, True))
    seen: set[tuple[int, int]] = set()
    while waiting:
        path, truth, is_truth = waiting.pop()
        try:
            status = os.stat(path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = scan_folder(path)
        except (OSError, InputError):
            yield Folder(path, is_closed=True)
            continue
        if any(entry.name == "manifest.json" and _is_metsegs(entry.path) for entry in entries):
            yield Folder(path, is_result=True)
            continue
        below = {entry.name: entry.path for entry in entries if _is_folder(entry)}
        files = [entry.name for entry in entries if entry.name not in below and _has_an_end(entry)]
        pictures = tuple(name for name in files if is_picture(name))
        yield Folder(path, pictures, _instances(path, files), truth, is_truth)
        truths = {name: found for name in below if (found := _truth_among(name, below))}
        for name, place in below.items():
            if name in truths:
                waiting.append((place, below[truths[name]], is_truth))
            elif name in truths.values():
                waiting.append((place, None, True))
            else:
                waiting.append((place, os.path.join(truth, name) if truth else None, is_truth))  # noqa: PTH118


def scan_folder(path: str | Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted by name, without hidden entries and the Mac's shadow of a zip.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        with os.scandir(path) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".") and entry.name != "__MACOSX"]
    except OSError as error:
        detail = f"the folder cannot be opened ({error.strerror}); check its permissions"
        raise InputError(detail, source=str(path)) from error
    return sorted(shown, key=lambda entry: entry.name)


def masks_beside(folder: Path) -> str | None:
    """The masks/ beside a folder that is called images/; None for any other folder."""
    folder = folder.absolute()
    if folder.name.lower() not in TRUTH_OF:
        return None
    beside = {entry.name: entry.path for entry in scan_folder(folder.parent) if _is_folder(entry)}
    truth = _truth_among(folder.name, beside)
    return beside[truth] if truth else None


def _truth_among(images: str, names: Iterable[str]) -> str | None:
    """Which of the folders beside a folder of images, by their names, holds its truth."""
    wanted = TRUTH_OF.get(images.lower())
    if wanted is None:  # nearly always; there may be ten thousand folders beside
        return None
    return next((name for name in names if name.lower() in wanted), None)


def is_picture(name: str) -> bool:
    """Whether a file's name ends as one that is a case, or a slice of one, by itself: all but DICOM."""
    return name.lower().endswith((*SUFFIXES, *ARCHIVE_SUFFIXES)) and not is_instance(name)


def is_instance(name: str) -> bool:
    """Whether a file's name ends as DICOM's instances do, those that have an ending."""
    return name.lower().endswith(DICOM_SUFFIXES)


def _instances(folder: str, files: list[str]) -> tuple[str, ...]:
    """The files of a folder that may be DICOM: those with its suffix; those without any if a few of them look so."""
    bare = [name for name in files if UNSUFFIXED.fullmatch(name) and name.upper() != "DICOMDIR"]
    looks = dict.fromkeys((bare[0], bare[len(bare) // 2], bare[-1])) if bare else ()
    if not any(_is_marked(os.path.join(folder, name)) for name in looks):  # noqa: PTH118
        bare = []
    return tuple(sorted([*(name for name in files if is_instance(name)), *bare]))


def _is_marked(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(PREAMBLE + len(MARK))[PREAMBLE:] == MARK
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for instance
        return False


def _has_an_end(entry: os.DirEntry[str]) -> bool:
    """Not a pipe or a device, which would be read for ever; a link that leads nowhere is left to be told of."""
    try:
        return entry.is_file() or not os.path.exists(entry.path)  # noqa: PTH110
    except OSError:  # a link to itself, for instance
        return True


def _is_metsegs(manifest: str) -> bool:
    """Whether a manifest.json tells of metseg; every one that metseg writes names its version near the top."""
    try:
        with open(manifest, "rb") as file:  # noqa: PTH123
            return b'"metseg"' in file.read(2**16)
    except OSError:
        return False
