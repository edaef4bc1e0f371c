"""The OpenAPI document says what the server does: it is held against it with made-up requests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.forms import Fields
from api.negotiation import OFFERS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def api_schema(shared: Any) -> Any:
    return schemathesis.openapi.from_url(f"{shared.client.base_url}/openapi.json")


PREDICT = ("POST", "/predict/")
READS = [("GET", path) for path in ("/models", "/models/{name}", "/health/live", "/health/ready", "/version")]
quickly = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def hold_against_the_document(case: Any) -> int:
    answer = case.call(timeout=60)
    case.validate_response(answer, checks=CHECKS)
    assert b"Traceback" not in answer.content
    return answer.status_code


@pytest.mark.parametrize(
    ("operation", "mode"),
    [(PREDICT, GenerationMode.NEGATIVE), *((operation, GenerationMode.POSITIVE) for operation in (PREDICT, *READS))],
)
def test_made_up_requests_meet_what_the_document_says(
    api_schema: Any, operation: tuple[str, str], mode: GenerationMode
) -> None:
    method, path = operation

    @quickly
    @given(case=api_schema[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        hold_against_the_document(case)

    ask()


def test_a_real_image_with_made_up_fields_does_too(api_schema: Any, kit: SimpleNamespace) -> None:
    statuses = set()

    @quickly
    @given(case=api_schema["/predict/"]["POST"].as_strategy())
    def ask(case: Any) -> None:
        case.body = {"file": kit.golden} | {name: case.body[name] for name in case.body if name != "file"}
        for name in ("model", "channel"):  # most made-up names are unknown ones
            case.body.pop(name, None)
        statuses.add(hold_against_the_document(case))

    ask()
    assert 200 in statuses


def test_the_document_tells_what_a_newcomer_needs(server: Any) -> None:
    document = server.client.get("/openapi.json").json()
    assert {*document["paths"]} == {
        "/predict/", "/models", "/models/{name}", "/health/live", "/health/ready", "/version",
    }  # fmt: skip
    asked = document["paths"]["/predict/"]["post"]
    form = asked["requestBody"]["content"]["multipart/form-data"]
    assert set(form["schema"]["properties"]) == {"file", *Fields.model_fields}
    assert form["schema"]["required"] == ["file"]
    assert form["schema"]["properties"]["threshold"]["maximum"] == 1
    assert all("curl" in example["description"] for example in form["examples"].values())
    assert set(asked["responses"]["200"]["content"]) == set(OFFERS["mask"])
    for status, answer in asked["responses"].items():
        assert status == "200" or set(answer["content"]) == {"application/problem+json"}
    assert document["components"]["schemas"]["ProblemOut"]["properties"]["request_id"]["examples"]


def test_answers_and_problems_are_what_their_schemas_say(server: Any, kit: SimpleNamespace) -> None:
    import jsonschema_rs

    document = server.client.get("/openapi.json").json()

    def check(value: Any, name: str) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.validator_for(schema).validate(value)

    check(server.post(kit.golden, threshold=0.3).json(), "Prediction")
    check(server.post(kit.golden, mask="rle", threshold=0.3).json(), "Prediction")
    check(server.post(kit.golden, threshold=7).json(), "ProblemOut")
    check(server.client.get("/nothing").json(), "ProblemOut")
    check(server.client.get("/models").json(), "ModelList")
    check(server.client.get("/health/ready").json(), "Ready")
    check(server.client.get("/version").json(), "Version")
    with pytest.raises(jsonschema_rs.ValidationError):
        check({"status": 422}, "ProblemOut")
