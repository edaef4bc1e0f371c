"""From the files that were given to those that are read together: archives unpacked, what does not belong left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from core.errors import BrokenFile, InputError, UnsupportedFormat
from core.io.archive import is_zip, read_archive
from core.io.find import NUMBER_GAP, NUMBERED, VOLUMES, is_no_image
from core.io.folders import TRUTH_OF
from core.io.formats import FORMATS, format_of
from core.io.interface import Format, RawFile, naming
from core.io.limits import ReadLimits
from core.io.names import natural_key, stem_of
from core.scan import Note

NOT_DICOM = Note("not-dicom", "some files among the DICOM files are no DICOM, or empty; they were left out")
BLANK = 132
"""Bytes of a file that a bad disk or copy leaves as zeros; a DICOM file says after so many what it is."""
SLICE_ENDS = (".dcm", ".dicom", ".ima")
MASKS_LEFT_OUT = Note(
    "masks-left-out", "masks and results in the archive were left out: they are no slices of the scan"
)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Files of one format.

    Attributes:
        form: their format.
        files: one or more.
        owners: for each of them the index of the given file that it is, or lay in.
        notes: what was left out.
    """

    form: Format
    files: tuple[RawFile, ...]
    owners: tuple[int, ...]
    notes: tuple[Note, ...] = ()


def gather(given: Sequence[RawFile], limits: ReadLimits) -> Gathered:
    """Unpack archives, and see what format all is of.

    Where there is DICOM, whatever else lies beside it is left out: licences, previews, empty files. In an archive names
    tell masks, which are left out, and whether slices are missing, as they do in a folder.

    Raises:
        UnsupportedFormat: nothing of a format that is read.
        BrokenFile: pictures of several formats.
        InputError: an archive holds slices of several cases, or an archive cannot be read, see `read_archive`.
    """
    files: list[RawFile] = []
    owners: list[int] = []
    told: list[Note] = []
    slices_lost = False
    for index, file in enumerate(given):
        members = [file]
        if is_zip(file.content):
            with naming(file.name):
                unpacked, lost = _members(file, limits)
                members, notes = _of_one_case(unpacked)
            told += notes
            slices_lost |= lost
        files += members
        owners += [index] * len(members)
    forms = [_matching(file.content) for file in files]
    dicom = [index for index, form in enumerate(forms) if form is not None and form.NAME == "DICOM"]
    if dicom:
        left_out = (NOT_DICOM,) if len(dicom) < len(files) or slices_lost else ()
        form = forms[dicom[0]]
        assert form is not None  # noqa: S101
        return Gathered(form, tuple(files[index] for index in dicom), tuple(owners[index] for index in dicom), left_out)
    return Gathered(_common_format(files), tuple(files), tuple(owners), tuple(told))


def _members(file: RawFile, limits: ReadLimits) -> tuple[list[RawFile], bool]:
    """What can be read of an archive, and whether something else in it may have been a slice."""
    others: list[tuple[str, bytes]] = []
    members = read_archive(
        file.content,
        file.name,
        limits,
        lambda start: _matching(start) is not None,
        lambda name, start: others.append((name, start[:BLANK])),
    )
    if not members:
        raise UnsupportedFormat("the archive holds nothing that can be read; give one with scans")
    lost = any(not any(start) or name.lower().endswith(SLICE_ENDS) for name, start in others)
    return sorted(members, key=lambda member: natural_key(member.name)), lost


def _of_one_case(members: list[RawFile]) -> tuple[list[RawFile], list[Note]]:
    """What of an archive is the scan itself, told by names as `find_scans` tells it in a folder.

    Raises:
        InputError: these are slices of several cases.
    """
    if any((form := _matching(member.content)) is not None and form.NAME == "DICOM" for member in members):
        return members, []  # it says itself what belongs together
    places = [PurePosixPath(member.name.replace("\\", "/")) for member in members]
    folders = {place.parent for place in places}
    scan = [index for index, place in enumerate(places) if not _is_no_slice(place, folders)]
    notes = [MASKS_LEFT_OUT] if 0 < len(scan) < len(members) else []
    scan = scan or list(range(len(members)))
    slices = [place for place in (places[index] for index in scan) if not place.name.lower().endswith(VOLUMES)]
    numbered = [(place.parent, NUMBERED.fullmatch(stem_of(place.name))) for place in slices]
    cases = {(folder, match["prefix"] if match else None) for folder, match in numbered}
    if len(cases) > 1:
        raise InputError(f"the archive holds slices of {len(cases)} cases; make an archive of each")
    numbers = [int(match["number"]) for _, match in numbered if match]
    if len(numbers) == len(scan) and any(after != before + 1 for before, after in pairwise(numbers)):
        notes.append(NUMBER_GAP)
    return [members[index] for index in scan], notes


def _is_no_slice(place: PurePosixPath, folders: Collection[PurePosixPath]) -> bool:
    """Whether an archive's member is no image: by its name, or as one below masks/ where there is an images/ beside."""
    if is_no_image(stem_of(place.name), place.name):
        return True
    images = (folder.name.lower() for folder in folders if folder.parent == place.parent.parent)
    return any(place.parent.name.lower() in TRUTH_OF.get(name, ()) for name in images)


def _matching(content: bytes) -> Format | None:
    return next((form for form in FORMATS if form.matches(content)), None)


def _common_format(files: Sequence[RawFile]) -> Format:
    first: Format | None = None
    for file in files:
        with naming(file.name):
            form = format_of(file.content)
            if first is not None and form is not first:
                raise BrokenFile(f"this slice is {form.NAME} and the first {first.NAME}; export all slices alike")
            first = form
    if first is None:
        raise InputError("there is no file to read; give at least one")
    return first
