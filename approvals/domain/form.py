"""The form of a request: its schema at publish, its values at the decision. Read `check_values`.

Schemas are JSON Schema 2020-12 with `format` asserted. Nothing is ever fetched: a reference leads
into the schema itself or is refused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from core.kernel import limits
from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.domain.expressions import Evaluator
from engine.domain.flow.input_schema import BoundedValidator

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INTEGER_MAX = 2**53 - 1


def check_schema(schema: Json, *, path: str) -> list[Problem]:
    """Return what is wrong with a form's schema; JSON pointers start with `path`.

    The root must be of type object, because a form is a set of named fields.
    """
    if not isinstance(schema, dict):
        return [_schema_problem("a form is a JSON Schema, written as a mapping", path)]
    try:
        size = len(canonical_bytes(schema))
    except UncanonicalError as error:
        return [_schema_problem(str(error), path)]
    if size > limits.FORM_BYTES_MAX:
        return [_schema_problem(f"the form is over {limits.FORM_BYTES_MAX} bytes", path)]
    problems = []
    if schema.get("$schema", DIALECT) != DIALECT:
        problems.append(_schema_problem(f"a form is written in {DIALECT}", f"{path}/$schema"))
    if schema.get("type") != "object":
        problems.append(_schema_problem("the form's root is `type: object`", f"{path}/type"))
    problems += [
        _schema_problem(f"the reference {reference!r} leads out of the form", f"{path}{pointer}")
        for pointer, reference in _foreign_references(schema, "")
    ]
    try:
        Draft202012Validator.check_schema(
            schema, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
    except SchemaError as error:
        problems.append(_schema_problem(error.message, path + pointer_of(error.absolute_path)))
    return problems


def check_values(
    schema: Mapping[str, Json], values: Mapping[str, Json], *, evaluator: Evaluator
) -> list[Problem]:
    """Return everything that is wrong with form values, at most `limits.PROBLEM_COUNT_MAX`.

    Paths are JSON pointers that start with `/form`. Patterns are matched in linear time: a decision
    holds locks while this runs.
    """
    unstorable = check_storable(dict(values), path="/form")
    if unstorable:
        return unstorable
    validator = BoundedValidator(schema, evaluator=evaluator, asserts_format=True)
    try:
        errors = sorted(validator.iter_errors(dict(values)), key=_place)
    except (Unresolvable, RecursionError) as error:
        message = f"the form's schema cannot be applied: {error}"
        return [Problem(message=message, path="/form", code="approvals.form.schema")]
    return [_value_problem(error) for error in errors[: limits.PROBLEM_COUNT_MAX]]


def check_storable(value: Json, *, path: str) -> list[Problem]:
    """Return why a value cannot be kept: no canonical form, too large, a NUL, a huge float."""
    try:
        size = len(canonical_bytes(value))
    except UncanonicalError as error:
        return [Problem(message=str(error), path=path, code="approvals.form.uncanonical")]
    if size > limits.FORM_BYTES_MAX:
        message = f"this is over {limits.FORM_BYTES_MAX} bytes"
        return [Problem(message=message, path=path, code="approvals.form.too_large")]
    if has_nul(value):
        message = "texts cannot hold the character NUL"
        return [Problem(message=message, path=path, code="approvals.form.nul")]
    if has_wide_float(value):
        message = "numbers over 2^53-1 cannot be kept; write them as text"
        return [Problem(message=message, path=path, code="approvals.form.uncanonical")]
    return []


def merge(earlier: Mapping[str, Json], given: Mapping[str, Json]) -> dict[str, Json]:
    """Return the values that stand when a later approver gives some: an omitted one is kept."""
    return {**earlier, **given}


def has_nul(value: Json) -> bool:
    """Return whether any text in the value holds a NUL, which PostgreSQL cannot store."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(has_nul(item) for item in value)
    return False


def has_wide_float(value: Json) -> bool:
    """Return whether any float in the value is over 2^53-1.

    PostgreSQL gives it back as an integer (1e22 as a one with 22 zeros), which has no canonical
    form: what was shown would have a digest when it is kept and none when somebody decides.
    """
    if isinstance(value, float):
        return abs(value) > _INTEGER_MAX
    if isinstance(value, dict):
        return any(has_wide_float(item) for item in value.values())
    if isinstance(value, list):
        return any(has_wide_float(item) for item in value)
    return False


def pointer_of(parts: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path; `""` for the root."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _foreign_references(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            here = pointer + pointer_of([key])
            if key in {"$ref", "$dynamicRef"} and isinstance(item, str) and item[:1] != "#":
                yield here, item
            yield from _foreign_references(item, here)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _foreign_references(item, f"{pointer}/{index}")


def _place(error: ValidationError) -> tuple[str, str]:
    return pointer_of(error.absolute_path), str(error.validator)


def _schema_problem(message: str, path: str) -> Problem:
    return Problem(message=message, path=path, code="approvals.block.form")


def _value_problem(error: ValidationError) -> Problem:
    path: Sequence[str | int] = list(error.absolute_path)
    if error.validator == "required":
        # Point at the field that is missing, so that a form can show it there.
        required: Any = error.validator_value
        named = [name for name in required if error.message.startswith(repr(name))]
        path = [*path, *named[:1]]
    return Problem(
        message=error.message[: limits.ERROR_CHARS_MAX],
        path="/form" + pointer_of(path),
        code=f"approvals.form.{error.validator}",
    )
