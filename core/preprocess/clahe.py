"""Contrast limited adaptive histogram equalisation, byte for byte as OpenCV does it, on arrays and on tensors.

Arrays go through OpenCV itself. Tensors take the same steps as batched tensor operations:

    pad to whole tiles ─▶ histogram of each tile ─▶ clip, spread ─▶ cumulate, scale, round: a table of grey levels
    each pixel ─▶ looked up in the tables of the four nearest tiles ─▶ weighted by distance ─▶ rounded

Equality hangs on float32 arithmetic in which every product and sum is rounded on its own, as in OpenCV's x86-64 builds.
So nothing here may be fused: no addcmul, no lerp, no compiler.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Images = TypeVar("Images", NDArray[np.uint8], NDArray[np.uint16], NDArray[Any], "torch.Tensor")

# Pixels, or table entries where those are more, worked on at once; each needs some 40 bytes of temporary memory.
_CHUNK = 2**22
_INT32_PLACES = 2**31  # how many table entries an int32 index reaches


def clahe(images: Images, clip_limit: float = 2.0, tiles: tuple[int, int] = (8, 8)) -> Images:
    """Equalise local contrast exactly as OpenCV's CLAHE does.

    Args:
        images: (N, H, W) uint8 or uint16; a NumPy array, or a tensor on any device.
        clip_limit: ceiling of a tile's histogram, in multiples of a flat histogram's bin; 0 turns clipping off.
        tiles: tile rows and columns.

    Returns:
        (N, H, W), what was given (array or tensor, dtype, device), equal to `cv2.createCLAHE` byte for byte.

    Raises:
        TypeError: images is neither an array nor a tensor.
        ValueError: images is not three-dimensional, has no pixels or is not uint8 or uint16; clip_limit or tiles are
            out of range.

    Source: Zuiderveld 1994, Contrast Limited Adaptive Histogram Equalization, Graphics Gems IV.
    """
    if not isinstance(images, np.ndarray):
        import torch

        if not isinstance(images, torch.Tensor):
            raise TypeError(f"images must be a NumPy array or a tensor, not {type(images).__name__}")
    if images.ndim != 3:
        raise ValueError(f"images must be (N, H, W), not {images.ndim}-dimensional")
    if 0 in images.shape[1:]:
        raise ValueError("images have no pixels")
    bins = {"uint8": 2**8, "uint16": 2**16}.get(str(images.dtype).removeprefix("torch."))
    if bins is None:
        raise ValueError(f"images must be uint8 or uint16, not {images.dtype}")
    rows, columns = tiles
    if rows < 1 or columns < 1:
        raise ValueError(f"tiles must be at least 1 row and 1 column, not {tiles}")
    height, width = _padded(images.shape[1], images.shape[2], tiles)
    clip = _clip_count(clip_limit, (height // rows) * (width // columns), bins)
    if isinstance(images, np.ndarray):
        return _clahe_array(images, clip_limit, tiles)
    return _clahe_tensor(images, clip, tiles, bins)


def equalise(images: Images, clip_limit: float, tile_px: int) -> Images:
    """CLAHE as a model's card has it: tiles of about `tile_px` pixels; a negative clip limit leaves it out.

    Args:
        images: as `clahe` takes them.
        clip_limit: the card's.
        tile_px: the card's.
    """
    if clip_limit < 0:
        return images
    return clahe(images, clip_limit, tile_grid(images.shape[1], images.shape[2], tile_px))


def tile_grid(height: int, width: int, tile_px: int = 32) -> tuple[int, int]:
    """Tile rows and columns that make tiles of about `tile_px` pixels, so that a larger picture has more of them.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        tile_px: wanted side of a tile in pixels.

    Returns:
        (rows, columns), each at least 1; (8, 8) for 256×256.
    """
    return max(1, round(height / tile_px)), max(1, round(width / tile_px))


def _padded(height: int, width: int, tiles: tuple[int, int]) -> tuple[int, int]:
    """The size that OpenCV cuts into tiles: where one axis does not divide, an axis that does grows as well."""
    rows, columns = tiles
    if height % rows == 0 and width % columns == 0:
        return height, width
    return height + rows - height % rows, width + columns - width % columns


def _clip_count(clip_limit: float, tile_area: int, bins: int) -> int:
    """The most pixels that a bin may keep; 0 for no clipping. OpenCV overflows where this refuses."""
    if not math.isfinite(clip_limit) or clip_limit * tile_area / bins >= 2**31:
        raise ValueError(f"clip_limit is out of range: {clip_limit}; 0 turns clipping off")
    return max(int(clip_limit * tile_area / bins), 1) if clip_limit > 0 else 0


def _clahe_array(images: NDArray[Any], clip_limit: float, tiles: tuple[int, int]) -> NDArray[Any]:
    import cv2

    rows, columns = tiles
    equaliser = cv2.createCLAHE(clip_limit, (columns, rows))
    images = np.ascontiguousarray(images)
    result = np.empty_like(images)
    for image, out in zip(images, result, strict=True):
        equaliser.apply(image, out)
    return result


def _clahe_tensor(images: torch.Tensor, clip: int, tiles: tuple[int, int], bins: int) -> torch.Tensor:
    import torch

    rows, columns = tiles
    height, width = _padded(images.shape[1], images.shape[2], tiles)
    largest = max(height * width, rows * columns * bins)  # elements for one image
    per_chunk = max(1, _CHUNK // largest)
    index_type = torch.int32 if per_chunk * largest <= _INT32_PLACES else torch.int64
    result = torch.empty(images.shape, dtype=images.dtype, device=images.device)
    for start in range(0, len(images), per_chunk):
        chunk = images[start : start + per_chunk].to(index_type)  # (N, H, W)
        tables = _tables(_extend(_extend(chunk, 1, height), 2, width), clip, tiles, bins)
        result[start : start + per_chunk] = _interpolate(chunk, tables, (height // rows, width // columns))
    return result


def _extend(images: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    """Mirror an axis about its last pixel, and again about its first where that is not enough, up to `size`."""
    import torch

    given = images.shape[dim]
    if given == size:
        return images
    period = max(2 * (given - 1), 1)
    beyond = torch.arange(given, size, device=images.device) % period
    beyond = torch.minimum(beyond, period - beyond) if given > 1 else beyond
    return torch.cat((images, images.index_select(dim, beyond)), dim)


def _tables(images: torch.Tensor, clip: int, tiles: tuple[int, int], bins: int) -> torch.Tensor:
    """Each tile's equalised grey level for every grey level.

    Args:
        images: (N, H, W) int32 or int64, padded to whole tiles.
        clip: the most pixels that a bin may keep, 0 for no clipping.
        tiles: tile rows and columns.
        bins: how many grey levels there are.

    Returns:
        (N, rows, columns, bins) float32, whole numbers.
    """
    import torch

    count, height, width = images.shape
    rows, columns = tiles
    row = _places(height, images) // (height // rows) * (columns * bins)  # (H,)
    column = _places(width, images) // (width // columns) * bins  # (W,)
    image = _places(count, images) * (rows * columns * bins)  # (N,)
    where = (images + (row[:, None] + column)).add_(image[:, None, None])  # (N, H, W)
    histogram = torch.bincount(where.flatten(), minlength=count * rows * columns * bins)
    histogram = histogram.to(torch.int32).view(count, rows, columns, bins)
    area = (height // rows) * (width // columns)
    if clip == 0:
        cumulated = histogram.cumsum(-1, dtype=torch.int32)
    else:
        histogram.clamp_max_(clip)
        excess = area - histogram.sum(-1, keepdim=True, dtype=torch.int32)  # (N, rows, columns, 1)
        cumulated = histogram.cumsum(-1, dtype=torch.int32)
        # What was cut off is spread evenly; of the remainder every `step`th bin gets one, until none is left.
        remainder = excess % bins
        step = bins // remainder.clamp_min(1)
        order = torch.arange(bins, dtype=torch.int32, device=images.device)  # (bins,)
        cumulated += (order + 1) * (excess // bins)
        cumulated += torch.minimum((order // step).add_(1), remainder)
    scale = float(np.float32(bins - 1) / np.float32(area))
    return cumulated.to(torch.float32).mul_(scale).round_()


def _interpolate(images: torch.Tensor, tables: torch.Tensor, tile_size: tuple[int, int]) -> torch.Tensor:
    """Look each pixel up in the tables of the four tiles around it, and weigh the answers by nearness.

    Args:
        images: (N, H, W) int32 or int64.
        tables: (N, rows, columns, bins) float32.
        tile_size: height and width of a tile in pixels.

    Returns:
        (N, H, W) int32.
    """
    import torch

    count, height, width = images.shape
    _, rows, columns, bins = tables.shape
    top, bottom, near_top, near_bottom = _neighbours(height, tile_size[0], rows, images)  # (H,) each
    left, right, near_left, near_right = _neighbours(width, tile_size[1], columns, images)  # (W,) each
    image = _places(count, images) * (rows * columns * bins)  # (N,)
    levels = images + image[:, None, None]  # (N, H, W)
    flat = tables.flatten()

    def level(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        table = (row[:, None] * columns + column) * bins  # (H, W)
        return flat.index_select(0, (levels + table).flatten()).view(count, height, width)

    def blend(row: torch.Tensor) -> torch.Tensor:
        return level(row, left).mul_(near_left).add_(level(row, right).mul_(near_right))

    result = blend(top).mul_(near_top[:, None]).add_(blend(bottom).mul_(near_bottom[:, None]))
    return result.round_().to(torch.int32)  # on the way to uint8: the direct cast takes twice as long


def _neighbours(
    size: int, tile: int, tiles: int, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each place on an axis: the tile whose centre lies before it, the one behind, and the weight of each."""
    import torch

    reciprocal = float(np.float32(1) / np.float32(tile))  # OpenCV multiplies by it; a division would round differently
    position = _places(size, like).to(torch.float32) * reciprocal - 0.5
    floor = position.floor()
    behind = position - floor
    first = floor.to(like.dtype)
    return first.clamp_min(0), (first + 1).clamp_max(tiles - 1), 1 - behind, behind


def _places(size: int, like: torch.Tensor) -> torch.Tensor:
    """0, 1, … size - 1, of the type and on the device of another tensor."""
    import torch

    return torch.arange(size, dtype=like.dtype, device=like.device)
