"""The inputs of a workflow, in the order in which their author wrote them. Read `order_inputs`."""

from typing import Any

from core.kernel.types import Json
from engine.domain.flow.loader import load


def order_inputs(schema: dict[str, Any], *, source: str) -> dict[str, Any]:
    """Return a schema with its properties in the order of the definition's text.

    The database keeps no order of keys. What the text does not have stays, at the end.
    """
    properties = schema.get("properties")
    if not source or not isinstance(properties, dict):
        return schema
    written = _at(_at(load(source).value, "inputs"), "properties")
    names = [name for name in written if name in properties] if isinstance(written, dict) else []
    return {**schema, "properties": {**{name: properties[name] for name in names}, **properties}}


def _at(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, dict) else None
