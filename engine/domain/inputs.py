"""A run's inputs: what can be kept of them, and whether they match. Read `keep_inputs` first."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from math import isfinite
from typing import Any

from jsonschema.exceptions import ValidationError

from core.kernel import limits
from core.kernel.canonical import canonical_bytes
from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.domain.errors import InputsInvalidError, InputsTooLargeError
from engine.domain.flow.input_schema import BoundedValidator

_INTEGER_MAX = 2**53 - 1
_EXPONENT_FROM = 1e21  # from here on, canonical JSON writes an exponent, which stays a float


def keep_inputs(inputs: Json) -> Json:
    """Return inputs as the ledger will give them back: 1.0 is recorded, and so seen, as 1.

    Raises:
        InputsInvalidError: canonical JSON cannot keep something in them, such as 1e17, which would
            come back as an integer over 2^53-1; `problems` says where.
        InputsTooLargeError: they are over `limits.INPUT_BYTES_MAX`.
        UncanonicalError: they are not JSON.
    """
    _refuse_unkept(inputs)
    written = canonical_bytes(inputs)
    if len(written) > limits.INPUT_BYTES_MAX:
        raise InputsTooLargeError(
            f"The inputs have {len(written)} bytes; at most {limits.INPUT_BYTES_MAX} are accepted."
        )
    kept: Json = json.loads(written)
    return kept


def check_inputs(validator: BoundedValidator, inputs: Json) -> dict[str, Json]:
    """Return inputs that `keep_inputs` let through, with the schema's defaults filled in.

    Raises:
        InputsInvalidError: they do not match; `problems` has one item for each error, in the order
            of their paths (at most `limits.PROBLEM_COUNT_MAX`).
    """
    schema: Any = validator.schema
    filled = _with_defaults(schema, inputs)
    errors = sorted(validator.iter_errors(filled), key=lambda error: error.json_path)
    problems = [
        Problem(
            message=error.message[: limits.ERROR_CHARS_MAX],
            path="".join(f"/{_escape(part)}" for part in _place_of(error)),
            code=f"engine.input.{error.validator}",
        )
        for error in errors[: limits.PROBLEM_COUNT_MAX]
    ]
    if problems or not isinstance(filled, dict):
        raise InputsInvalidError(problems=problems)
    _refuse_unkept(filled)  # a default may be what cannot be kept
    return filled


def _place_of(error: ValidationError) -> list[str | int]:
    """Return where an error stands; a value that is missing is the place, so that forms show it."""
    path = list(error.absolute_path)
    if error.validator != "required":
        return path
    required: Any = error.validator_value
    return [*path, *[name for name in required if error.message.startswith(repr(name))][:1]]


def _refuse_unkept(inputs: Json) -> None:
    problems = tuple(islice(_list_unkept(inputs), limits.PROBLEM_COUNT_MAX))
    if problems:
        raise InputsInvalidError("The inputs hold what cannot be recorded.", problems=problems)


def _list_unkept(inputs: Json) -> Iterator[Problem]:
    """Yield what canonical JSON cannot keep, in the order of the text. Nesting costs no stack."""
    pending: list[tuple[str, Json]] = [("", inputs)]
    while pending:
        path, value = pending.pop()
        reason = _reason_unkept(value)
        if reason:
            yield Problem(message=reason, path=path, code="engine.input.uncanonical")
        elif isinstance(value, dict):
            inside = [(f"{path}/{_escape(key)}", key, item) for key, item in value.items()]
            for place, key, _ in inside:
                if reason := _reason_unkept(key):
                    yield Problem(message=reason, path=place, code="engine.input.uncanonical")
            pending += [(place, item) for place, _, item in reversed(inside)]
        elif isinstance(value, list):
            inside_list = [(f"{path}/{index}", item) for index, item in enumerate(value)]
            pending += reversed(inside_list)


def _reason_unkept(value: Json) -> str:
    if isinstance(value, str):
        readable = value.isascii() or value.encode("utf-8", "replace").decode() == value
        return "" if readable else "The text is no valid Unicode."
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float) and not isfinite(value):
        return "The number is not finite."
    if abs(value) > _INTEGER_MAX and (isinstance(value, int) or abs(value) < _EXPONENT_FROM):
        return "The whole number is over 2^53-1; send it as text."
    return ""


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
    text = str(part).encode("utf-8", "replace").decode()
    return text.replace("~", "~0").replace("/", "~1")
