"""From files, or bytes, to a Scan or a truth mask."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, NothingFound, PairMismatch
from core.io.find import find_scans
from core.io.formats import format_of
from core.io.gather import Gathered, gather
from core.io.interface import Decoded, Described, RawFile, naming
from core.io.jpeg_header import is_jpeg
from core.io.limits import ReadLimits, check_limit
from core.io.names import some_of, stem_of
from core.io.series import MOST_LISTED
from core.scan import Note, Scan, ScanSource
from core.sequence import sequence_of_names

DEFAULT_LIMITS = ReadLimits()
SAME_PLACE = 0.5
"""Part of the smallest spacing by which the corners of a mask may lie off those of its image."""


def read_scan(source: str | Path | ScanSource, limits: ReadLimits = DEFAULT_LIMITS, series: str | None = None) -> Scan:
    """Read one case.

    Args:
        source: a file, a folder that holds one case, or what `find_scans` found.
        limits: checked before memory is taken.
        series: which series or volume to take where there are several, by the key that the error lists.

    Returns:
        The scan, its values as the files hold them.

    Raises:
        NothingFound: there is no such file.
        AmbiguousSeries: there are several series; its `choices` say which.
        InputError: it cannot be read; the message says why.
    """
    if not isinstance(source, ScanSource):
        source = source_of(Path(source))
    return _scan(source.name, source.paths, load_files(source.paths, limits), limits, source.notes, series)


def read_scan_bytes(content: bytes, name: str, limits: ReadLimits = DEFAULT_LIMITS, series: str | None = None) -> Scan:
    """Read one file that lies in memory, an upload for instance.

    Args:
        content: the whole file.
        name: of the case; it stands in the scan and in no message.
        limits: checked before memory is taken.
        series: which series or volume to take where there are several, by the key that the error lists.

    Raises:
        AmbiguousSeries: there are several series; its `choices` say which.
        InputError: it cannot be read; the message says why.
    """
    check_limit(len(content), limits.file_bytes, "bytes")
    return _scan(name, (), [RawFile(name, content)], limits, (), series)


def read_mask(source: ScanSource, limits: ReadLimits = DEFAULT_LIMITS, series: str | None = None) -> NDArray[np.bool_]:
    """Read the ground truth of a case.

    Args:
        source: what `find_scans` found.
        limits: checked before memory is taken.
        series: which series or volume of the image was taken.

    Returns:
        (slices, height, width) bool on the scan's grid, its slices in the scan's order: values above 0, in a JPEG above
        127; in any channel.

    Raises:
        PairMismatch: a file has no mask, or one of another size or place in space.
        InputError: a mask, or the header of its image, cannot be read.
    """
    missing = sum(path is None for path in source.mask_paths)
    masks = [path for path in source.mask_paths if path is not None]
    if missing or len(masks) != len(source.paths):
        raise PairMismatch(f"{len(source.paths) - len(masks)} of {len(source.paths)} images have no mask; add them")
    gathered = gather(load_files(source.paths, limits), limits)
    with naming(source.name):
        whole = gathered.form.describe(gathered.files, limits, series)
    slices = _slices_by_owner(gathered, whole)
    files: dict[int, list[RawFile]] = {}
    for file, owner in zip(gathered.files, gathered.owners, strict=True):
        files.setdefault(owner, []).append(file)
    parts = []
    # A format may sort the images and leave some of them out; their masks go with them.
    for owner, mask in zip(slices, load_files([masks[owner] for owner in slices], limits), strict=True):
        with naming(files[owner][0].name):
            image = whole if len(slices) == 1 else gathered.form.describe(files[owner], limits)
        with naming(mask.name):
            form = format_of(mask.content)
            _check_pair(image, slices[owner], form.describe([mask], limits))
            # JPEG smears the edge of a mask over all values, so only there the middle decides.
            limit = 127 if is_jpeg(mask.content) else 0
            parts.append((form.read([mask], limits).voxels > limit).any(axis=1))
    return np.concatenate(parts)


def missing_masks(source: ScanSource) -> tuple[Path, ...]:
    """The files of a case that have no ground truth."""
    masks = source.mask_paths or (None,) * len(source.paths)
    return tuple(path for path, mask in zip(source.paths, masks, strict=True) if mask is None)


def _check_pair(image: Described, slices: int, mask: Described) -> None:
    """Hold a mask against its image, of which the scan took that many slices."""
    size, expected = mask.size, image.size
    if (size.slices, size.height, size.width) != (slices, expected.height, expected.width):
        raise PairMismatch(
            f"the mask is {size.slices} × {size.height} × {size.width} and its image {slices} × "
            f"{expected.height} × {expected.width} (slices × height × width); they must be equal"
        )
    check_place(image.affine, mask.affine, (size.slices, size.height, size.width))


def check_place(
    image: NDArray[np.float64] | None, mask: NDArray[np.float64] | None, shape: tuple[int, int, int]
) -> None:
    """Hold the place of a mask against that of its image, both (slices, height, width), where both are known.

    Raises:
        PairMismatch: a corner lies farther off than half of the smallest spacing.
    """
    if image is None or mask is None:
        return
    slices, height, width = shape
    corners = np.array([(c, r, s, 1.0) for c in (0, width) for r in (0, height) for s in (0, slices)])
    apart = np.linalg.norm(corners @ (image - mask).T, axis=1).max()
    if apart > SAME_PLACE * np.linalg.norm(image[:3, :3], axis=0).min():
        raise PairMismatch("the mask lies elsewhere in space than its image; bring it onto the image's grid")


def source_of(path: Path) -> ScanSource:
    """A file, or the one case in a folder.

    Raises:
        InputError: the folder holds several cases, or none.
    """
    if not path.is_dir():
        return ScanSource(stem_of(path.name), (path,))
    found = find_scans(path)
    if len(found) > 1:
        names = some_of([source.name for source in found], MOST_LISTED)
        raise InputError(f"the folder holds {len(found)} cases; name one of them: {names}", source=str(path))
    return found[0]


def _scan(
    name: str,
    paths: Sequence[Path],
    files: Sequence[RawFile],
    limits: ReadLimits,
    notes: tuple[Note, ...],
    series: str | None,
) -> Scan:
    if not files:
        raise NothingFound("the case has no files", source=name)
    gathered = gather(files, limits)
    with naming(name):
        decoded = gathered.form.read(gathered.files, limits, series)
    slices = _slices_by_owner(gathered, decoded)
    digest = hashlib.sha256()
    for owner in slices:
        digest.update(files[owner].content)
    return Scan(
        name=name,
        voxels=decoded.voxels,
        spacing_mm=decoded.spacing_mm,
        affine=decoded.affine,
        slice_positions_mm=decoded.slice_positions_mm,
        channels=decoded.channels,
        sequence=sequence_of(decoded, [str(path) for path in paths] or [name]),
        slice_names=_slice_names(decoded),
        paths=tuple(paths[owner] for owner in slices) if paths else (),
        slices_per_path=tuple(slices.values()) if paths else (),
        sha256=digest.hexdigest(),
        notes=tuple(dict.fromkeys((*notes, *gathered.notes, *decoded.notes))),
        format=gathered.form.NAME,
        header=decoded.header,
    )


def sequence_of(found: Decoded | Described, given: Sequence[str]) -> str | None:
    """What a case seems to be by its tags, or else by the names of its files, which may lie in an archive.

    Args:
        found: what was read.
        given: names of the files that were given.
    """
    return found.sequence or sequence_of_names([file.name for file in found.files]) or sequence_of_names(given)


def _slices_by_owner(gathered: Gathered, found: Decoded | Described) -> dict[int, int]:
    """How many slices each given file gave, in the order of its first; those in an archive are the archive's."""
    owner_of = {id(file): owner for file, owner in zip(gathered.files, gathered.owners, strict=True)}
    slices: dict[int, int] = {}
    for file, count in zip(found.files, found.slices_per_file, strict=True):
        owner = owner_of[id(file)]
        slices[owner] = slices.get(owner, 0) + count
    return slices


def load_files(paths: Sequence[Path], limits: ReadLimits) -> list[RawFile]:
    """The bytes of files, within the limit of the case as a whole.

    Raises:
        NothingFound: there is no such file.
        InputError: one cannot be opened.
        TooLarge: they are beyond the limit.
    """
    files, total = [], 0
    for path in paths:
        with naming(str(path)):
            try:
                if path.is_dir():
                    raise InputError("the folder cannot be read as a scan; check its permissions, or name a file in it")
                if not path.is_file():
                    raise NothingFound("there is no such file; check the path")
                # Asked before it is read; and read no further than that, for the file may be growing.
                with path.open("rb") as file:
                    total += path.stat().st_size
                    check_limit(total, limits.file_bytes, "bytes")
                    content = file.read(limits.file_bytes + 1)
            except OSError as error:
                reason = error.strerror or "the disk does not answer"
                raise InputError(f"the file cannot be opened ({reason}); check it and its permissions") from error
            check_limit(len(content), limits.file_bytes, "bytes")
            files.append(RawFile(str(path), content))
    return files


def _slice_names(decoded: Decoded) -> tuple[str, ...]:
    names = []
    for file, count in zip(decoded.files, decoded.slices_per_file, strict=True):
        stem = stem_of(Path(file.name).name)
        names += [stem] if count == 1 else [f"{stem}_{frame}" for frame in range(1, count + 1)]
    return tuple(names)
