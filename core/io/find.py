"""Finds the cases in a folder by names alone, so that ten thousand of them take about a second.

What is understood, at any depth:

    CASE/CASE_1.tif, CASE/CASE_1_mask.tif, …    one case, its slices in the order of their numbers (the LGG set)
    CASE_1.png, CASE_2.png, …                    the same, loose in any folder
    1.png, 2.png, …                              one case, named as its folder
    images/NAME.png and masks/NAME.png           pairs by equal names; numbered names form cases as above
    NAME.tif                                     a case of its own; and so is each file of several pages
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

from core.errors import InputError, NothingFound
from core.io.formats import formats
from core.io.tiff_header import has_several_pages
from core.scan import Note, ScanSource

SLICE_GAP = "slice-gap"
MISSING_MASKS = "missing-masks"
STRAY_MASKS = "masks-without-image"

IMAGE_FOLDERS = frozenset({"images", "image", "imgs"})
MASK_FOLDERS = frozenset({"masks", "mask", "labels"})
MASK_END = "_mask"
OUTPUT_ENDS = ("_probability", "_overlay")
# More than five digits are a date or a patient, not the number of a slice.
NUMBERED = re.compile(r"(?:(?P<prefix>.+)_)?(?P<number>\d{1,5})", re.DOTALL)
DIGITS = re.compile(r"(\d+)")


@dataclass(slots=True)
class _Folder:
    """A folder's pictures by name; `truth` is its counterpart below masks/, and `is_truth` says it is one itself."""

    path: str
    names: list[str]
    truth: str | None
    is_truth: bool


@dataclass(slots=True)
class _Case:
    name: str
    folder: str
    files: list[str]
    masks: list[str | None]
    gap: bool
    strays: int = 0


@dataclass(slots=True)
class _Survey:
    cases: list[_Case] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    results: bool = False


def find_scans(folder: str | Path) -> tuple[ScanSource, ...]:
    """Find the cases in a folder, or the one that a single file is. No image is decoded.

    Hidden files, what is no picture, and metseg's own results are passed over. A mask is never taken for an image.

    Returns:
        Cases in natural order (2 before 10), their names unique whatever the case of the letters.

    Raises:
        NothingFound: there is no such folder, or nothing in it to read.
    """
    root = Path(folder)
    if root.is_file():
        return (ScanSource(root.stem, (root,), (_mask_of(root),)),)
    survey = _survey(root)
    if not survey.cases:
        if survey.results:
            raise NothingFound(
                "the folder holds results of metseg, no scans; give the folder of the scans", source=str(root)
            )
        raise NothingFound("the folder holds no picture that can be read; give one with scans", source=str(root))
    any_mask = any(mask for case in survey.cases for mask in case.masks)
    _make_unique(survey.cases, root)
    survey.cases.sort(key=lambda case: natural_key(case.name))
    return tuple(_source(case, any_mask) for case in survey.cases)


def masks_without_image(folder: str | Path) -> tuple[Path, ...]:
    """The masks in a folder that belong to no image; `find_scans` passes over them."""
    root = Path(folder)
    return () if root.is_file() else tuple(Path(path) for path in sorted(_survey(root).strays, key=natural_key))


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sorts as people count: `scan_2` before `scan_10`."""
    parts = DIGITS.split(text)
    return [int(part) if index % 2 else part.casefold() for index, part in enumerate(parts)], text


def _mask_of(image: Path) -> Path | None:
    """The mask of one file: NAME_mask beside it, or of equal name in the masks/ beside its images/."""
    found = [entry.path for entry in _scandir(image.parent) if Path(entry.name).stem == image.stem + MASK_END]
    if not found and (truth := _truth_beside(image.parent)):
        found = [e.path for e in _scandir(truth) if Path(e.name).stem in (image.stem, image.stem + MASK_END)]
    mask = _pick([path for path in found if _is_picture(path)], image.name)
    return Path(mask) if mask else None


def _truth_beside(folder: Path) -> str | None:
    """The masks/ beside a folder that is called images/."""
    if folder.name.lower() not in IMAGE_FOLDERS:
        return None
    return next((e.path for e in _scandir(folder.parent) if e.name.lower() in MASK_FOLDERS and _is_folder(e)), None)


def _survey(root: Path) -> _Survey:
    survey = _Survey()
    folders = list(_walk(root, survey))
    truth_files = {folder.path: folder.names for folder in folders if folder.is_truth}
    used: set[str] = set()
    for folder in folders:
        if not folder.is_truth:
            _cases_of(folder, truth_files.get(folder.truth or "", []), survey, used)
    for path, names in truth_files.items():
        survey.strays += [full for name in names if (full := os.path.join(path, name)) not in used]  # noqa: PTH118
    return survey


def _walk(root: Path, survey: _Survey) -> Iterator[_Folder]:
    """All folders below root, each once, even where links run in a circle."""
    if not root.is_dir():
        raise NothingFound("there is no such folder; check the path", source=str(root))
    truth_of_root = _truth_beside(root.absolute())
    waiting: list[tuple[str, str | None, bool]] = [(str(root), truth_of_root, False)]
    if truth_of_root:
        waiting.append((truth_of_root, None, True))
    seen: set[tuple[int, int]] = set()
    while waiting:
        path, truth, is_truth = waiting.pop()
        status = os.stat(path)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        try:
            entries = [e for e in _scandir(path) if not e.name.startswith(".") and e.name != "__MACOSX"]
        except InputError:
            if path == str(root):
                raise
            # It becomes a case that cannot be read, and so is listed as such while the others go on.
            parent, name = os.path.split(path)
            survey.cases.append(_Case(name, parent, [name], [None], gap=False))
            continue
        if any(entry.name == "manifest.json" and _is_ours(entry.path) for entry in entries):
            survey.results = True
            continue
        below = {entry.name: entry.path for entry in entries if _is_folder(entry)}
        yield _Folder(path, [e.name for e in entries if _is_picture(e.name) and e.name not in below], truth, is_truth)
        images = next((name for name in below if name.lower() in IMAGE_FOLDERS), None)
        masks = next((name for name in below if name.lower() in MASK_FOLDERS), None) if images else None
        for name, place in below.items():
            if masks and name in (images, masks):
                waiting.append((place, below[masks] if name == images else None, is_truth or name == masks))
            else:
                waiting.append((place, os.path.join(truth, name) if truth else None, is_truth))  # noqa: PTH118


def _scandir(path: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"the folder cannot be opened ({error.strerror}); check its permissions", source=str(path)
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for instance
        return False


def _is_ours(manifest: str) -> bool:
    try:
        with open(manifest, "rb") as file:  # noqa: PTH123
            return b'"metseg"' in file.read(2**16)
    except OSError:
        return False


def _is_picture(name: str) -> bool:
    return name.lower().endswith(_suffixes())


@cache
def _suffixes() -> tuple[str, ...]:
    return tuple(suffix for form in formats() for suffix in form.SUFFIXES)


def _pick(names: list[str], image: str) -> str | None:
    """Of several masks of one name, the one of the image's own suffix, else the first."""
    suffix = os.path.splitext(image)[1].lower()  # noqa: PTH122
    return min(names, key=lambda name: (not name.lower().endswith(suffix), name), default=None)


def _cases_of(folder: _Folder, truth_names: list[str], survey: _Survey, used: set[str]) -> None:
    """Group one folder's pictures into cases, and pair them with their masks."""
    images: list[tuple[str, str]] = []  # stem, name
    masks: dict[str, list[str]] = {}  # the image's stem -> full paths
    for name in folder.names:
        stem = os.path.splitext(name)[0]  # noqa: PTH122
        if stem.lower().endswith(MASK_END):
            masks.setdefault(stem[: -len(MASK_END)], []).append(os.path.join(folder.path, name))  # noqa: PTH118
        elif not stem.lower().endswith(OUTPUT_ENDS):
            images.append((stem, name))
    for name in truth_names:
        stem = os.path.splitext(name)[0]  # noqa: PTH122
        stem = stem[: -len(MASK_END)] if stem.lower().endswith(MASK_END) else stem
        masks.setdefault(stem, []).append(os.path.join(folder.truth or "", name))  # noqa: PTH118
    cases = [_case(folder.path, name, group, masks) for name, group in _groups(folder, images)]
    stems = {stem for stem, _ in images}
    used.update(path for stem, paths in masks.items() if stem in stems for path in paths)
    strays = {stem: paths for stem, paths in masks.items() if stem not in stems}
    for stem, paths in strays.items():
        match = NUMBERED.fullmatch(stem)
        owner = next((case for case in cases if match and case.name == match["prefix"]), None)
        if owner:
            owner.strays += len(paths)
        survey.strays += paths
        used.update(paths)
    survey.cases += cases


def _groups(folder: _Folder, images: list[tuple[str, str]]) -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
    """Cases by name: (number of the slice, stem, file name), in slice order."""
    own_name = os.path.basename(folder.path)  # noqa: PTH119
    groups: dict[tuple[str | None, str], list[tuple[int, str, str]]] = {}
    for stem, name in images:
        match = NUMBERED.fullmatch(stem)
        # Plain numbers below images/ are as a rule patients; elsewhere they are slices.
        if match is None or (match["prefix"] is None and folder.truth is not None):
            yield stem, [(0, stem, name)]
        else:
            kind = "tif" if name.lower().endswith((".tif", ".tiff")) else "picture"
            groups.setdefault((match["prefix"], kind), []).append((int(match["number"]), stem, name))
    for (prefix, kind), group in groups.items():
        group.sort()
        name = own_name if prefix is None else prefix
        if name == own_name and prefix is not None:
            yield name, group
        elif len(group) == 1 or (kind == "tif" and has_several_pages(os.path.join(folder.path, group[0][2]))):  # noqa: PTH118
            yield from ((stem, [(number, stem, file)]) for number, stem, file in group)
        else:
            yield name, group


def _case(folder: str, name: str, group: list[tuple[int, str, str]], masks: dict[str, list[str]]) -> _Case:
    numbers = [number for number, _, _ in group]
    gap = any(after != before + 1 for before, after in pairwise(numbers))
    paired = [_pick(masks.get(stem, []), file) for _, stem, file in group]
    return _Case(name, folder, [file for _, _, file in group], paired, gap)


def _make_unique(cases: list[_Case], root: Path) -> None:
    """Names that occur twice get their folders in front, then a number; upper and lower case count as equal."""
    count = Counter(case.name.casefold() for case in cases)
    taken = {name for name, times in count.items() if times == 1}
    for case in cases:
        if count[case.name.casefold()] == 1:
            continue
        parts = [part for part in Path(case.folder).relative_to(root).parts if part != case.name]
        wanted = name = "_".join([*parts, case.name])
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name.casefold())
        case.name = name


def _source(case: _Case, any_mask: bool) -> ScanSource:
    notes = []
    missing = sum(mask is None for mask in case.masks)
    if missing and any_mask:
        notes.append(Note(MISSING_MASKS, f"{missing} of {len(case.files)} images have no mask."))
    if case.strays:
        notes.append(Note(STRAY_MASKS, f"{case.strays} masks have no image and are not used."))
    if case.gap:
        notes.append(Note(SLICE_GAP, "The slices' numbers have gaps, so nothing is measured from slice to slice."))
    folder = Path(case.folder)
    return ScanSource(
        case.name,
        tuple(folder / file for file in case.files),
        tuple(Path(mask) if mask else None for mask in case.masks),
        tuple(notes),
    )
