"""From the files of a case to the voxels of one of its series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DifferingDuplicates, UnsupportedFormat
from core.io.dicom.decoder import Decoder
from core.io.dicom.frames import Mapping
from core.io.dicom.geometry import Placement, place
from core.io.dicom.header import DicomHeader, SourceSlice
from core.io.dicom.instance import NATIVE, Instance, read_instance
from core.io.dicom.pixels import decode, mapped, mappings, value_type
from core.io.dicom.stacks import Slice, Stack, choose_stack, stacks_of
from core.io.interface import Decoded, Described, RawFile, naming
from core.io.limits import ReadLimits, Size, check_size
from core.scan import Note

NO_PICTURE = "the DICOM file holds no picture (a report, a directory, a document or a segmentation); give the images"
COLOURS = ("red", "green", "blue")
DUPLICATES = Note("equal-duplicates", "some slices were there twice, and equal; each was taken once")
INVERTED = Note("inverted", "the file stores white as zero; it was inverted, so that bright is bright")
PASSED_OVER = Note("no-pictures", "some DICOM files hold no picture (a report or a segmentation); they were left out")


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A stack in order, before any pixel was decoded; `placed.order` tells which of its slices lie where."""

    stack: Stack
    placed: Placement
    size: Size
    dtype: np.dtype[Any]
    notes: tuple[Note, ...]

    @property
    def kept(self) -> list[Slice]:
        """One slice for each place, in order."""
        return [self.stack.slices[entry[0]] for entry in self.placed.order]

    @property
    def slices_of(self) -> Counter[Instance]:
        """How many of them each file gave, in the order of its first."""
        return Counter(entry.instance for entry in self.kept)


def read_volume(files: Sequence[RawFile], limits: ReadLimits, series: str | None) -> Decoded:
    """Decode one stack of slices.

    Raises:
        AmbiguousSeries: there are several, and none of them was chosen.
        DifferingDuplicates: two slices at one place are not equal.
        InputError: a file is damaged, of a kind that is not read, or beyond a limit.
    """
    plan = _plan(files, limits, series)
    voxels = np.empty((plan.size.slices, plan.size.channels, plan.size.height, plan.size.width), plan.dtype)
    _fill(voxels, plan)
    first = plan.kept[0].frame
    known = plan.placed.affine is not None
    return Decoded(
        voxels=voxels,
        files=tuple(instance.file for instance in plan.slices_of),
        slices_per_file=tuple(plan.slices_of.values()),
        spacing_mm=plan.placed.spacing_mm,
        affine=plan.placed.affine,
        slice_positions_mm=plan.placed.slice_positions_mm,
        channels=COLOURS if plan.size.channels == len(COLOURS) else (),
        sequence=plan.stack.sequence,
        notes=plan.notes,
        header=DicomHeader(
            plan.kept[0].instance.header,
            tuple(
                SourceSlice(
                    entry.instance.sop_class,
                    entry.instance.sop,
                    entry.frame.number + 1 if len(entry.instance.frames) > 1 else None,
                    entry.frame.position,
                )
                for entry in plan.kept
            ),
            first.orientation if known else None,
            first.spacing,
            first.thickness,
        ),
    )


def describe_volume(files: Sequence[RawFile], limits: ReadLimits, series: str | None) -> Described:
    """What `read_volume` would give, from headers alone; whether duplicates are equal, it does not look."""
    plan = _plan(files, limits, series)
    first = plan.stack.slices[0].instance
    return Described(
        size=plan.size,
        dtype=plan.dtype.name,
        files=tuple(instance.file for instance in plan.slices_of),
        slices_per_file=tuple(plan.slices_of.values()),
        spacing_mm=plan.placed.spacing_mm,
        affine=plan.placed.affine,
        slice_positions_mm=plan.placed.slice_positions_mm,
        channels=COLOURS if plan.size.channels == len(COLOURS) else (),
        sequence=plan.stack.sequence,
        notes=plan.notes,
        facts=(
            ("series", plan.stack.describe()),
            ("files", f"{len({entry.instance for entry in plan.stack.slices})}"),
            ("pixels", f"{first.stored} bits, {_compression(first)}"),
        ),
    )


def _plan(files: Sequence[RawFile], limits: ReadLimits, series: str | None) -> _Plan:
    found = [read_instance(file, limits) for file in files]
    instances = [instance for instance in found if instance is not None]
    if not instances:
        raise UnsupportedFormat(NO_PICTURE)
    stack = choose_stack(stacks_of(instances), series)
    placed = place([entry.frame for entry in stack.slices])
    if placed.affine is None:
        placed = replace(placed, order=_by_instance(stack.slices))
    channels, height, width = stack.shape
    size = Size(len(placed.order), channels, height, width)
    check_size(size, limits)
    values = mappings([entry.frame for entry in stack.slices])
    dtype = value_type([(entry.instance, value) for entry, value in zip(stack.slices, values, strict=True)])
    notes = [*placed.notes]
    if any(len(entry) > 1 for entry in placed.order):
        notes.append(DUPLICATES)
    if channels == 1 and any(entry.instance.inverted for entry in stack.slices):
        notes.append(INVERTED)
    if len(instances) < len(found):
        notes.append(PASSED_OVER)
    return _Plan(stack, placed, size, dtype, tuple(notes))


def _fill(voxels: NDArray[Any], plan: _Plan) -> None:
    """Decode file by file into place; what lies where another slice does is then held against it."""
    slices = plan.stack.slices
    values = mappings([entry.frame for entry in slices])
    firsts = {slices[entry[0]]: (index, values[entry[0]]) for index, entry in enumerate(plan.placed.order)}
    others = {
        slices[copy]: (index, values[copy]) for index, entry in enumerate(plan.placed.order) for copy in entry[1:]
    }
    with Decoder() as decoder:
        for _, frame, (index, mapping) in _decoded(firsts, decoder):
            voxels[index] = mapped(frame, mapping, plan.dtype)
        for instance, frame, (index, mapping) in _decoded(others, decoder):
            if not np.array_equal(voxels[index], mapped(frame, mapping, plan.dtype)):
                raise DifferingDuplicates(
                    "two slices lie at one place and are not equal; keep the right one of them",
                    source=instance.file.name,
                )


def _decoded(
    targets: dict[Slice, tuple[int, Mapping]], decoder: Decoder
) -> Iterator[tuple[Instance, NDArray[Any], tuple[int, Mapping]]]:
    """Each target's file, its stored values (samples, rows, columns), and what the target says of them."""
    for instance in dict.fromkeys(entry.instance for entry in targets):
        with naming(instance.file.name):
            for frame, values in zip(instance.frames, decode(instance, decoder), strict=True):
                if (target := targets.get(Slice(instance, frame))) is not None:
                    yield instance, values, target


def _by_instance(slices: Sequence[Slice]) -> tuple[tuple[int, ...], ...]:
    """Indices in the order given; pictures that bear one UID together, for they are copies."""
    found: dict[object, list[int]] = {}
    for index, entry in enumerate(slices):
        key = (entry.instance.sop, entry.frame.number) if entry.instance.sop else index
        found.setdefault(key, []).append(index)
    return tuple(tuple(entry) for entry in found.values())


def _compression(instance: Instance) -> str:
    return "uncompressed" if instance.syntax in NATIVE else "compressed"
