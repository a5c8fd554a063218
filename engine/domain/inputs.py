"""Checking a run's inputs against a version's JSON Schema. Read `check_inputs`."""

from collections.abc import Mapping
from typing import Any

from jsonschema.protocols import Validator

from core.kernel import limits
from core.kernel.canonical import canonical_bytes
from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.domain.errors import InputsInvalidError, InputsTooLargeError


def check_inputs(validator: Validator, inputs: Json) -> dict[str, Json]:
    """Return the inputs with the schema's defaults filled in.

    Raises:
        InputsInvalidError: they do not match; `problems` has one item for each error, in the order
            of their paths (at most `limits.PROBLEM_COUNT_MAX`).
        InputsTooLargeError: they are over `limits.INPUT_BYTES_MAX`.
        UncanonicalError: they are not JSON.
    """
    size = len(canonical_bytes(inputs))
    if size > limits.INPUT_BYTES_MAX:
        raise InputsTooLargeError(
            f"The inputs have {size} bytes; at most {limits.INPUT_BYTES_MAX} are accepted."
        )
    schema: Any = validator.schema
    filled = _with_defaults(schema, inputs)
    errors = sorted(validator.iter_errors(filled), key=lambda error: error.json_path)
    problems = [
        Problem(
            message=error.message[: limits.ERROR_CHARS_MAX],
            path="".join(f"/{_escape(part)}" for part in error.absolute_path),
            code=f"engine.input.{error.validator}",
        )
        for error in errors[: limits.PROBLEM_COUNT_MAX]
    ]
    if problems or not isinstance(filled, dict):
        raise InputsInvalidError(problems=problems)
    return filled


def _with_defaults(schema: Mapping[str, Any], value: Json) -> Json:
    """Return a value with `default`s of `properties` filled in, at every depth."""
    if not isinstance(value, dict):
        return value
    properties: Mapping[str, Any] = schema.get("properties", {})
    filled: dict[str, Json] = dict(value)
    for name, inner in properties.items():
        if not isinstance(inner, Mapping):
            continue
        if name not in filled and "default" in inner:
            filled[name] = inner["default"]
        if name in filled:
            filled[name] = _with_defaults(inner, filled[name])
    return filled


def _escape(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
