"""Reading scans and truth, writing masks. Formats are told by content; limits are checked before memory is taken."""

from core.io.encode import encode_png, encode_tiff, mask_values
from core.io.find import find_scans, masks_without_image
from core.io.interface import Origin, RawFile
from core.io.limits import ReadLimits
from core.io.names import natural_key, stem_of
from core.io.own_mark import masks_of_ours
from core.io.read import missing_masks, read_mask, read_scan, read_scan_bytes
from core.io.write import check_form, encode_mask, encode_probability, write_mask, write_probability

__all__ = [
    "Origin",
    "RawFile",
    "ReadLimits",
    "check_form",
    "encode_mask",
    "encode_png",
    "encode_probability",
    "encode_tiff",
    "find_scans",
    "mask_values",
    "masks_of_ours",
    "masks_without_image",
    "missing_masks",
    "natural_key",
    "read_mask",
    "read_scan",
    "read_scan_bytes",
    "stem_of",
    "write_mask",
    "write_probability",
]
