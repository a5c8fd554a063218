"""The action `transform/cel@1`: makes a value of other values. Read `SPEC` first."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from core.kernel.limits import EXPRESSION_CHARS_MAX, TRANSFORM_FIELD_COUNT_MAX
from core.kernel.types import Json
from engine.actions.contract import (
    INVALID,
    PERMANENT,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    recordable,
)
from engine.domain.expressions import ExpressionError
from engine.expressions import CelEvaluator

_NAME = r"^[a-z][a-z0-9_]{0,63}$"
_EVALUATOR = CelEvaluator()


def transform(call: ActionCall) -> Json:
    """Evaluate `expression`, or each of `fields`, over the names in `values`.

    Returns:
        The value of `expression`, or a map from each field's name to its value.

    Raises:
        ActionError: `invalid` for an expression that does not compile, `permanent` for one that
            has no value, such as a division by zero.
    """
    arguments = call.arguments
    check_arguments(SPEC.input_validator, arguments)
    for parts, message in find_faults(arguments):
        where = "/".join(str(part) for part in parts)
        raise ActionError(INVALID, f"with/{where}: {message}")
    values = cast("dict[str, Json]", arguments.get("values", {}))
    try:
        if "expression" in arguments:
            return recordable(_EVALUATOR.evaluate(cast("str", arguments["expression"]), values))
        fields = cast("Mapping[str, str]", arguments["fields"])
        return recordable(
            {name: _EVALUATOR.evaluate(text, values) for name, text in fields.items()}
        )
    except ExpressionError as error:
        raise ActionError(PERMANENT, f"{error.expression}: {error.reason}") from error


def find_faults(arguments: Mapping[str, Json]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the expressions that do not compile.

    An expression is code, so it is written in the definition: a `${{ … }}` inside one would let
    data choose what is evaluated.
    """
    values = arguments.get("values", {})
    if not isinstance(values, Mapping):  # one `${{ … }}`: the names are not known yet
        yield ("values",), "Name the values here, so that the expressions can be checked."
        return
    for parts, text in _expressions(arguments):
        if "${{" in text:
            yield parts, "An expression holds no `${{ … }}`; give the value a name in `values`."
            continue
        try:
            _EVALUATOR.check(text, names=frozenset(values))
        except ExpressionError as error:
            yield parts, f"The expression does not compile: {error.reason}."


def _expressions(arguments: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if "expression" in arguments:
        yield ("expression",), arguments["expression"]
    for name, text in arguments.get("fields", {}).items():
        yield ("fields", name), text


_EXPRESSION = {"type": "string", "minLength": 1, "maxLength": EXPRESSION_CHARS_MAX}

SPEC = ActionSpec(
    name="transform/cel",
    version=1,
    input_schema=object_schema(
        {
            "expression": _EXPRESSION,
            "fields": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": TRANSFORM_FIELD_COUNT_MAX,
                "propertyNames": {"pattern": _NAME},
                "additionalProperties": _EXPRESSION,
            },
            "values": {"type": "object", "propertyNames": {"pattern": _NAME}},
        },
        oneOf=[{"required": ["expression"]}, {"required": ["fields"]}],
    ),
    output_schema={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    idempotent=True,
    pure=True,
    execute=transform,
    find_faults=find_faults,
)
