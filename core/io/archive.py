"""Zip archives of scans: unpacked in memory, member by member, against limits; nothing touches the disk.

What an archive says of itself is not believed: members are counted before its directory is read, and bytes as they
come.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from core.errors import BrokenFile, InputError, TooLarge, UnsupportedFormat
from core.io.interface import RawFile
from core.io.limits import ReadLimits, check_limit

SUFFIXES = (".zip",)
LOCAL, CENTRAL, EMPTY = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
BLOCK = 2**20
RATIO = 100
"""How many times its own size an archive may hold, once that is more than `RATIO_FROM` bytes; scans reach about 5."""
RATIO_FROM = 2**26
ENCRYPTED = 0x1
_DAMAGED = "the archive is damaged; copy or make it again"


def is_zip(content: bytes) -> bool:
    """Whether these bytes begin as a zip archive does."""
    return content[:4] in (LOCAL, EMPTY)


def read_archive(
    content: bytes,
    name: str,
    limits: ReadLimits,
    wanted: Callable[[bytes], bool] = lambda start: True,
    skipped: Callable[[str, bytes], None] = lambda name, start: None,
) -> list[RawFile]:
    """Unpack a zip archive.

    Folders, hidden files and a Mac's shadow copies are passed over.

    Args:
        content: the archive.
        name: what messages may call it by; its members are called after it.
        limits: `entries` bounds how many members there may be, `file_bytes` what they may hold together.
        wanted: whether a member that begins with these bytes is to be unpacked.
        skipped: is told the name and the first bytes of each that is not.

    Returns:
        The wanted members, in the archive's order.

    Raises:
        BrokenFile: it is damaged, or holds what no archive of scans does: links, devices, names that lead out of it.
        UnsupportedFormat: it is encrypted, packed in an uncommon way, or holds another archive.
        TooLarge: it holds more than the limits allow.
    """
    # Counted by the mark that each entry of the directory bears, before objects are made of a hundred thousand.
    check_limit(content.count(CENTRAL), limits.entries, "files in an archive")
    files, total = [], 0
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.is_dir() and not PurePosixPath(entry.filename.replace("\\", "/")).parts:
                    continue  # "./", the packed folder itself
                _check(entry, name)
                if entry.is_dir() or _is_hidden(entry.filename):
                    continue
                parts: list[bytes] = []
                start = b""
                for part in _blocks(archive, entry):
                    start = start or part
                    if not parts and not _is_scan(part, wanted):
                        break
                    parts.append(part)
                    total += len(part)
                    check_limit(total, limits.file_bytes, "bytes in an archive")
                    if total > max(RATIO_FROM, RATIO * len(content)):
                        raise TooLarge(
                            f"the archive holds more than {RATIO} times its size; unpack it and give a folder"
                        )
                if not parts:
                    skipped(entry.filename, start)
                else:
                    files.append(RawFile(f"{name}/{entry.filename}", b"".join(parts)))
    except InputError:
        raise
    except (NotImplementedError, RuntimeError) as error:
        raise UnsupportedFormat("the archive is packed in a way that is not read; make it anew as a zip") from error
    # zipfile meets damage with these.
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, LookupError, ValueError) as error:
        raise BrokenFile(_DAMAGED, source=name) from error
    return files


def _check(entry: zipfile.ZipInfo, name: str) -> None:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or re.match("[A-Za-z]:", entry.filename):
        raise BrokenFile("the archive holds a name that leads out of it; make it again from the scans", source=name)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BrokenFile("the archive holds a link or a device; make it again from the scans alone", source=name)
    if entry.flag_bits & ENCRYPTED:
        raise UnsupportedFormat("the archive is encrypted; unpack it and give the folder", source=name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnsupportedFormat("the archive is packed in a way that is not read; make it anew as a zip", source=name)


def _is_scan(start: bytes, wanted: Callable[[bytes], bool]) -> bool:
    if is_zip(start):
        raise UnsupportedFormat("the archive holds another archive; unpack that and give the folder")
    return bool(start) and wanted(start)


def _blocks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(entry) as file:
        while part := file.read(BLOCK):
            yield part


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
