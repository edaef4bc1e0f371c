"""Segmentations kept on the disk, found again by what was segmented and how, and the masks that follow from them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.atomic import write_atomic
from core.errors import OutputError
from core.measure.lesions import lesions_in
from core.model_card import ModelCard
from core.preprocess.channels import CHANNEL_NOTES, select_channels
from core.scan import NO_NEIGHBOURS, Lesion, Note, Scan
from core.views import Box, first_view

KEEP_BYTES = 4 << 30
LARGEST_FILE = 2 << 30
PackedMask = tuple[bytes, tuple[int, int, int]]
"""What `pack_mask` made of a mask, and the mask's shape."""
UNSURE = 0.25
"""A voxel whose probability is nearer to the threshold than this counts as uncertain."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A model's answer to a case, before any threshold.

    Attributes:
        probability: (S, H, W) float32 in [0, 1].
        warnings: what the model's way to it noticed.
        manifest: how it was made.
    """

    probability: NDArray[np.float32]
    warnings: tuple[Note, ...]
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A result at a threshold.

    Attributes:
        mask: (S, H, W) bool.
        lesions: its components, the largest first.
        mask_sha256: `mask_hash` of it.
        summary: for the list of cases.
    """

    mask: NDArray[np.bool_]
    lesions: tuple[Lesion, ...]
    mask_sha256: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of cases says of a finding.

    Attributes:
        mask: its hash.
        lesions: how many.
        voxels: of all lesions.
        uncertainty: uncertain voxels for each lesion voxel.
        best_slice: of the first view, the one with most lesion; the middle one where there is none.
        warnings: codes of what the model noticed, joined by a space; "" also where an older metseg found it.
    """

    mask: str
    lesions: int
    voxels: int
    uncertainty: float
    best_slice: int
    warnings: str = ""


def image_id(scan: Scan, series: str | None) -> str:
    """What verdicts and results of a scan are bound to: its files' content, and which series of theirs was taken."""
    return scan.sha256 if series is None else hashlib.sha256(f"{scan.sha256} {series}".encode()).hexdigest()


def result_key(
    image: str, card: ModelCard, channel: int | str | None, precision: str, notes: Iterable[Note] = ()
) -> str:
    """The name under which a result is kept: a digest of all that it depends on besides the threshold.

    Args:
        image: see `image_id`.
        card: the model.
        channel: which one it was given, where somebody chose.
        precision: with which it was asked.
        notes: of the source; only they know of slices that are missing between its files.
    """
    parts = [
        image,
        card.weights.sha256,
        asdict(card.network),
        asdict(card.preprocessing),
        card.neighbours,
        card.temperature,
        channel,
        precision,
    ]
    if any(note.code in NO_NEIGHBOURS for note in notes):
        parts.append("without neighbours")
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def save_result(folder: Path, key: str, result: Result) -> None:
    """Keep a result.

    Raises:
        OutputError: the disk is full, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("the folder for results cannot be made; check the disk", source=str(folder)) from error
    about = {"warnings": [asdict(note) for note in result.warnings], "manifest": dict(result.manifest)}
    content = io.BytesIO()
    np.savez_compressed(
        content,
        probability=np.asarray(result.probability, np.float32),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )
    write_atomic(folder / f"{key}.npz", content.getvalue())


def load_result(folder: Path, key: str) -> Result | None:
    """A kept result; None where there is none, or where it is damaged."""
    path = folder / f"{key}.npz"
    try:
        if path.stat().st_size > LARGEST_FILE:
            return None
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            probability, about = stored["probability"], json.loads(stored["about"].tobytes())
        notes = tuple(Note(**note) for note in about["warnings"])
        manifest = about["manifest"]
    except FileNotFoundError:
        return None
    except Exception:
        # Damage shows itself as anything from zlib's error to a missing entry, and is healed by segmenting again.
        return None
    if probability.ndim != 3 or probability.dtype != np.float32:
        return None
    with contextlib.suppress(OSError):
        path.touch()
    return Result(probability, notes, manifest)


def with_channel_notes(result: Result, scan: Scan, inputs: tuple[str, ...], channel: str | None) -> Result:
    """An answer with what is to be said of this scan's channel: equal images may bear the name of another sequence.

    Args:
        result: as it was kept.
        scan: with the names and tags that it has now.
        inputs: the model's, by name.
        channel: which one it was given, where somebody chose.

    Raises:
        InputError: by these names the model would not be given any channel of this scan.
    """
    said = select_channels(scan, inputs, channel)[1]
    return replace(result, warnings=(*said, *(note for note in result.warnings if note.code not in CHANNEL_NOTES)))


def trim_results(folder: Path, keep_bytes: int = KEEP_BYTES) -> None:
    """Remove what was not looked at for longest, until the rest is small enough."""
    with contextlib.suppress(OSError):
        found = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*.npz")), reverse=True)
        total = 0
        for _, size, path in found:
            total += size
            if total > keep_bytes:
                path.unlink(missing_ok=True)


def find(result: Result, threshold: float, scan: Scan) -> Finding:
    """The mask at a threshold and what is in it, exactly as `metseg segment` gives it."""
    view = first_view(scan)
    above = result.probability >= np.float32(threshold)
    mask, lesions = lesions_in(above, result.probability, scan, view.plane.axes)
    digest, voxels = mask_hash(mask), int(np.count_nonzero(mask))
    unsure = int(np.count_nonzero(np.abs(result.probability - np.float32(threshold)) < UNSURE))
    noticed = " ".join(dict.fromkeys(note.code for note in result.warnings))
    summary = Summary(digest, len(lesions), voxels, unsure / max(voxels, 1), best_slice(view.turn(mask)), noticed)
    return Finding(mask, lesions, digest, summary)


def best_slice(mask: NDArray[np.bool_]) -> int:
    """The slice of (S, H, W) with most lesion; the middle one where there is none."""
    areas = np.count_nonzero(mask, axis=(1, 2))
    return int(areas.argmax()) if areas.any() else len(mask) // 2


def slice_of(box: Box, mask: NDArray[np.bool_]) -> int:
    """The slice in which the lesion in this box of a mask is largest."""
    (first, last), (top, bottom), (left, right) = box
    part = mask[first : last + 1, top : bottom + 1, left : right + 1]
    return first + best_slice(part) if part.any() else first


def mask_hash(mask: NDArray[np.bool_]) -> str:
    """SHA-256 over a mask's shape and its voxels, a bit each."""
    return hashlib.sha256(f"{mask.shape}".encode() + np.packbits(mask).tobytes()).hexdigest()


def pack_mask(mask: NDArray[np.bool_]) -> bytes:
    """A mask as few bytes, for `unpack_mask`."""
    return zlib.compress(np.packbits(mask).tobytes())


def unpack_mask(content: bytes, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """What `pack_mask` packed.

    Raises:
        ValueError: it is damaged.
    """
    try:
        bits = np.frombuffer(zlib.decompress(content), np.uint8)
    except zlib.error as error:
        raise ValueError("the packed mask is damaged") from error
    count = int(np.prod(shape))
    if bits.size != -(-count // 8):
        raise ValueError("the packed mask is of another size")
    return np.unpackbits(bits, count=count).astype(np.bool_).reshape(shape)
