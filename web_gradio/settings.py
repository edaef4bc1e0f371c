"""Everything that can be set about the page: one frozen object, made where it starts."""

from __future__ import annotations

from dataclasses import dataclass

from core.addresses import is_loopback
from core.errors import UsageError
from core.io import ReadLimits

USER = "metseg"
SHORTEST_PASSWORD = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """What the page is started with.

    Attributes:
        models: shipped names or model folders, the first chosen at first; none means every shipped model.
        device, precision: as `metseg segment` takes them.
        host: address to listen at.
        port: port to listen at; None takes the first free one from 7860.
        share: whether to ask for a link that works from anywhere.
        password: what visitors must give with the name `USER`; None asks for nothing.
        upload_bytes: the largest file.
        slice_pixels, slices, voxels: the largest slice, stack, and product of all dimensions of a file.
        files: that may be segmented in one go.
        queue: visitors that may wait; more are told to come back later.
        keep_seconds: how long uploads and results stay after they were made.
        memory_bytes: of all results that are kept to look at.
    """

    models: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False
    password: str | None = None
    upload_bytes: int = 256 << 20
    slice_pixels: int = 1 << 24
    slices: int = 1024
    voxels: int = 1 << 27
    files: int = 50
    queue: int = 16
    keep_seconds: int = 3600
    memory_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if self.password is not None and len(self.password) < SHORTEST_PASSWORD:
            raise UsageError(f"the password is too short; give at least {SHORTEST_PASSWORD} characters")

    @property
    def reachable(self) -> bool:
        """Whether others than this machine's users can open the page, so that it needs a password."""
        return self.share or not is_loopback(self.host)

    @property
    def read_limits(self) -> ReadLimits:
        """The ceilings for the readers, which hold them against a file's header."""
        return ReadLimits(
            file_bytes=self.upload_bytes,
            slice_pixels=self.slice_pixels,
            slices=self.slices,
            voxels=self.voxels,
            ifds=4 * self.slices,
        )
