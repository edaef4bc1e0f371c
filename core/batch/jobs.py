"""From a mix of files and folders to a list of cases, each with a results folder of its own."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.batch.results import CASE_KIND, RUN_FILES, made_by_metseg
from core.errors import MetsegError, NothingFound, UsageError
from core.io import find_scans, masks_without_image
from core.scan import Note, ScanSource

NAME_LIMIT, NAME_BYTES = 120, 240


@dataclass(frozen=True, slots=True)
class Job:
    """A case to segment.

    Attributes:
        name: the name of its results folder, unique in its plan and safe on every file system.
        source: what to read.
    """

    name: str
    source: ScanSource


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, resolved.

    Attributes:
        jobs: the cases, in the order they were named.
        unreadable: inputs in which nothing could be found, each with its error.
        notes: what was left out, and why.
    """

    jobs: tuple[Job, ...]
    unreadable: tuple[tuple[str, MetsegError], ...] = ()
    notes: tuple[Note, ...] = ()


def plan_jobs(inputs: Sequence[Path], out: Path) -> Plan:
    """Find the cases in files and folders: a folder holds what `find_scans` finds in it, a file is a case of its own.

    A case named twice is taken once. A ground-truth mask named beside its image (`*.tif` does that) is no case.

    Raises:
        UsageError: no input, one that does not exist, or results that would lie among the inputs or the reverse.
    """
    if not inputs:
        raise UsageError("name at least one file or folder to segment")
    for path in inputs:
        if not os.path.exists(path):  # noqa: PTH110 - a path that may not be looked at is none
            raise UsageError("there is no such file or folder, or it may not be looked at", source=str(path))
    refuse_overlap(inputs, out)

    sources: list[ScanSource] = []
    unreadable: list[tuple[str, MetsegError]] = []
    strays = 0
    for path in inputs:
        try:
            sources.extend(find_scans(path))
            strays += len(masks_without_image(path))
        except MetsegError as error:
            unreadable.append((str(path), error))
    sources, notes = leave_out(sources)
    if strays:
        notes = (*notes, Note("masks-without-image", f"{strays} masks belong to no image and were passed over"))
    if not sources and not unreadable:
        unreadable.append((str(inputs[0]), NothingFound("only masks and earlier results were found; name the images")))
    names = unique_names(source.name for source in sources)
    jobs = tuple(Job(name, source) for name, source in zip(names, sources, strict=True))
    return Plan(jobs, tuple(unreadable), notes)


def refuse_overlap(inputs: Iterable[Path], out: Path) -> None:
    """Keep results and inputs apart, so that a prediction is never read as an image or as truth.

    Raises:
        UsageError: `out` lies in (or is) an input folder, or an input lies in `out`.
    """
    target = out.resolve()
    for path in inputs:
        given = path.resolve()
        if target == given or given in target.parents:
            raise UsageError("the results would lie inside this input; choose a folder elsewhere", source=str(path))
        if target in given.parents:
            raise UsageError("this input lies inside the results folder; choose a folder elsewhere", source=str(path))


def unique_names(wanted: Iterable[str]) -> tuple[str, ...]:
    """Folder names for cases, in order: made safe, and numbered where one was taken (also by a name in other case)."""
    taken = {name.casefold() for name in RUN_FILES}
    names: list[str] = []
    for raw in wanted:
        base = name = safe_name(raw)
        number = 2
        while name.casefold() in taken:
            name = f"{base}-{number}"
            number += 1
        taken.add(name.casefold())
        names.append(name)
    return tuple(names)


def safe_name(name: str) -> str:
    """A name that every file system takes for a visible folder: no separators, no control or format characters."""
    kept = "".join("_" if c in '<>:"/\\|?*' or unicodedata.category(c)[0] == "C" else c for c in name)
    kept = kept.strip(". ")[:NAME_LIMIT]
    while len(kept.encode()) > NAME_BYTES:
        kept = kept[:-1]
    kept = kept.rstrip(". ")
    reserved = kept.partition(".")[0].upper()
    if reserved in {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}:
        kept = f"_{kept}"
    return kept or "case"


def leave_out(sources: Sequence[ScanSource]) -> tuple[list[ScanSource], tuple[Note, ...]]:
    """Drop repeated cases, masks of other images, and files that an earlier run wrote; and say so, but for repeats."""
    truths = {path.resolve() for source in sources for path in source.mask_paths if path is not None}
    kept: dict[tuple[Path, ...], ScanSource] = {}
    masks = results = 0
    for source in sources:
        paths = tuple(path.resolve() for path in source.paths)
        if truths.issuperset(paths):
            masks += 1
        elif any(made_by_metseg(folder, CASE_KIND) for folder in {path.parent for path in paths}):
            results += 1
        else:
            kept.setdefault(paths, source)
    notes = []
    if masks:
        notes.append(Note("masks-skipped", f"{masks} of the named files are masks of other images and were left out"))
    if results:
        notes.append(Note("results-skipped", f"{results} of the cases are results of an earlier run and were left out"))
    return list(kept.values()), tuple(notes)
