"""The formats that metseg reads. A file's content says which it is, never its name."""

from __future__ import annotations

from core.errors import BrokenFile, UnsupportedFormat
from core.io import archive, dicom, nifti, png_jpeg, tiff
from core.io.interface import Format

FORMATS: tuple[Format, ...] = (dicom, tiff, png_jpeg, nifti)
# By these a search through a folder goes, which opens hardly any file.
SUFFIXES = tuple(suffix for form in FORMATS for suffix in form.SUFFIXES)
DICOM_SUFFIXES, ARCHIVE_SUFFIXES = dicom.SUFFIXES, archive.SUFFIXES


def format_of(content: bytes) -> Format:
    """The format of these bytes.

    Raises:
        BrokenFile: there are none.
        UnsupportedFormat: they are of no format that metseg reads.
    """
    if not content:
        raise BrokenFile("the file is empty; copy or export it again")
    for candidate in FORMATS:
        if candidate.matches(content):
            return candidate
    names = ", ".join(candidate.NAME for candidate in FORMATS)
    raise UnsupportedFormat(f"this is none of the formats that are read ({names}); convert it to one of them")
