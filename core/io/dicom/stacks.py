"""Groups pictures into series, and series into stacks: slices of one size and direction that form one volume."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import AmbiguousSeries, MixedOrientations, MixedPatients, MixedSizes, SeriesChoice
from core.io.dicom.frames import Frame
from core.io.dicom.geometry import SAME_PLACE_MM, directions, in_plane
from core.io.dicom.instance import Instance
from core.io.names import natural_key
from core.io.series import choose
from core.sequence import sequence_of_tags

SAME_DIRECTION = 2e-3
"""How far components of two directions may differ; scanners write the same one with as few as four digits."""
SAME_SPACING = 0.01
"""Part by which two spacings may differ."""
NUMBER = re.compile(r"-?\d{1,12}(\.\d*)?")
T = TypeVar("T")
_PLANES = ("sagittal", "coronal", "axial")


class Slice(NamedTuple):
    """One picture of one file."""

    instance: Instance
    frame: Frame


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices that belong together, not yet in order.

    Attributes:
        series: UID of their series.
        slices: one or more.
        shape: (samples, rows, columns) of each.
        direction: a number for each direction that occurs in the series among slices of this size, from 0.
    """

    series: str
    slices: tuple[Slice, ...]
    shape: tuple[int, int, int]
    direction: int

    @property
    def sequence(self) -> str | None:
        """What the first of them seems to be."""
        return sequence_of_tags(self.slices[0].instance.describing)

    def describe(self) -> str:
        """What it is, without any text of the files."""
        first = self.slices[0]
        axes = directions(first.frame)
        plane = "" if axes is None else f"{_PLANES[int(np.argmax(np.abs(axes[2])))]} "
        _, rows, columns = self.shape
        count = len(self.slices)
        told = f"{self.sequence or 'unknown sequence'}, {count} {plane}slice{'s' * (count > 1)} of {columns}×{rows}"
        echo = first.instance.describing.get("EchoTime")
        return told + (f", echo time {echo:g} ms" if echo is not None else "")


def stacks_of(instances: Sequence[Instance]) -> tuple[Stack, ...]:
    """All stacks, in an order that does not depend on that of the files.

    A series is one stack, unless its pictures are of several people, or differ in size, in direction, or in what tells
    repeated pictures of one place apart (echo, time, weighting).
    """
    groups = [part for group in _grouped(instances, lambda one: one.series).values() for part in _of_people(group)]
    found: list[Stack] = []
    for group in sorted(groups, key=_place):
        slices = [Slice(instance, frame) for instance in group for frame in instance.frames]
        found += _stacks_of_series(sorted(slices, key=_number))
    return tuple(found)


def _of_people(series: list[Instance]) -> list[list[Instance]]:
    """A series taken apart where its files name several people; those that name nobody are then nobody's."""
    if len({instance.person for instance in series} - {""}) < 2:
        return [series]
    return list(_grouped(series, lambda instance: instance.person).values())


def _place(group: Sequence[Instance]) -> tuple[Any, ...]:
    return min(one.series_number for one in group), group[0].series, max(one.person for one in group)


def choose_stack(stacks: Sequence[Stack], wanted: str | None) -> Stack:
    """The stack that was asked for, by its number from 1 or by its series' UID; or the only one.

    Raises:
        MixedPatients, MixedSizes, MixedOrientations: there is one series, or one was chosen, whose pictures differ so.
        AmbiguousSeries: there are several, and none of them, or one that is not there, was chosen.
    """
    found = list(zip(_choices(stacks), stacks, strict=True))
    of_series = [entry for entry in found if entry[1].series and entry[1].series == wanted]
    if len(of_series) == 1:
        return of_series[0][1]
    try:
        return choose(found, wanted)
    except AmbiguousSeries as error:
        if of_series:
            found, wanted = of_series, None
        if wanted is not None or len({stack.series for _, stack in found}) > 1:
            raise
        parts = [stack for _, stack in found]
        if len({entry.instance.person for stack in parts for entry in stack.slices} - {""}) > 1:
            raise MixedPatients(
                f"the pictures of one series are of several patients: {error.detail}", error.choices
            ) from error
        if len({stack.shape for stack in parts}) > 1:
            raise MixedSizes(f"the pictures of one series differ in size: {error.detail}", error.choices) from error
        if len({stack.direction for stack in parts}) > 1:
            raise MixedOrientations(
                f"the pictures of one series differ in direction: {error.detail}", error.choices
            ) from error
        raise


def _choices(stacks: Sequence[Stack]) -> Iterator[SeriesChoice]:
    """What there is to choose from; stacks that are described alike are counted."""
    told = [stack.describe() for stack in stacks]
    for index, text in enumerate(told):
        alike, place = told.count(text), told[: index + 1].count(text)
        yield SeriesChoice(str(index + 1), text + (f", number {place} of {alike} like it" if alike > 1 else ""))


def _number(entry: Slice) -> tuple[Any, ...]:
    """Slices whose place is unknown stay in this order; those without a number in the order of their names."""
    number, name = entry.instance.number, entry.instance.file.name
    # By the last part first: a browser's upload may lie in a folder of its own.
    by_name = natural_key(name.replace("\\", "/").rpartition("/")[2]), natural_key(name)
    return (number is None, number or 0, *by_name, entry.frame.number)


def _stacks_of_series(slices: Sequence[Slice]) -> list[Stack]:
    found = []
    for shape, same_size in _grouped(slices, _shape).items():
        for direction, numbers in enumerate(_directions([entry.frame for entry in same_size])):
            for part in _apart([same_size[number] for number in numbers]):
                found.append(Stack(part[0].instance.series, tuple(part), shape, direction))
    return found


def _shape(entry: Slice) -> tuple[int, int, int]:
    return entry.instance.samples, entry.instance.rows, entry.instance.columns


def _grouped(slices: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    groups: dict[Any, list[T]] = {}
    for entry in slices:
        groups.setdefault(key(entry), []).append(entry)
    return dict(sorted(groups.items(), key=lambda group: group[0]))


def _directions(frames: Sequence[Frame]) -> list[list[int]]:
    """Indices of frames that share direction and spacing; all in one group where any does not tell them."""
    tolerance = np.array([SAME_DIRECTION] * 6 + [SAME_SPACING] * 2)
    told = [_telling(frame) for frame in frames]
    kept = [value for value in told if value is not None]
    if len(kept) < len(told):
        return [list(range(len(frames)))]
    values = np.array(kept)  # (N, 8)
    left = np.ones(len(values), bool)
    groups = []
    while left.any():
        first = values[np.argmax(left)]
        alike = left & (np.abs(values - first) <= tolerance).all(axis=1)
        groups.append([int(index) for index in np.flatnonzero(alike)])
        left &= ~alike
    return sorted(groups, key=lambda group: [*(-len(group),), *np.round(values[group[0]], 2)])


def _telling(frame: Frame) -> NDArray[np.float64] | None:
    axes, steps = directions(frame), in_plane(frame)
    if axes is None or steps is None:
        return None
    return np.concatenate([axes[0], axes[1], np.log(steps)])


def _apart(slices: list[Slice]) -> list[list[Slice]]:
    """Slices that lie at places of their own, parted by whatever tells those at one place apart.

    Copies of a slice are no reason to part: what tells them apart must leave each part most of the places.
    """
    places = _place_numbers(slices)
    everywhere = len(set(places))
    for trait in range(len(slices[0].frame.traits)):
        if everywhere == len(slices):
            break
        parts: dict[Any, list[int]] = {}
        for index, entry in enumerate(slices):
            parts.setdefault(_sortable(entry.frame.traits[trait]), []).append(index)
        covered = [len({places[index] for index in part}) for part in parts.values()]
        if len(parts) > 1 and 2 * min(covered) > everywhere:
            return [deeper for key in sorted(parts) for deeper in _apart([slices[index] for index in parts[key]])]
    return [slices]


def _place_numbers(slices: Sequence[Slice]) -> list[int]:
    """For each slice the number of the place where it lies; those of unknown place lie at their own."""
    axes = directions(slices[0].frame)
    if axes is None or any(entry.frame.position is None for entry in slices):
        return list(range(len(slices)))
    heights = np.array([entry.frame.position for entry in slices]) @ axes[2]
    order = np.argsort(heights, kind="stable")
    numbers = np.zeros(len(slices), int)
    numbers[order[1:]] = np.cumsum(np.diff(heights[order]) > SAME_PLACE_MM)
    return [int(number) for number in numbers]


def _sortable(trait: tuple[str, ...]) -> tuple[Any, ...]:
    """A trait whose numbers sort as such."""
    return tuple((float(word), "") if NUMBER.fullmatch(word) else (0.0, word) for word in trait)
