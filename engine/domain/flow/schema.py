"""The language as a JSON Schema. Read `language_schema`.

`schema.json` is what editors get and what `shape` checks a definition against. Beside JSON Schema
2020-12 it has annotations that other readers ignore:

* `x-later`: keys or values of the language that this version does not implement;
* `x-later-with`: keys that are not implemented beside another key;
* `x-checked-by`: the part that checks what is inside, because it says more than a schema can;
* `x-says`: what a `pattern` means, to complete "must be …";
* `x-missing`: why a required key is, to add to "is missing".
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]


@cache
def language_schema() -> Schema:
    """Return the JSON Schema of `flow/v1`, read once. Do not change it."""
    text = resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    schema: Schema = json.loads(text)
    return schema


def resolve(schema: Schema) -> Schema:
    """Return a part of the language's schema with what its `$ref` names merged in.

    What stands beside a `$ref` is more specific and wins.
    """
    while "$ref" in schema:
        target = _find(schema["$ref"])
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **beside}
    return schema


@cache
def _find(reference: str) -> Schema:
    found: Schema = language_schema()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
