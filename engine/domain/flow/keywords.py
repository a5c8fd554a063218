"""The keywords of JSON Schema 2020-12 an author may use, and what each must be.

Read `VALUES` first. A keyword in none of the tables is unknown.
"""

from collections.abc import Callable, Mapping

from core.kernel.types import Json
from engine.domain.flow.problems import listed

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
# Keywords whose value is a schema, a list of schemas, a map of names to schemas.
SCHEMA = frozenset(
    {"items", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not"}
)
SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
SCHEMA_MAPS = frozenset({"properties", "$defs", "dependentSchemas"})
_COUNTED = ("Length", "Items", "Properties", "Contains")
# Keywords of the standard that are not accepted → what is.
REFUSED = {
    "patternProperties": "list the names in `properties`",
    "unevaluatedItems": "use `items`",
    "unevaluatedProperties": "use `additionalProperties`",
    "definitions": "use `$defs`",
    "dependencies": "use `dependentRequired` or `dependentSchemas`",
    **dict.fromkeys(
        (
            "$id",
            "$anchor",
            "$vocabulary",
            "$dynamicRef",
            "$dynamicAnchor",
            "$recursiveRef",
            "$recursiveAnchor",
        ),
        "only `$ref` to a part of the same schema (`#/$defs/…`) is",
    ),
}


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_step(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_list(value: Json) -> bool:
    return isinstance(value, list)


def _is_anything(_: Json) -> bool:
    return True


def _is_names(value: Json) -> bool:
    if not isinstance(value, list):
        return False
    texts = [item for item in value if isinstance(item, str)]
    return len(texts) == len(value) == len(set(texts))


def _is_types(value: Json) -> bool:
    if isinstance(value, str):
        return True  # which one is looked at by itself
    return isinstance(value, list) and _is_names(value) and set(TYPES).issuperset(map(str, value))


def _is_map_of_names(value: Json) -> bool:
    return isinstance(value, dict) and all(_is_names(item) for item in value.values())


# Keyword → what its value must satisfy, and that in words.
VALUES: Mapping[str, tuple[Callable[[Json], bool], str]] = {
    "type": (_is_types, f"{listed(TYPES)}, or a list of different ones"),
    "required": (_is_names, "a list of different names"),
    "dependentRequired": (_is_map_of_names, "a map of lists of different names"),
    **dict.fromkeys(("default", "const"), (_is_anything, "anything")),
    **dict.fromkeys(("enum", "examples"), (_is_list, "a list")),
    **dict.fromkeys(
        (
            "title",
            "description",
            "$comment",
            "format",
            "pattern",
            "$ref",
            "$schema",
            "contentEncoding",
            "contentMediaType",
        ),
        (_is_text, "a text"),
    ),
    **dict.fromkeys(
        ("uniqueItems", "readOnly", "writeOnly", "deprecated"), (_is_flag, "`true` or `false`")
    ),
    **dict.fromkeys(
        (f"{bound}{what}" for bound in ("min", "max") for what in _COUNTED),
        (_is_count, "a whole number, 0 or more"),
    ),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_is_number, "a number")
    ),
    "multipleOf": (_is_step, "a number over 0"),
}
