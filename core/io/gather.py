"""From the files that were given to those that are read together: archives unpacked, what does not belong left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import BrokenFile, InputError, UnsupportedFormat
from core.io.archive import is_zip, read_archive
from core.io.find import natural_key
from core.io.formats import FORMATS, format_of
from core.io.interface import Format, RawFile, naming
from core.io.limits import ReadLimits
from core.scan import Note

NOT_DICOM = Note("not-dicom", "some files among the DICOM files are no DICOM, or empty; they were left out")


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

    Where there is DICOM, whatever else lies beside it is left out: licences, previews, empty files.

    Raises:
        UnsupportedFormat: nothing of a format that is read.
        BrokenFile: pictures of several formats.
        InputError: an archive cannot be read, see `read_archive`.
    """
    files, owners, packed = [], [], False
    for index, file in enumerate(given):
        members = [file]
        if is_zip(file.content):
            packed = True
            with naming(file.name):
                members = _members(file, limits)
        files += members
        owners += [index] * len(members)
    forms = [_matching(file.content) for file in files]
    dicom = [index for index, form in enumerate(forms) if form is not None and form.NAME == "DICOM"]
    if dicom:
        notes = (NOT_DICOM,) if len(dicom) < len(files) and not packed else ()
        form = forms[dicom[0]]
        assert form is not None  # noqa: S101
        return Gathered(form, tuple(files[index] for index in dicom), tuple(owners[index] for index in dicom), notes)
    return Gathered(_common_format(files), tuple(files), tuple(owners))


def _members(file: RawFile, limits: ReadLimits) -> list[RawFile]:
    members = read_archive(file.content, file.name, limits, lambda start: _matching(start) is not None)
    if not members:
        raise UnsupportedFormat("the archive holds nothing that can be read; give one with scans")
    return sorted(members, key=lambda member: natural_key(member.name))


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
