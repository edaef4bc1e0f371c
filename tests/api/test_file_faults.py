"""Files and values out of the ordinary: a finite answer of the upload's own shape, or a problem in one sentence."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile

TIFF = "image/tiff"
MAKE = Callable[[SimpleNamespace], bytes]
TAGS = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16}


def raw_tiff(tags: dict[int, int | tuple[int, int, int]], pages: int = 1, following: int | None = None) -> bytes:
    """Sixteen pixels and, from byte 24 on, as many pages with these tags; the last one points to `following`."""
    fields = [(code, *(value if isinstance(value, tuple) else (4, 1, value))) for code, value in sorted(tags.items())]
    page = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields)
    size = len(page) + 4
    ends = [24 + (number + 1) * size for number in range(pages - 1)] + [following or 0]
    return b"II*\0" + struct.pack("<I", 24) + bytes(range(16)) + b"".join(page + struct.pack("<I", end) for end in ends)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, *before: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = zlib.compress(bytes((width + 1) * height) if width * height < 1e6 else b"\0")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def turned_jpeg(kit: SimpleNamespace, orientation: int) -> bytes:
    """48 wide and 32 high as stored."""
    content = kit.png(kit.noise(32, 48), ".jpg")
    entry = struct.pack("<HHHI", 1, 0x112, 3, 1) + struct.pack("<HH", orientation, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + entry + bytes(4)
    return bytes(content[:2]) + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + bytes(content[2:])


BAD: dict[str, tuple[MAKE, int]] = {
    "no picture": (lambda kit: b"%PDF-1.7 PLANTED", 415),
    "a pickle": (lambda kit: b"\x80\x04\x95PLANTED", 415),
    "a circle of pages": (lambda kit: raw_tiff(TAGS, following=24), 422),
    "far too many pages": (lambda kit: raw_tiff(TAGS, pages=20_000), 422),
    "2**30 tiles on one pixel": (
        lambda kit: raw_tiff(TAGS | {256: 1, 257: 1, 322: 16, 323: 16, 324: (4, 2**30, 8), 325: (4, 2**30, 8)}),
        413,
    ),
    "65,535 samples": (lambda kit: raw_tiff(TAGS | {277: 65535}), 413),
    "more slices than the server takes": (lambda kit: raw_tiff(TAGS, pages=1025), 413),
    "a slice larger than the server takes": (lambda kit: raw_png(4097, 4097), 413),
    "60,000 squared": (lambda kit: raw_png(60_000, 60_000), 413),
    "no pixels": (lambda kit: raw_png(0, 4), 422),
    "a TIFF cut off": (lambda kit: kit.tiff(kit.noise(40, 40), compression="zlib")[:-900], 422),
    "a PNG cut off": (lambda kit: kit.png(kit.noise(40, 40))[:-100], 422),
    "a JPEG cut off": (lambda kit: kit.png(kit.noise(40, 40), ".jpg")[:200], 422),
    "CMYK": (
        lambda kit: bytes(imagecodecs.jpeg8_encode(kit.noise(16, 16, 4), colorspace="CMYK", outcolorspace="CMYK")),
        422,
    ),
    "animated": (lambda kit: raw_png(4, 4, chunk(b"acTL", struct.pack(">II", 2, 0))), 422),
    "colours and no choice": (lambda kit: kit.png(kit.noise(40, 40, 3)), 422),
    "complex numbers": (lambda kit: kit.tiff(kit.noise(8, 8).astype(np.complex64)), 422),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence(
    server: Any, kit: SimpleNamespace, name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    make, status = BAD[name]
    answer = server.post(make(kit), "PLANTED.tif")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    told = answer.json()
    assert 20 < len(told["detail"]) < 250
    assert "\n" not in told["detail"]
    out, err = capfd.readouterr()
    assert "PLANTED" not in answer.text + out + err + caplog.text


def test_a_coloured_picture_is_told_which_field_to_send(server: Any, kit: SimpleNamespace) -> None:
    answer = server.post(kit.png(kit.noise(40, 40, 3)))
    assert (answer.json()["code"], answer.json()["errors"][0]["field"]) == ("channel-needed", "channel")
    assert server.post(kit.png(kit.noise(40, 40, 3)), channel="green").status_code == 200


@pytest.mark.parametrize(("shape", "channel"), [((40, 40, 3), "ultraviolet"), ((40, 40, 3), "3")])
def test_a_channel_that_is_not_there_is_told_by_its_field(
    server: Any, kit: SimpleNamespace, shape: tuple[int, ...], channel: str
) -> None:
    answer = server.post(kit.png(kit.noise(*shape)), channel=channel)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("there is no such channel; choose from these: 0")
    assert [wrong["field"] for wrong in answer.json()["errors"]] == ["channel"]


def tiff_of_pages(*pages: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for page in pages:
            file.write(page, photometric="minisblack", metadata=None)
    return buffer.getvalue()


GOOD: dict[str, tuple[MAKE, tuple[int, int, int]]] = {
    "BigTIFF": (lambda kit: kit.tiff(kit.noise(40, 30), bigtiff=True), (1, 40, 30)),
    "tiled": (lambda kit: kit.tiff(kit.noise(40, 30), tile=(16, 16)), (1, 40, 30)),
    "planar": (
        lambda kit: kit.tiff(kit.noise(3, 40, 30), photometric="rgb", planarconfig="separate"),
        (1, 40, 30),
    ),
    "float": (lambda kit: kit.tiff(kit.noise(40, 30).astype(np.float32) / 7), (1, 40, 30)),
    "16 bit": (lambda kit: kit.tiff(kit.noise(40, 30).astype(np.uint16) * 200), (1, 40, 30)),
    "signed, big-endian": (lambda kit: kit.tiff(kit.noise(40, 30).astype(">i2") * 9 - 900), (1, 40, 30)),
    "an ImageJ stack": (lambda kit: kit.tiff(kit.noise(3, 40, 30), imagej=True, metadata={"axes": "ZYX"}), (3, 40, 30)),
    "pages": (lambda kit: tiff_of_pages(kit.noise(40, 30), kit.noise(40, 30, seed=1)), (2, 40, 30)),
    "a JPEG that lies on its side": (lambda kit: turned_jpeg(kit, 6), (1, 48, 32)),
    "with opacity": (
        lambda kit: kit.png(np.dstack([kit.noise(40, 30)] * 3 + [np.full((40, 30), 9, np.uint8)])),
        (1, 40, 30),
    ),
    "all zero": (lambda kit: kit.tiff(np.zeros((40, 30), np.uint8)), (1, 40, 30)),
    "constant": (lambda kit: kit.tiff(np.full((2, 40, 30), 77.5, np.float32), metadata=None), (2, 40, 30)),
    "all NaN": (lambda kit: kit.tiff(np.full((40, 30), np.nan, np.float32)), (1, 40, 30)),
    "some NaN and infinity": (
        lambda kit: kit.tiff(np.where(kit.noise(40, 30) > 200, np.inf, np.where(kit.noise(40, 30) < 9, np.nan, 5.0))),
        (1, 40, 30),
    ),
    "64 bit and huge": (lambda kit: kit.tiff(kit.noise(40, 30).astype(np.float64) * 1e305), (1, 40, 30)),
    "64-bit integers": (lambda kit: kit.tiff(kit.noise(40, 30).astype(np.uint64) << np.uint64(50)), (1, 40, 30)),
    "one pixel": (lambda kit: kit.tiff(np.full((1, 1), 9, np.uint8)), (1, 1, 1)),
    "a line": (lambda kit: kit.tiff(kit.noise(1, 97)), (1, 1, 97)),
    "odd sizes": (lambda kit: kit.tiff(kit.noise(3, 101, 67), metadata=None), (3, 101, 67)),
    "larger than a window": (lambda kit: kit.tiff(kit.noise(20, 1000)), (1, 20, 1000)),
}
WARNED = {"all zero", "constant", "all NaN", "some NaN and infinity", "64 bit and huge", "64-bit integers"}


@pytest.mark.parametrize("name", GOOD)
def test_an_unusual_file_gets_a_finite_answer_of_its_own_shape(server: Any, kit: SimpleNamespace, name: str) -> None:
    make, shape = GOOD[name]
    answer = server.post(make(kit), accept=TIFF, view="probability")
    assert answer.status_code == 200, answer.text
    probability = kit.tiff_of(answer)
    assert probability.shape == shape
    assert np.isfinite(probability).all()
    assert probability.min() >= 0
    assert probability.max() <= 1
    if name in WARNED:
        assert answer.headers["x-metseg-warnings"]


def test_a_picture_comes_back_upright(server: Any, kit: SimpleNamespace) -> None:
    answer = server.post(turned_jpeg(kit, 6), accept="image/png", view="overlay")
    upright = cv2.imdecode(np.frombuffer(turned_jpeg(kit, 6), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert kit.png_of(answer).shape == (*upright.shape, 3) == (48, 32, 3)
    assert answer.headers["x-metseg-warnings"] != ""
