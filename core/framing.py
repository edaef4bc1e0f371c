"""How a slice hangs on a screen: its pixels as long and as wide as they are in the head, its sides named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Letters = tuple[str, str, str, str]
MOST_STRETCHED = 20.0
"""So many times as long as wide are the pixels of hardly any true scan."""
LETTER_SHARE = 0.045
"""Height of a letter as a share of the picture's side."""
SMALLEST_LETTER_PX = 9
GLYPH_PX = 21
"""Height of a letter at OpenCV's scale 1."""


def to_aspect(picture: NDArray[Any], aspect: float) -> NDArray[Any]:
    """Enlarge a slice along one axis until its pixels are squares in millimetres; nothing is ever left out.

    Beyond `MOST_STRETCHED`, where the spacing must be wrong, it is enlarged no further.

    Args:
        picture: (H, W) or (H, W, 3) uint8, which is interpolated, or bool, which is not.
        aspect: height of a pixel over its width.

    Returns:
        the same with more rows or columns, or itself.
    """
    height, width = picture.shape[:2]
    target = height, width
    aspect = min(max(aspect, 1 / MOST_STRETCHED), MOST_STRETCHED)
    if aspect > 1:
        target = round(height * aspect), width
    elif aspect < 1:
        target = height, round(width / aspect)
    if target == (height, width):
        return picture
    import cv2

    if picture.dtype == np.bool_:
        size, how = target[::-1], cv2.INTER_NEAREST
        return np.asarray(cv2.resize(picture.view(np.uint8), size, interpolation=how)).astype(np.bool_)
    return np.asarray(cv2.resize(picture, target[::-1], interpolation=cv2.INTER_LINEAR))


def fit_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A slice of a mask at another size; where it gets smaller, a lesion of one pixel does not vanish.

    Args:
        mask: (H, W).
        size: width and height, as OpenCV has them.

    Returns:
        (height, width): on where any pixel below was.
    """
    import cv2

    height, width = mask.shape
    smaller = min(width, size[0]), min(height, size[1])
    small = np.asarray(cv2.resize(mask.astype(np.float32), smaller, interpolation=cv2.INTER_AREA) > 0)
    return np.asarray(cv2.resize(small.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)).astype(np.bool_)


def with_letters(picture: NDArray[np.uint8], letters: Letters | None) -> NDArray[np.uint8]:
    """Write what its sides are onto a picture.

    Args:
        picture: (H, W) grey or (H, W, 3) RGB.
        letters: at the left, right, upper and lower edge; None where nobody knows, and then there are none.

    Returns:
        (H, W, 3), an array of its own.
    """
    framed = np.ascontiguousarray(np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture.copy())
    if letters is None:
        return framed
    import cv2

    height, width = framed.shape[:2]
    # Of a long and narrow picture the longer side counts too, for it will be shrunk to the width of others.
    tall = max(SMALLEST_LETTER_PX, round(LETTER_SHARE * max(min(height, width), 0.6 * max(height, width))))
    scale, gap, thick = tall / GLYPH_PX, tall // 2, max(1, tall // 9)
    middle, centre = (height + tall) // 2, width // 2 - tall // 2
    places = ((gap, middle), (width - gap - tall, middle), (centre, gap + tall), (centre, height - gap))
    for letter, place in zip(letters, places, strict=True):
        for colour, stroke in (((0, 0, 0), thick + 2), ((255, 255, 255), thick)):
            cv2.putText(framed, letter, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, stroke, cv2.LINE_AA)
    return framed
