"""DICOM: single images, series of them, Enhanced multi-frame images; from files that lie together in any order.

- stream: bytes; is it DICOM, its header, where its pixels lie
- tags: single values of a header
- frames, instance: what a header says of its pictures, and of its file
- stacks: pictures into series, series into stacks of slices
- geometry: the slices' order, the affine, gaps and tilts
- pixels: stored values as they are meant
- decoder: compressed pixels, in a process of their own (child, jpeg_plugin)
- volume: a stack as voxels; header: what of it is kept beside them
- seg: a mask as a DICOM segmentation; people: whose scan it is, copied into one or replaced
"""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import UnsupportedFormat
from core.io.dicom.stream import is_dicom
from core.io.interface import Decoded, Described, RawFile
from core.io.limits import ReadLimits, Size

NAME = "DICOM"
SUFFIXES = (".dcm", ".dicom", ".ima")

matches = is_dicom


def measure(content: bytes, limits: ReadLimits) -> Size:
    """What the header of one file promises; nothing is decoded."""
    from core.io.dicom.instance import read_instance
    from core.io.dicom.volume import NO_PICTURE

    instance = read_instance(RawFile("", content), limits)
    if instance is None:
        raise UnsupportedFormat(NO_PICTURE)
    return instance.size


def read(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Decoded:
    """Decode one series of the files given; files without a picture are passed over."""
    from core.io.dicom.volume import read_volume

    return read_volume(files, limits, series)


def describe(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Described:
    """What `read` would give, from headers alone."""
    from core.io.dicom.volume import describe_volume

    return describe_volume(files, limits, series)
