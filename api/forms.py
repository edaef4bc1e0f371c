"""What a request to segment carries: one file and a few fields, as multipart/form-data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from api.problems import Problem
from api.settings import Settings

FORM = "multipart/form-data"


Name = Annotated[str, Field(max_length=100)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Fields(BaseModel):
    """What may stand beside the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: Name | None = Field(None, description="A name from /models.")
    threshold: Probability | None = Field(None, description="Probability from which a voxel is lesion.")
    tta: bool = Field(False, description="Average with the mirrored image, at twice the time.")
    min_lesion: int = Field(0, ge=0, le=2**31 - 1, description="Drop lesions of fewer voxels.")
    channel: Name | None = Field(None, description="The channel to take, by index from 0 or by name.")
    series: Name | None = Field(
        None, description="Of several series or volumes the one to take, by the key that the problem lists."
    )
    slice_gap: bool = Field(
        False, description="Slices are missing in a stack that cannot say so itself; each is taken for itself then."
    )
    deidentify: bool = Field(False, description="Replace what says whose scan it is, in a DICOM SEG.")


@dataclass(frozen=True, slots=True)
class Upload:
    """A parsed request.

    Attributes:
        file: the upload, in memory or, when larger, in a temporary file that no name leads to. Its client's name for
            it is not kept.
        fields: the rest.
    """

    file: BinaryIO
    fields: Fields


class Parser(MultiPartParser):
    """Starlette's, but a form that ends too early is an error, and leaves no file open."""

    ended = False

    def on_end(self) -> None:
        """Called after the last boundary."""
        self.ended = True

    async def parse_whole(self) -> FormData:
        """Read the body.

        Raises:
            MultiPartException: it is broken, or ends too early.
        """
        form = await self.parse()
        if not self.ended:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("the last boundary is missing")
        return form


@asynccontextmanager
async def read_upload(request: Request, settings: Settings) -> AsyncIterator[Upload]:
    """Read and check a request's body; the file is gone when the block ends.

    Raises:
        Problem: 415 no multipart, 400 broken or of too many parts, 422 a field is missing or makes no sense.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise Problem(415, "no-form", f"send the scan as {FORM}, in a field called file", headers={"Accept-Post": FORM})
    parser = Parser(
        request.headers,
        request.stream(),
        max_files=settings.parts,
        max_fields=settings.parts,
        max_part_size=settings.field_bytes,
    )
    try:
        form = await parser.parse_whole()
    except MultiPartException as error:
        raise Problem(
            400,
            "broken-form",
            f"the body is no whole multipart form of at most {settings.parts} parts, each that is no file of at most "
            f"{settings.field_bytes:,} bytes",
        ) from error
    try:
        if len(form.multi_items()) > settings.parts:
            raise Problem(400, "broken-form", f"the form has more than {settings.parts} parts")
        yield Upload(_file(form), _fields(form))
    finally:
        await form.close()


def _file(form: FormData) -> BinaryIO:
    files = form.getlist("file")
    if len(files) != 1 or not isinstance(files[0], UploadFile):
        wrong = "more than one was sent" if len(files) > 1 else "it is missing or has no file name"
        raise Problem(422, "bad-field", f"the form must have one file called file; {wrong}", fields=[("file", wrong)])
    if not files[0].size:
        raise Problem(422, "empty-file", "the file is empty; send it again", fields=[("file", "it is empty")])
    return files[0].file


def _fields(form: FormData) -> Fields:
    values: dict[str, str] = {}
    for name, value in form.multi_items():
        if name == "file":
            continue
        if name not in Fields.model_fields:
            known = ", ".join(("file", *Fields.model_fields))
            raise Problem(422, "bad-field", f"the form has a field that is not known; the fields are {known}")
        if isinstance(value, UploadFile) or name in values:
            wrong = "give it once, as text"
            raise Problem(422, "bad-field", f"{name}: {wrong}", fields=[(name, wrong)])
        values[name] = value
    # A page's form sends what nobody filled in as an empty text; only to hide a name nothing is taken for granted.
    given = {name: value for name, value in values.items() if value != "" or name == "deidentify"}
    try:
        return Fields.model_validate(given)
    except ValidationError as error:
        wrong_fields = [(str(entry["loc"][0]), entry["msg"].lower()) for entry in error.errors()]
        detail = "; ".join(f"{field}: {message}" for field, message in wrong_fields)
        raise Problem(422, "bad-field", detail, fields=wrong_fields) from error
