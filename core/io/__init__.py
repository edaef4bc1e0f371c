"""Reading scans and truth, writing masks. Formats are told by content; limits are checked before memory is taken."""

from core.io.find import find_scans, masks_without_image
from core.io.limits import ReadLimits
from core.io.read import missing_masks, read_mask, read_scan, read_scan_bytes

__all__ = [
    "ReadLimits",
    "find_scans",
    "masks_without_image",
    "missing_masks",
    "read_mask",
    "read_scan",
    "read_scan_bytes",
]
