"""What answers look like as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Row = tuple[float, float, float, float]


class Out(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Warned(Out):
    """Something to know about a result."""

    code: str = Field(examples=["lgg-channels"])
    message: str


class FoundLesion(Out):
    """One connected component; indices count from 0, ends are included, unknown values are null."""

    label: int = Field(examples=[1])
    voxels: int = Field(examples=[412])
    slices: tuple[int, int]
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    centroid: tuple[float, float, float]
    longest_diameter_px: float
    longest_diameter_mm: float | None
    area_mm2: float | None
    volume_ml: float | None
    peak_probability: float | None
    mean_probability: float | None


class Shape(Out):
    """The upload's own grid, on which the mask lies."""

    slices: int = Field(examples=[1])
    height: int = Field(examples=[256])
    width: int = Field(examples=[256])


class Totals(Out):
    """Over all lesions; area for a lone slice of known spacing, millilitres for a stack of known, even spacing."""

    lesions: int
    voxels: int
    area_mm2: float | None
    volume_ml: float | None


class MaskOut(Out):
    """The mask, in one of two ways.

    `png`: for each slice a base64 PNG of 0 and 255. `rle`: the lengths of runs over the whole mask, slice by slice and
    row by row, which take turns between background and lesion and begin with background.
    """

    encoding: Literal["png", "rle"]
    png: list[str] | None = None
    rle: list[int] | None = None


class ModelUsed(Out):
    """Which model answered."""

    name: str = Field(examples=["attention-unet"])
    version: str = Field(examples=["1"])


class Prediction(Out):
    """What was found in an upload."""

    research_use_only: str
    request_id: str
    model: ModelUsed
    shape: Shape
    spacing_mm: tuple[float | None, float | None, float | None] = Field(
        description="Between slices, rows and columns; null where the file does not say."
    )
    affine: tuple[Row, Row, Row, Row] | None = Field(
        description="4×4, from (column, row, slice) to RAS millimetres; null where left and right are unknown."
    )
    format: str = Field(examples=["TIFF"], description="What the upload was read as.")
    sequence: str | None = Field(examples=["FLAIR"], description="What the upload seems to be.")
    threshold: float
    totals: Totals
    lesions: list[FoundLesion]
    warnings: list[Warned]
    mask: MaskOut | None
    manifest: dict[str, Any] = Field(description="How it was made: hashes, settings, engine, versions, seconds.")


class ModelEntry(Out):
    """A model in the list."""

    name: str
    default: bool
    version: str
    summary: str
    network: str
    threshold: float
    limits: list[str]
    licence: str


class ModelList(Out):
    """The models that this server answers with, the default first."""

    research_use_only: str
    models: list[ModelEntry]


class Live(Out):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(Out):
    """The default model is loaded and has computed something."""

    status: Literal["ready"] = "ready"
    model: str
    device: str
    precision: str
    within: int = Field(description="Requests that are being worked on.")


class Version(Out):
    """What computes."""

    metseg: str
    versions: dict[str, str]


class FieldProblem(Out):
    """What is wrong with one field."""

    field: str
    message: str


class Choice(Out):
    """One of several series in an upload."""

    key: str = Field(description="For the field `series`.")
    description: str = Field(examples=["FLAIR, 24 slices of 256×256"])


class ProblemOut(Out):
    """RFC 9457: why a request was not answered."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["threshold: input should be less than or equal to 1"])
    code: str = Field(examples=["bad-field"])
    request_id: str = Field(examples=["8f14e45fceea467a9b1f0c2b7d3e5a60"])
    errors: list[FieldProblem] | None = None
    choices: list[Choice] | None = None
