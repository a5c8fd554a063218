"""Examples of the engine's bodies and answers in the OpenAPI document."""

from typing import Final

from drf_spectacular.utils import OpenApiExample

_SOURCE: Final = """\
schema: flow/v1
kind: dag
name: hello
title: Say hello
steps:
  greet:
    uses: python/call@1
    with: {function: demo.greet, name: World}
"""

SAVE: Final = OpenApiExample(
    "A definition",
    value={"source": _SOURCE, "message": "Say hello to everybody."},
    request_only=True,
)
DEFINITION_INVALID: Final = OpenApiExample(
    "A definition that names an unknown action",
    value={
        "type": "urn:countersign:error:engine.definition_invalid",
        "title": "The definition is not valid.",
        "status": 422,
        "detail": "The definition is not valid.",
        "code": "engine.definition_invalid",
        "instance": "/api/v1/workflows/demo/",
        "request_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "errors": [
            {
                "path": "/steps/greet/uses",
                "message": "There is no action python/cal@1; do you mean python/call@1?",
                "code": "flow.unknown_action",
                "severity": "error",
                "line": 7,
                "column": 11,
            }
        ],
    },
    response_only=True,
    status_codes=["422"],
)
START: Final = OpenApiExample(
    "A release", value={"inputs": {"environment": "production"}}, request_only=True
)
STARTED: Final = OpenApiExample(
    "A run",
    value={"id": "01890a5d-ac96-774b-bcce-b302099a8057", "number": 42, "replayed": False},
    response_only=True,
    status_codes=["201"],
)
INPUTS_INVALID: Final = OpenApiExample(
    "Inputs that do not match the schema",
    value={
        "type": "urn:countersign:error:engine.inputs_invalid",
        "title": "The inputs do not match the workflow's schema.",
        "status": 422,
        "detail": "The inputs do not match the workflow's schema.",
        "code": "engine.inputs_invalid",
        "instance": "/api/v1/workflows/demo/release/runs/",
        "request_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "errors": [
            {
                "path": "/inputs/environment",
                "message": "'moon' is not one of ['staging', 'production']",
                "code": "engine.input.enum",
                "severity": "error",
                "line": None,
                "column": None,
            }
        ],
    },
    response_only=True,
    status_codes=["422"],
)
