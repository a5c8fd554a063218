"""The reference page of the actions, made from what they declare. Read `render_actions`."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.kernel import limits
from engine.actions.contract import ActionSpec
from engine.actions.samples import SAMPLES

_HEAD = """\
# Actions

What a step may name with `uses:`. Made by `manage.py write_flow_reference` from the code; a test
compares.

An action is executed by a worker, at least once. How it failed is an error kind, which
`retry: {errors: […]}` names; every action also knows `transient` (trying again may help),
`timeout`, `permanent` and `invalid` (the arguments break its contract). Texts in `with:` may hold
`${{ … }}`, except where data would choose code. To bring your own, see
[Add an action or a function](../how-to/add-an-action.md).
"""
_LIMIT = re.compile(r"`([A-Z_]+_MAX)`")
_SECTION = re.compile(r"^(Returns|Raises|Args):\n((?:[ ]{4}.*\n?|\n)*)", re.MULTILINE)


def render_actions(specs: Iterable[ActionSpec]) -> str:
    """Return the page in Markdown, the actions sorted by name."""
    ordered = sorted(specs, key=lambda item: item.reference)
    page = "\n".join([_HEAD, *("\n".join(_lines(spec)) for spec in ordered)])
    return _LIMIT.sub(lambda found: f"{getattr(limits, found[1]):,}", page)


def _lines(spec: ActionSpec) -> Iterator[str]:
    text = inspect.cleandoc(spec.execute.__doc__ or "") + "\n"
    sections = {name: inspect.cleandoc(body) for name, body in _SECTION.findall(text)}
    yield f"## {spec.reference}\n"
    yield _SECTION.sub("", text).strip() + "\n"
    yield _repeating(spec) + "\n"
    yield f"```yaml\n{SAMPLES[spec.reference].strip()}\n```\n"
    yield from _arguments(spec.input_schema)
    yield f"**Result**: {sections['Returns']}\n"
    failures = sections["Raises"].removeprefix("ActionError:").strip()
    yield f"**Fails with** {' '.join(failures.split())}\n"


def _repeating(spec: ActionSpec) -> str:
    if spec.pure:
        return "Pure: it changes nothing, so doing it again does no harm."
    if spec.idempotent:
        return "Idempotent: doing it again with the same key changes nothing more."
    return (
        "Not idempotent: what it changes may be changed twice when a worker dies; see `delivery`."
    )


def _arguments(schema: Mapping[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    yield "| argument | | is |\n|---|---|---|"
    for name, item in schema.get("properties", {}).items():
        yield f"| `{name}` | {'required' if name in required else ''} | {_describe(item)} |"
    if schema.get("additionalProperties", True) is not False:
        yield "| any other | | handed on by its name |"
    yield ""


def _describe(schema: Any) -> str:
    """Return a JSON Schema in a few words."""
    if schema is True:
        return "any value"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(item)}`" for item in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(_describe(item) for item in schema["oneOf"])
    kind = {"string": "text", "boolean": "true or false", "integer": "a whole number"}.get(
        schema.get("type", "")
    )
    if schema.get("type") == "array":
        kind = f"a list of {_describe(schema.get('items', True))}"
    elif schema.get("type") == "object":
        inner = schema.get("properties", {})
        named = ", ".join(f"`{name}`: {_describe(item)}" for name, item in inner.items())
        kind = f"a map ({named})" if named else "a map"
    bounds = [
        f"{words} {schema[key]:,}"
        for key, words in (
            ("maxLength", "at most characters:"),
            ("maxItems", "at most items:"),
            ("maxProperties", "at most keys:"),
            ("minimum", "from"),
            ("maximum", "to"),
        )
        if key in schema
    ]
    return "; ".join([kind or "any value", *bounds])
