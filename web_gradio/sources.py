"""From uploaded files to cases, grouped as `metseg segment` groups the files of a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError, NothingFound, UsageError
from core.io import find_scans, natural_key, stem_of
from core.io.dicom.stream import is_dicom
from core.io.find import is_no_image
from core.io.folders import is_picture
from core.io.private import private_folder
from core.scan import Note, ScanSource
from web_gradio.settings import Settings

HEAD_BYTES = 4096
FOLDER = "upload"
"""A case is called so whose files have bare numbers for names."""
MASKS_LEFT_OUT = Note("masks-left-out", "masks that came with it were left out: they are no slices of the scan")


@dataclass(frozen=True, slots=True)
class Sources:
    """What uploaded files are.

    Attributes:
        cases: in the order of their first files.
        left_out: names of masks and results of metseg whose image is not among them.
    """

    cases: tuple[ScanSource, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """A case and its masks; files are numbers, for one file may be sent twice."""

    name: str
    files: tuple[int, ...]
    masks: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()


def sources_of(paths: Sequence[Path], settings: Settings) -> Sources:
    """Files as cases: all DICOM files together are one; names tell slices of one case, and masks, as in a folder.

    A single file is a case whatever it is called; among others so is a file that a folder's search would pass over.

    Raises:
        UsageError: they were here for so long that they were removed.
        InputError: there is no room on the disk.
    """
    try:
        cases = list(_cases_in(paths))
    except FileNotFoundError:
        minutes = max(1, round(settings.keep_seconds / 60))
        raise UsageError(f"these files were removed after {minutes} min; add them again") from None
    except OSError as error:
        raise InputError("the files cannot be taken in; whoever runs this page must free some disk space") from error
    known = {file for case in cases for file in (*case.files, *case.masks)}
    left_out = []
    for file, path in enumerate(paths):
        if file not in known:
            stem = stem_of(path.name)
            if is_no_image(stem, path.name):
                left_out.append(stem)
            else:
                cases.append(_Case(stem, (file,)))
    cases.sort(key=lambda case: min(case.files))
    sources = (ScanSource(case.name, tuple(paths[file] for file in case.files), (), case.notes) for case in cases)
    return Sources(tuple(sources), tuple(left_out))


def _cases_in(paths: Sequence[Path]) -> Iterator[_Case]:
    """The cases that content or names tell.

    Raises:
        OSError: a file is no longer there, or cannot be laid beside the others.
    """
    dicom = [file for file, path in enumerate(paths) if _is_dicom(path)]
    if len(paths) == 1:
        yield _Case(stem_of(paths[0].name), (0,))
        return
    if dicom:
        dicom.sort(key=lambda file: natural_key(paths[file].name))
        yield _Case("DICOM" if len(dicom) > 1 else stem_of(paths[dicom[0]].name), tuple(dicom))
    others = [file for file in range(len(paths)) if file not in set(dicom) and is_picture(paths[file].name)]
    with private_folder("metseg-gradio-") as root:
        laid: dict[Path, int] = {}
        folders: list[Path] = []
        names: set[str] = set()
        for file in others:
            name = paths[file].name
            # No folder holds a name twice, so this one comes from another folder, and so does what follows it.
            if not folders or name.casefold() in names:
                folders.append(root / str(len(folders)) / FOLDER)
                folders[-1].mkdir(parents=True)
                names.clear()
            names.add(name.casefold())
            _lay(paths[file], folders[-1] / name)
            laid[folders[-1] / name] = file
        for folder in folders:
            yield from _cases_in_folder(folder, laid)


def _cases_in_folder(folder: Path, laid: dict[Path, int]) -> Iterator[_Case]:
    try:
        sources = find_scans(folder)
    except NothingFound:  # nothing but masks
        return
    for source in sources:
        masks = tuple(laid[mask] for mask in source.mask_paths if mask is not None)
        notes = (*source.notes, MASKS_LEFT_OUT) if masks else source.notes
        yield _Case(source.name, tuple(laid[path] for path in source.paths), masks, notes)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return is_dicom(file.read(HEAD_BYTES))


def _lay(path: Path, target: Path) -> None:
    """Let a file lie there as well, without a copy where the disk can do that."""
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, target)
