"""Finds slices that occur under two patients' names, by what they show and not by what they are called.

Each slice leaves two prints of 48 × 48: of the whole picture, which bears changes of brightness, and of the part that
holds the head, which bears other margins. Both are freed from slow changes of brightness and evened in contrast, so
that what counts is fine structure, which no two people share. Renamed, re-saved, resized and re-windowed copies are
found, also when they are mirrored or turned by quarters; so is a single copied slice. Not found is a copy that was
turned by a few degrees (of 375 slices of the LGG set, 93 % are found after 2 degrees, 29 % after 3, 4 % after 5) or
cut along another axis. Another scan of the same patient is another picture, and is not found either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ChannelNeeded, InputError
from core.evaluation.patients import Case
from core.io import read_scan
from core.preprocess.channels import select_channels
from core.scan import Scan

SIDE = 48
ALIKE = 0.9
"""Correlation from which two prints are of one slice. Between the 88 patients of the LGG set it reaches 0.82 as they
are, 0.82 when one of the two is mirrored, and 0.68 when it is turned by a quarter. A head is nearly its own mirror
image: one patient's slices reach 0.93 so, but are never held against each other. A JPEG copy of quality 90 keeps 0.94
for 99 of 100 slices, a lossless one 1."""

LEAST_CONTENT = 0.03
LEAST_SIDE = 8
ROWS_AT_ONCE = 1024

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SlicePrints:
    """A case's prints; slices without content leave none.

    Attributes:
        patient: whose it is.
        case: its name.
        slices: (n,) index of each print's slice.
        prints: (2, 4, n, SIDE²/4) float16: of the whole picture, of its content; each print has unit length and is kept
            in four parts, see `_fold`.
    """

    patient: str
    case: str
    slices: NDArray[np.int64]
    prints: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class SharedSlices:
    """Two cases of different patients with slices in common.

    Attributes:
        patients: the two.
        cases: theirs, in the same order.
        slices: the pair that is most alike, counted from 1.
        count: slices of the first case that the second has too.
        likeness: correlation of that pair's prints.
        turned: they are alike only when one of them is mirrored or turned by quarters.
    """

    patients: tuple[str, str]
    cases: tuple[str, str]
    slices: tuple[int, int]
    count: int
    likeness: float
    turned: bool


def print_slices(scan: Scan, patient: str) -> SlicePrints:
    """The prints of a scan: of FLAIR where three channels tell it, else of the only channel or the mean of all."""
    try:
        voxels = select_channels(scan, ("flair",))[0][:, 0]
    except ChannelNeeded:
        voxels = scan.voxels.mean(axis=1, dtype=np.float32)
    kept, prints = [], []
    for index, picture in enumerate(voxels):
        pair = _print(picture)
        if pair is not None:
            kept.append(index)
            prints.append(pair)
    stacked = np.stack(prints, axis=2) if prints else np.zeros((2, 4, 0, SIDE * SIDE // 4))
    return SlicePrints(patient, scan.name, np.asarray(kept, np.int64), stacked.astype(np.float16))


def find_shared(some: Sequence[SlicePrints], others: Sequence[SlicePrints] | None = None) -> tuple[SharedSlices, ...]:
    """Pairs of cases of different patients that share slices, the most alike first.

    Args:
        some: cases.
        others: what to hold them against; None holds them against each other.
    """
    right = some if others is None else others
    lengths = np.array([len(one.slices) for one in right], np.int64)
    blocks = np.cumsum(lengths) // ROWS_AT_ONCE  # of whole cases
    found = []
    for block in np.unique(blocks):
        numbers = np.flatnonzero(blocks == block).tolist()
        owners = np.repeat(numbers, lengths[numbers])
        held = np.concatenate([right[number].prints for number in numbers], axis=2).astype(np.float32)
        for index, one in enumerate(some):
            # Among themselves, each pair is met once.
            start = np.searchsorted(owners, index, side="right") if others is None else 0
            likeness = _compare(one.prints.astype(np.float32), held[:, :, start:])
            for number in np.unique(owners[start:][(likeness >= ALIKE).any(axis=0)]).tolist():
                if right[number].patient != one.patient:
                    found.append(_describe(one, right[number], likeness[:, owners[start:] == number]))
    return tuple(sorted(found, key=lambda pair: -pair.likeness))


def refuse_shared(some: Sequence[SlicePrints], others: Sequence[SlicePrints] | None = None) -> None:
    """Raise where `find_shared` finds something.

    Raises:
        InputError: two patients share slices; its source names the two cases.
    """
    shared = find_shared(some, others)
    if not shared:
        return
    worst = max(shared, key=lambda pair: (pair.count, pair.likeness))
    more = f", and {len(shared) - 1} more pairs of cases do so" if len(shared) > 1 else ""
    one, other = worst.slices
    turned = ", mirrored or turned" if worst.turned else ""
    raise InputError(
        f"two patients share images ({worst.count} alike; slice {one} of the first is slice {other} of the second"
        f"{turned}){more}; give them one patient's name with --patients, or take the copy out",
        source=f"{worst.cases[0]} and {worst.cases[1]}",
    )


def read_prints(
    cases: Iterable[Case], progress: Callable[[int, int], None] | None = None, *, skip_broken: bool = False
) -> tuple[SlicePrints, ...]:
    """Read cases and give their prints.

    Args:
        cases: to read.
        progress: called with (cases done, cases).
        skip_broken: pass over cases that cannot be read.

    Raises:
        InputError: a case cannot be read.
    """
    waiting, prints = tuple(cases), []
    for done, case in enumerate(waiting, start=1):
        with suppress(*(InputError,) * skip_broken):
            prints.append(print_slices(read_scan(case.source), case.patient))
        if progress:
            progress(done, len(waiting))
    return tuple(prints)


def _compare(some: Floats, others: Floats) -> Floats:
    """Likeness of slices in whichever of the square's eight symmetries it is highest.

    Args:
        some: (2, 4, n, SIDE²/4) prints.
        others: (2, 4, m, SIDE²/4) prints.

    Returns:
        (n, m), the higher one of both prints.
    """
    half = SIDE // 2
    transposed = some.reshape(2, 4, -1, half, half).swapaxes(-1, -2)[:, [0, 2, 1, 3]].reshape(some.shape)
    best = np.full((some.shape[2], others.shape[2]), -1, np.float32)
    for prints in (some, transposed):
        even, rows, columns, both = (prints @ others.swapaxes(-1, -2)).swapaxes(0, 1)  # (2, n, m) each
        # Upside down, rows and both change their signs; left for right, columns and both do.
        likeness = np.maximum(even + rows + np.abs(columns + both), even - rows + np.abs(columns - both))
        best = np.maximum(best, likeness.max(axis=0))
    return best


def _describe(one: SlicePrints, other: SlicePrints, likeness: Floats) -> SharedSlices:
    """What two cases share, by the likeness (n, m) of their slices."""
    row, column = (int(value) for value in np.unravel_index(int(likeness.argmax()), likeness.shape))
    as_they_are = (one.prints[:, :, row].astype(np.float32) * other.prints[:, :, column]).sum(axis=(1, 2)).max()
    return SharedSlices(
        (one.patient, other.patient),
        (one.case, other.case),
        (int(one.slices[row]) + 1, int(other.slices[column]) + 1),
        int((likeness >= ALIKE).any(axis=1).sum()),
        min(float(likeness.max()), 1.0),
        bool(as_they_are < ALIKE),
    )


def _print(picture: NDArray[Any]) -> Floats | None:
    """(2, 4, SIDE²/4) of a picture (H, W), or None where it shows nothing."""
    import cv2

    values = np.nan_to_num(picture.astype(np.float32), posinf=0.0, neginf=0.0)
    smooth = cv2.GaussianBlur(values, (0, 0), max(1.0, max(values.shape) / 128))
    low, high = np.percentile(smooth, (1, 99))
    # Of 8 bit, four grey levels are noise; of other values, nobody knows the scale.
    if high - low < (4.0 if picture.dtype == np.uint8 else 1e-6 * max(abs(float(high)), 1.0)):
        return None
    content = smooth > low + 0.15 * (high - low)
    rows = np.flatnonzero(content.mean(axis=1) > 0.02)
    columns = np.flatnonzero(content.mean(axis=0) > 0.02)
    if len(rows) < LEAST_SIDE or len(columns) < LEAST_SIDE or content.mean() < LEAST_CONTENT:
        return None
    whole = _structure(values)
    part = _structure(values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return None if whole is None or part is None else np.stack((whole, part))


def _structure(values: Floats) -> Floats | None:
    """A picture's fine structure on a grid of SIDE × SIDE, folded, of unit length."""
    import cv2

    small = cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    fine = small - cv2.GaussianBlur(small, (0, 0), 2)
    spread = float(fine.std())
    if spread <= 1e-6 * max(float(np.abs(small).max()), 1e-30):
        return None
    strength = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 3))
    even = fine / (strength + 0.25 * spread)
    even -= even.mean()
    return _fold(np.asarray(even / np.linalg.norm(even), np.float32))


def _fold(square: Floats) -> Floats:
    """Sums and differences of what lies opposite in a square, so that mirroring it changes no more than signs.

    Returns:
        (4, SIDE²/4): what is even, odd in the rows' direction, odd in the columns', odd in both. The products of two
        squares' parts add up to the squares' own.
    """
    half = SIDE // 2
    near, far = square[:half], square[: half - 1 : -1]
    folded = np.stack((near + far, near - far))
    near, far = folded[..., :half], folded[..., : half - 1 : -1]
    return np.concatenate((near + far, near - far)).reshape(4, -1) * np.float32(0.5)
