"""Synthetic FLAIR-like heads with lesions and exact masks, for the demo, the tests and the documentation."""

from core.phantom.files import write_phantom_case
from core.phantom.stack import make_phantom

__all__ = ["make_phantom", "write_phantom_case"]
