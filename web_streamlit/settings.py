"""What can be set about the page: one frozen object, made where the page starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.addresses import is_loopback
from core.errors import UsageError
from core.io import ReadLimits

DEFAULT_URL = "http://127.0.0.1:8000"
UPLOAD_LIMITS = ReadLimits(file_bytes=240 << 20, slice_pixels=1 << 24, slices=1024, voxels=1 << 27, ifds=4096)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server is and how patient the page is with it.

    Attributes:
        api_url: the HTTP API, without a slash at the end.
        api_key: what requests bear; None where the server asks for nothing.
        answer_seconds: the longest silence while an answer is awaited.
        patience_seconds: for how long a request is repeated while the server is away or busy.
        limits: for what is uploaded; the API's own by default, so that it has nothing to refuse.
        total_voxels: of all uploaded cases together.
    """

    api_url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)
    answer_seconds: float = 930.0
    patience_seconds: float = 45.0
    limits: ReadLimits = UPLOAD_LIMITS
    total_voxels: int = 1 << 28

    @property
    def host(self) -> str:
        """The server's name."""
        return urlsplit(self.api_url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether what is uploaded stays on this machine."""
        return is_loopback(self.host)


def load_settings(environment: Mapping[str, str]) -> Settings:
    """The settings from METSEG_API_URL, METSEG_API_KEY and METSEG_WEB_PATIENCE.

    Raises:
        UsageError: a value makes no sense.
    """
    url = environment.get("METSEG_API_URL", "").strip().rstrip("/") or DEFAULT_URL
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"METSEG_API_URL must be an address such as {DEFAULT_URL}")
    given = environment.get("METSEG_WEB_PATIENCE", "").strip()
    try:
        patience = float(given) if given else Settings().patience_seconds
    except ValueError:
        patience = -1.0
    if not 0.0 <= patience < 3600.0:
        raise UsageError("METSEG_WEB_PATIENCE must be a number of seconds")
    return Settings(url, environment.get("METSEG_API_KEY") or None, patience_seconds=patience)
