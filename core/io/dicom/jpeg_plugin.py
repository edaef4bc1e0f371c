"""A plug-in for pydicom that decodes JPEG with imagecodecs: baseline, extended (12 bits too) and lossless.

pydicom's own way to lossless JPEG needs libjpeg under the GPL; imagecodecs is under the BSD licence and here anyway.
"""

from __future__ import annotations

from typing import Any

BASELINE = "1.2.840.10008.1.2.4.50"
EXTENDED = "1.2.840.10008.1.2.4.51"
LOSSLESS = "1.2.840.10008.1.2.4.57"
LOSSLESS_FIRST_ORDER = "1.2.840.10008.1.2.4.70"
DECODER_DEPENDENCIES = dict.fromkeys((BASELINE, EXTENDED, LOSSLESS, LOSSLESS_FIRST_ORDER), ("imagecodecs",))


def is_available(uid: str) -> bool:
    """Whether this transfer syntax is decoded here; imagecodecs itself is always installed."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: Any) -> bytes:
    """Decode one frame.

    Args:
        source: the JPEG.
        runner: pydicom's account of the image; told how many bits the decoded values take.

    Returns:
        The values in the order rows, columns, samples.
    """
    import imagecodecs
    import numpy as np

    if runner.transfer_syntax in (LOSSLESS, LOSSLESS_FIRST_ORDER):
        pixels = imagecodecs.jpegsof3_decode(source)
    else:
        colour = runner.photometric_interpretation
        # Neither space is changed: pydicom turns the values into RGB where the header calls for it.
        space = None if runner.samples_per_pixel == 1 else "RGB" if colour == "RGB" else "YCBCR"
        pixels = imagecodecs.jpeg8_decode(source, colorspace=space, outcolorspace=space)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return np.ascontiguousarray(pixels).tobytes()


def register() -> None:
    """Tell pydicom of this plug-in."""
    from pydicom.pixels.decoders.base import get_decoder

    for uid in DECODER_DEPENDENCIES:
        get_decoder(uid).add_plugin("imagecodecs", (__name__, decode_frame.__name__))
