"""Everything that can be set about the server: one frozen object, made where the server starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.errors import UsageError
from core.io import ReadLimits

PREFIX = "METSEG_"
KEY_CHARACTERS = 16


def _split(separator: str) -> BeforeValidator:
    def split(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(separator) if part.strip())

    return BeforeValidator(split)


def _as_asked_for(name: str) -> str:
    # As a request's Host header is read.
    return name.lower().rstrip(".")


def _fit_for_a_header(key: SecretStr) -> SecretStr:
    # Beyond ASCII clients disagree about the bytes, and a blank may be lost on the way.
    text = key.get_secret_value()
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("choose a key of printable ASCII characters without blanks")
    if len(text) < KEY_CHARACTERS:
        raise ValueError(f"choose a key of at least {KEY_CHARACTERS} characters")
    return key


class Settings(BaseSettings):
    """Read from the environment, each under its name in capitals after `METSEG_`.

    Attributes:
        model: the default model, a shipped model's name or a model folder; None takes the shipped default.
        models: folders of further models, parted as in PATH. A request names a model and never a folder.
        device, precision: as `metseg segment` takes them.
        api_key: what requests must bear (`Authorization: Bearer KEY`), at least 16 printable ASCII characters without
            blanks; None asks for nothing.
        insecure: whether to answer beyond this machine without a key.
        trusted_hosts: names that requests may ask for, parted by commas, "*" for any; none given means this machine's
            own names, or any name where the server listens beyond it.
        body_bytes: the largest body.
        parts, field_bytes: how many parts a body may have, and how large one that is no file may be.
        slice_pixels, slices, voxels: the largest slice, stack, and product of all dimensions of an upload.
        uploads: bodies that may be on their way at a time.
        queue: uploads that may be decoded, waiting or computed at a time; beyond that a request is refused at once.
        queue_voxels: of all these together; one that is larger by itself still gets its turn.
        read_seconds: the longest silence within a body.
        upload_seconds: the longest time for a whole body.
        deadline_seconds: the longest time from a complete body to its answer.
        stall_seconds: how long one call of the network may take before the server says that it is not ready.
        drain_seconds: how long requests may go on after the server was asked to stop.
        threads: that decode and encode.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    model: str | None = None
    models: Annotated[tuple[Path, ...], NoDecode, _split(os.pathsep)] = ()
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    api_key: Annotated[SecretStr, AfterValidator(_fit_for_a_header)] | None = None
    insecure: bool = False
    trusted_hosts: Annotated[tuple[Annotated[str, AfterValidator(_as_asked_for)], ...], NoDecode, _split(",")] = ()
    body_bytes: PositiveInt = 256 << 20
    parts: PositiveInt = 16
    field_bytes: PositiveInt = 16 << 10
    slice_pixels: PositiveInt = 1 << 24
    slices: PositiveInt = 1024
    voxels: PositiveInt = 1 << 27
    uploads: PositiveInt = 128
    queue: PositiveInt = 64
    queue_voxels: PositiveInt = 1 << 28
    read_seconds: PositiveFloat = 10.0
    upload_seconds: PositiveFloat = 120.0
    deadline_seconds: PositiveFloat = 900.0
    stall_seconds: PositiveFloat = 120.0
    drain_seconds: PositiveFloat = 30.0
    threads: PositiveInt = 4

    @property
    def read_limits(self) -> ReadLimits:
        """The same ceilings for the readers, which hold them against a file's header."""
        return ReadLimits(
            file_bytes=self.body_bytes,
            slice_pixels=self.slice_pixels,
            slices=self.slices,
            voxels=self.voxels,
            ifds=4 * self.slices,
        )


def load_settings(**given: Any) -> Settings:
    """The settings, from the environment and, before that, from what is given.

    Raises:
        UsageError: a value makes no sense; the sentence names its variable and never its value.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        told = first["msg"].removeprefix("Value error, ")
        told = told[:1].lower() + told[1:]
        raise UsageError(f"{PREFIX}{name.upper()} makes no sense: {told}") from error
