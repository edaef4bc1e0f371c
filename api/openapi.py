"""What the OpenAPI document says beyond what FastAPI finds out by itself."""

from __future__ import annotations

from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.forms import FORM, Fields
from api.negotiation import DICOM, NIFTI, PNG, TIFF, ZIP
from api.problems import MEDIA_TYPE
from api.schemas import Choice, FieldProblem, ProblemOut

_REFERENCE = "#/components/schemas/{model}"
_WHEN = {503: "Busy, warming up, hanging or stopping; Retry-After says when to come again."}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    schema = {"$ref": _REFERENCE.format(model=ProblemOut.__name__)}
    return {
        status: {
            "description": _WHEN.get(status, HTTPStatus(status).phrase),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def _form() -> dict[str, Any]:
    fields = Fields.model_json_schema()
    for field in fields["properties"].values():
        # In a form an absent field is absent; there is no null.
        kinds = [kind for kind in field.pop("anyOf", []) if kind.get("type") != "null"]
        field.update(kinds[0] if kinds else {})
        field.pop("default", None) if field.get("default", "") is None else None
    file = {
        "type": "string",
        "format": "binary",
        "description": "TIFF, PNG or JPEG (a slice or a stack), NIfTI, DICOM, or a zip of one DICOM series.",
    }
    return {
        "type": "object",
        "title": "Upload",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {"file": file, **fields["properties"]},
    }


_BINARY = {"schema": {"type": "string", "format": "binary"}}
PREDICT = SimpleNamespace(
    responses={
        200: {
            "description": "What was found, on the upload's own grid: as JSON, as a PNG or TIFF, as NIfTI or DICOM SEG "
            "where the upload says where it lies, or all of it in a zip.",
            "content": dict.fromkeys((PNG, TIFF, NIFTI, DICOM, ZIP), _BINARY),
        }
    },
    extra={
        "requestBody": {
            "required": True,
            "content": {
                FORM: {
                    "schema": _form(),
                    "examples": {
                        "slice": {
                            "summary": "A slice, with the default model",
                            "description": "curl -F file=@slice.tif http://127.0.0.1:8000/predict/",
                            "value": {"file": "(the bytes of slice.tif)"},
                        },
                        "overlay": {
                            "summary": "A PNG to look at",
                            "description": "curl -F file=@slice.png -F threshold=0.4 -H 'Accept: image/png' "
                            "'http://127.0.0.1:8000/predict/?view=overlay' -o overlay.png",
                            "value": {"file": "(the bytes of slice.png)", "threshold": 0.4},
                        },
                    },
                }
            },
        }
    },
)


def document(app: FastAPI) -> dict[str, Any]:
    """The app's OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for model in (ProblemOut, FieldProblem, Choice):
            schema = model.model_json_schema(ref_template=_REFERENCE)
            schema.pop("$defs", None)
            schemas[model.__name__] = schema
        app.openapi_schema = made
    return app.openapi_schema
