"""The process in which compressed pixels are decoded: whatever a decoder does to it, the program goes on.

It is told of an image on its standard input and answers with the decoded frames on its standard output, again and again
until the input ends. A request is a head in JSON and the encapsulated pixels; an answer is a head in JSON and, for a
frame, its values. Each part is preceded by its length. Nothing but pixels and their layout comes here, so no name does.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator
from typing import IO, Any

LENGTH = struct.Struct("<Q")
MEMORY_SPARE = 512 * 2**20
"""What decoding may take beside what the image's size accounts for."""


def write_part(stream: IO[bytes], part: bytes | memoryview) -> None:
    """Write a part and, before it, its length."""
    stream.write(LENGTH.pack(len(part)))
    stream.write(part)


def read_part(stream: IO[bytes]) -> bytes | None:
    """Read a part; None where the stream has ended."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    part = stream.read(length)
    return part if len(part) == length else None


def main() -> None:
    """Serve until the input ends."""
    # Libraries may print; what they print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)
    questions = sys.stdin.buffer
    from core.io.dicom.jpeg_plugin import register
    from core.io.dicom.libraries import load_pydicom

    load_pydicom()
    register()
    while (head := read_part(questions)) is not None and (pixels := read_part(questions)) is not None:
        request = json.loads(head)
        try:
            _limit_memory(len(pixels), request.pop("frame_bytes"))
            for frame in _decode(request, pixels):
                write_part(answers, json.dumps({"dtype": frame.dtype.str, "shape": frame.shape}).encode())
                write_part(answers, frame.tobytes())
                answers.flush()
            write_part(answers, b"{}")
        except MemoryError:
            write_part(answers, b'{"problem": "memory"}')
        except (NotImplementedError, KeyError):
            write_part(answers, b'{"problem": "unsupported"}')
        # Decoders meet damage with exceptions of a dozen kinds.
        except Exception:
            write_part(answers, b'{"problem": "damaged"}')
        answers.flush()


def _decode(request: dict[str, Any], pixels: bytes) -> Iterator[Any]:
    """Frames as (samples, rows, columns), of integers."""
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(request.pop("syntax"))
    if not decoder.is_available:
        raise NotImplementedError
    for frame, _ in decoder.iter_array(pixels, raw=False, pixel_keyword="PixelData", **request):
        yield frame[None] if frame.ndim == 2 else frame.transpose(2, 0, 1)


def _limit_memory(coded: int, frame: int) -> None:
    """Let this process take what the image needs and no more; where the system can say how much it has."""
    try:
        import resource

        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            taken = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + 3 * coded + 24 * frame + MEMORY_SPARE, hard))


if __name__ == "__main__":
    main()
