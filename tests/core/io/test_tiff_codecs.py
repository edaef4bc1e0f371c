import io

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BrokenFile
from core.io import read_scan_bytes
from core.io.tiff_codecs import DECODERS, check_lzw, decompress


def lzw_stream(*codes):
    """Codes as an LZW stream, all 9 bits wide (which holds for the first 254 after a clear)."""
    bits = "".join(f"{code:09b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[index : index + 8], 2) for index in range(0, len(bits), 8))


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 60_000),
    levels=st.sampled_from([1, 2, 5, 64, 256]),
    seed=st.integers(0, 99),
    end=st.booleans(),
)
def test_every_sound_lzw_stream_passes_and_is_decoded(size, levels, seed, end):
    data = np.random.default_rng(seed).integers(0, levels, size, np.uint8).tobytes()
    stream = imagecodecs.lzw_encode(data)
    if not end:  # some writers leave out the code for the end
        stream = stream[:-1] if len(stream) > 4 else stream
        check_lzw(stream)
    else:
        assert decompress(5, stream, size) == data


@pytest.mark.parametrize("shape", [(300, 400), (64, 64, 3), (1, 1)])
@pytest.mark.parametrize("levels", [2, 256])
def test_lzw_as_libtiff_writes_it_is_read(shape, levels):
    expected = np.random.default_rng(0).integers(0, levels, shape, np.uint8)
    content = cv2.imencode(".tiff", expected, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        assert file.pages[0].compression == 5
    stored = expected if expected.ndim == 2 else expected[..., ::-1]
    np.testing.assert_array_equal(
        read_scan_bytes(content, "x").voxels[0].transpose(1, 2, 0).squeeze(), stored.squeeze()
    )


@pytest.mark.parametrize(
    "codes",
    [
        (65, 66, 257),  # no clear at the beginning
        (256, 258, 257),  # the first code after a clear must be a value
        (256, 65, 259, 257),  # one beyond the next entry
        (256, 65, 511, 257),
        (256, 65, 256, 300, 257),  # the table is empty again
        (257,),
        (),
        (256,) * 2000,  # nothing but clears
    ],
)
def test_codes_that_point_beyond_the_table_are_refused(codes):
    with pytest.raises(BrokenFile, match="damaged"):
        check_lzw(lzw_stream(*codes))


def test_the_code_that_is_just_being_made_is_allowed():
    assert decompress(5, lzw_stream(256, 65, 258, 257), 3) == b"AAA"


def test_a_table_that_is_never_cleared_is_refused():
    free = 258
    bits = f"{256:09b}{65:09b}"
    for _ in range(4000):
        width = 9 + (free >= 511) + (free >= 1023) + (free >= 2047)
        bits += f"{65:0{width}b}"
        free += 1
    stream = bytes(int(bits[index : index + 8].ljust(8, "0"), 2) for index in range(0, len(bits), 8))
    with pytest.raises(BrokenFile):
        check_lzw(stream)


ENCODERS = {
    5: imagecodecs.lzw_encode,
    8: imagecodecs.zlib_encode,
    32773: imagecodecs.packbits_encode,
    32946: imagecodecs.zlib_encode,
    34925: imagecodecs.lzma_encode,
    50000: imagecodecs.zstd_encode,
}


def test_every_decoder_is_tested():
    assert ENCODERS.keys() == DECODERS.keys()


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(sorted(ENCODERS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=5),
    keep=st.floats(0, 1),
)
def test_damage_gives_bytes_or_an_error_and_never_too_many(method, changes, keep):
    stream = bytearray(ENCODERS[method](np.random.default_rng(0).integers(0, 9, 2000, np.uint8).tobytes()))
    for share, value in changes:
        stream[int(share * len(stream))] = value
    stream = stream[: int(keep * len(stream))]
    try:
        data = decompress(method, bytes(stream), 2000)
    except BrokenFile:
        return
    assert len(data) <= 2000


def test_a_wrong_checksum_is_found():
    stream = bytearray(imagecodecs.zlib_encode(bytes(2000)))
    stream[-1] ^= 1
    with pytest.raises(BrokenFile):
        decompress(8, bytes(stream), 2000)
