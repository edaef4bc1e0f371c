"""From a file's pixels to stored values: bits as meant, bright as high, and then the values that they stand for.

The rule for values: where every frame of the stack has a linear real-world value mapping, that is applied; otherwise
every frame's rescale slope and intercept. The two are never mixed within a stack, and both apply to stored values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UnsupportedFormat
from core.io.dicom.decoder import Decoder
from core.io.dicom.frames import Frame, Mapping
from core.io.dicom.instance import NATIVE, Instance

IDENTITY: Mapping = (1.0, 0.0)


def decode(instance: Instance, decoder: Decoder) -> Iterator[NDArray[Any]]:
    """The frames of a file, one after the other: (samples, rows, columns), stored values with bright as high."""
    frames = _native(instance) if instance.syntax in NATIVE else decoder.frames(instance)
    for frame in frames:
        yield _inverted(_meant_bits(frame, instance), instance)


def mappings(frames: Sequence[Frame]) -> tuple[Mapping, ...]:
    """For each frame of a stack the slope and intercept that its stored values take."""
    real = [frame.real_world for frame in frames]
    if all(mapping is not None for mapping in real):
        return tuple(mapping for mapping in real if mapping is not None)
    return tuple(frame.rescale for frame in frames)


def value_type(stack: Sequence[tuple[Instance, Mapping]]) -> np.dtype[Any]:
    """The smallest type that holds all values of a stack: integers where nothing but whole numbers come out."""
    if all(mapping == IDENTITY for _, mapping in stack):
        return np.result_type(*(_stored_type(instance) for instance, _ in stack))
    lowest = highest = 0.0
    for instance, (slope, intercept) in stack:
        if slope != int(slope) or intercept != int(intercept):
            return np.dtype(np.float32)
        first = -(2 ** (instance.stored - 1)) if instance.signed else 0
        ends = (first * slope + intercept, (first + 2**instance.stored - 1) * slope + intercept)
        lowest, highest = min(lowest, *ends), max(highest, *ends)
    for name in ("i2", "i4"):
        limits = np.iinfo(name)
        if limits.min <= lowest and highest <= limits.max:
            return np.dtype(name)
    return np.dtype(np.float32)


def mapped(stored: NDArray[Any], mapping: Mapping, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values that stored ones stand for."""
    if mapping == IDENTITY:
        return stored.astype(dtype, copy=False)
    values: NDArray[Any] = stored * np.float64(mapping[0]) + mapping[1]
    return values.astype(dtype)


def _stored_type(instance: Instance) -> np.dtype[Any]:
    return np.dtype(f"{'i' if instance.signed else 'u'}{instance.allocated // 8}")


def _native(instance: Instance) -> Iterator[NDArray[Any]]:
    if instance.samples > 1 and instance.photometric != "RGB":
        raise UnsupportedFormat("the DICOM file is of an uncommon colour model; export it as grey")
    dtype = _stored_type(instance).newbyteorder("<" if instance.little_endian else ">")
    count = instance.samples * instance.rows * instance.columns
    for frame in instance.frames:
        values = np.frombuffer(instance.pixels, dtype, count, frame.number * instance.frame_bytes)
        if instance.planar == 1 or instance.samples == 1:
            yield values.reshape(instance.samples, instance.rows, instance.columns)
        else:
            yield values.reshape(instance.rows, instance.columns, instance.samples).transpose(2, 0, 1)


def _meant_bits(frame: NDArray[Any], instance: Instance) -> NDArray[Any]:
    """Values without what older files keep in the bits that belong to no pixel; in the byte order of the machine."""
    if instance.stored == instance.allocated and frame.dtype.newbyteorder("=") == _stored_type(instance):
        return frame.astype(_stored_type(instance), copy=False)
    wide = np.dtype(f"u{instance.allocated // 8}")
    # Decoders give values their place; only native ones may lie higher.
    high = instance.high if instance.syntax in NATIVE else instance.stored - 1
    above = instance.allocated - 1 - high
    values = frame.astype(wide) << wide.type(above)
    signed = values.view(_stored_type(instance))
    shifted: NDArray[Any] = signed >> signed.dtype.type(instance.allocated - instance.stored)
    return shifted


def _inverted(frame: NDArray[Any], instance: Instance) -> NDArray[Any]:
    if not instance.inverted or instance.samples > 1:
        return frame
    top = 2**instance.stored - 1
    return ~frame if instance.signed else frame.dtype.type(top) - frame
