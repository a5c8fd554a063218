"""Whether an action's arguments fit its input schema. Read `find_argument_faults` first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from core.kernel.types import Json
from engine.domain.flow.problems import did_you_mean, quoted
from engine.domain.flow.templates import list_texts

# What these say depends on the keys or the length of a value, never on the texts inside it.
_OUTER = frozenset(
    {"required", "additionalProperties", "dependentRequired", "propertyNames"}
    | {"minProperties", "maxProperties", "minItems", "maxItems"}
)
_MESSAGE_CHARS_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentFault:
    """An argument that does not fit; `parts` lead to it from the arguments."""

    parts: tuple[str | int, ...]
    message: str
    at_key: bool = False


def find_argument_faults(
    arguments: Mapping[str, Json], schema: Mapping[str, Any]
) -> Iterator[ArgumentFault]:
    """Yield what is certainly wrong with arguments. What a `${{ … }}` will be is not known yet."""
    for error in Draft202012Validator(dict(schema)).iter_errors(dict(arguments)):
        if _is_certain(error):
            yield from _faults(error)


def _is_certain(error: ValidationError) -> bool:
    if error.validator in _OUTER:
        return True
    if error.validator == "type":
        return not (isinstance(error.instance, str) and "${{" in error.instance)
    instance: Any = error.instance
    return next(list_texts(instance), None) is None


def _faults(error: ValidationError) -> Iterator[ArgumentFault]:
    parts = tuple(error.absolute_path)
    instance: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "additionalProperties" and wanted is False:
        known: Mapping[str, Any] = schema.get("properties", {})
        for key in instance:
            if key not in known:
                message = f"The action takes no {quoted(key)}.{did_you_mean(key, known)}"
                yield ArgumentFault(parts=(*parts, key), message=message, at_key=True)
    elif error.validator == "required":
        missing = [key for key in wanted if key not in instance]
        message = f"The action needs {', '.join(f'`{key}`' for key in missing)}."
        yield ArgumentFault(parts=parts, message=message, at_key=True)
    else:
        yield ArgumentFault(parts=parts, message=f"{error.message[:_MESSAGE_CHARS_MAX]}.")
