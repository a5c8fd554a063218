"""The language's reference page, made from its schema. Read `render_reference`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from core.kernel import limits
from engine.domain.flow.problems import Code
from engine.domain.flow.samples import SAMPLES
from engine.domain.flow.schema import Schema, language_schema, resolve

# The parts with a section of their own, in the order of the page; `action` and the like have none.
_SECTIONS = (
    *("trigger", "schedule", "eventTrigger", "webhook", "runFinished", "concurrency"),
    *("step", "wait", "emit", "branch", "map", "strategy", "loop", "enough", "retry"),
    *("state", "transition", "stateEvent", "approval", "stage", "approvers"),
)
_SHARED = "#/$defs/step/properties/"  # what branches and states take over from steps
_MEANINGS: Mapping[Code, str] = {
    Code.NOT_TEXT: "A character that cannot be in a definition, or bytes that are not UTF-8.",
    Code.TOO_LARGE: "Over a bound on bytes, nesting or the number of values.",
    Code.SYNTAX: "Not YAML.",
    Code.UNSUPPORTED_YAML: "An anchor, alias, merge key, tag, directive or second document.",
    Code.DUPLICATE_KEY: "A key that is there already.",
    Code.BAD_KEY: "A key that is no text.",
    Code.BAD_SCALAR: "A number or text JSON cannot hold exactly.",
    Code.NOT_IMPLEMENTED: "Part of flow/v1, but not available in this version.",
    Code.UNKNOWN_KEY: "A key the language does not have there.",
    Code.MISSING_KEY: "A key that must be there is not.",
    Code.WRONG_TYPE: "A text where a list is needed, and the like.",
    Code.WRONG_VALUE: "A value out of bounds or not among the choices.",
    Code.BAD_DURATION: "No ISO 8601 duration, or one out of bounds.",
    Code.ONE_VERB: "A step without a verb or with several.",
    Code.MISPLACED_KEY: "A key that has no meaning beside the others.",
    Code.UNKNOWN_NEED: "`needs` names no step.",
    Code.CYCLIC_NEEDS: "Steps that need each other in a circle.",
    Code.UNKNOWN_ACTION: "`uses` names no installed action.",
    Code.UNKNOWN_FUNCTION: "`python/call` names no registered function.",
    Code.BAD_ARGUMENTS: "`with` does not fit the action.",
    Code.BAD_EXPRESSION: "An expression that does not compile.",
    Code.UNKNOWN_STEP: "An expression or `on-error` names no step.",
    Code.NOT_UPSTREAM: "An expression reads a step that need not have ended.",
    Code.UNKNOWN_FIELD: "An expression reads what is never there.",
    Code.UNREAD_OUTCOME: "`all-settled` after an approval whose outcome no `if` reads.",
    Code.BAD_COMPENSATION: "Something could not be undone when it has to be.",
    Code.BAD_INPUTS: "`inputs` is no usable JSON Schema.",
    Code.BAD_BLOCK: "What a verb says about its block, when it has no code of its own.",
    Code.DUPLICATE_ID: "An id of a step or state that is there already, at whatever depth.",
    Code.BAD_JOIN: "A `join` that can never hold.",
    Code.BAD_NAME: "An `as` that means something else there.",
    Code.BAD_MATRIX: "A `strategy` without combinations, or with too many.",
    Code.NOT_REPEATABLE: "`lazy` on an action that may not be done twice.",
    Code.ENDLESS_CALL: "A workflow that calls itself whatever happens.",
    Code.UNKNOWN_STATE: "`initial`, or a way out, names no state.",
    Code.UNREACHABLE_STATE: "A state that no way leads to.",
    Code.DEAD_END: "A state that is not final and that no way leads out of.",
    Code.NO_FINAL: "A machine whose runs could never end.",
    Code.MODEL_DECIDES: "Who decides, or whether anybody is asked, depends on what a model says.",
    Code.DEAD_TRANSITION: "A way out that could never be taken, or an event nothing follows from.",
    Code.RECURSION: "Warning: a workflow that calls itself under a condition.",
    Code.BAD_SCHEDULE: "A schedule that cannot be read, or is never due.",
    Code.BAD_TRIGGER: "A trigger that gives too little for a run to start.",
    Code.NO_WAY_TO_FINAL: "Warning: a state from which no final one can be reached.",
    Code.UNKNOWN_INPUT: "Warning: an expression reads an input that is not declared.",
    Code.TRIGGER_CIRCLE: "Warning: a workflow whose runs start further runs of it.",
    Code.UNDECLARED_SECRET: "A secret is used that `secrets` does not list.",
    Code.MISPLACED_SECRET: "A secret stands where its value would go on record.",
    Code.UNUSED_SECRET: "Warning: a secret is declared and not used.",
    Code.UNKNOWN_SECRET: "Warning, when publishing: the project has no secret of that name.",
    Code.NOT_IDEMPOTENT: "Warning: a compensation that may not be safe to repeat.",
}

_TEXT = f"""## The text

YAML 1.2 in UTF-8, of which JSON is a part: `yes` and `on` are texts, `true` and `false` are not.
Refused are anchors, aliases, merge keys, tags, a second document, a key that is there twice or is
no text, numbers JSON cannot hold exactly, and invisible characters. A definition has at most
{limits.SOURCE_BYTES_MAX // 1024} kB, {limits.SOURCE_NODE_COUNT_MAX} values (keys count too) and
{limits.SOURCE_DEPTH_MAX} levels.

## Expressions

CEL, the Common Expression Language, at most {limits.EXPRESSION_CHARS_MAX} characters. Keys of the
kind CEL below take an expression as it is. In other texts `${{{{ … }}}}` is replaced by its value:
a text that is one `${{{{ … }}}}` keeps the value's type, inside a longer text a text is written as
it is and any other value as JSON. `$${{{{` writes `${{{{`.

* `inputs`, `vars`, `run`, and `steps.<id>` with `outcome`, `outputs` and `error` (`kind`,
  `message`). A step reads steps it needs, directly or through others; inside a group or a race also
  what those around it read; from outside, only the group is seen. `steps` alone has no value.
* `result` in `outputs`, `until` and `while`; `matrix` in a step with `strategy`; what `as` says in
  a step with `map`; `event` (`type`, `data`, `id`) on the ways out of a state by an event.
* A missing key is an error, so ask first: `has(inputs.ticket) && inputs.ticket != ''`.
* Whole numbers and fractions compare, but do not add: `inputs.count + 1.0` is an error when
  `count` is 3. Write money in minor units.
* An expression that is only a path, such as `steps.scan.outputs.files`, takes any value. One that
  computes may read lists of {limits.LIST_ITEM_COUNT_MAX} items and texts of
  {limits.EXPRESSION_TEXT_CHARS_MAX} characters.
* `map()` and `filter()` take lists, not maps, whose keys have no order. `all()` and `exists()`
  take both.
* `matches()` is RE2: no look-around, no back-references, no hanging.
* The value is JSON: timestamps become RFC 3339 and durations ISO 8601; bytes are an error.
"""


def render_reference() -> str:
    """Return the page in Markdown, the same for the same schema."""
    schema = language_schema()
    lines = [
        "# The definition language `flow/v1`",
        "",
        "Made from `engine/domain/flow/schema.json`; do not edit. Editors get that schema at",
        "`/api/v1/schemas/flow/v1/` of any installation, and check and complete what is typed.",
        "",
        schema["description"],
        "",
        *_TEXT.split("\n"),
        *_section("The definition", schema),
    ]
    for name in _SECTIONS:
        part = schema["$defs"][name]
        lines += [*_section(part["title"], part)]
    lines += _samples()
    lines += ["## Problems", "", "| code | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in _MEANINGS.items()]
    lines += ["", "Codes that do not start with `flow.` are those of the block of a verb.", ""]
    return "\n".join(lines)


def _section(title: str, schema: Schema) -> Iterator[str]:
    yield from (f"## {title}", "")
    if schema is not language_schema():
        yield from (schema["description"], "")
    yield from ("| key | value | meaning |", "|---|---|---|")
    yield from _rows(schema, prefix="", required=schema.get("required", ()))
    yield ""
    later = [f"`{key}`" for key in schema.get("x-later", ())]
    if later:
        yield from (f"In a later version: {', '.join(later)}.", "")


def _samples() -> Iterator[str]:
    yield from ("## Examples", "")
    for sample in SAMPLES:
        yield from (f"### {sample.title}", "", "```yaml", *sample.text.splitlines(), "```", "")


def _rows(schema: Schema, *, prefix: str, required: Any) -> Iterator[str]:
    for key, part in schema["properties"].items():
        if str(part.get("$ref", "")).startswith(_SHARED):
            continue  # described with steps
        inner = _with_properties(resolve(part))
        mark = " (required)" if key in required else ""
        yield f"| `{prefix}{key}`{mark} | {_value(part)} | {_meaning(part)} |"
        if "properties" in inner and not _target(part):
            yield from _rows(inner, prefix=f"{prefix}{key}.", required=inner.get("required", ()))


def _with_properties(schema: Schema) -> Schema:
    """Return the option of an `anyOf` that is a map with keys of its own, if there is one."""
    options = [resolve(option) for option in schema.get("anyOf", ()) if not _target(option)]
    return next((option for option in options if "properties" in option), schema)


def _target(part: Schema) -> str:
    """Return the part of the page a value is described in, or nothing."""
    name = str(part.get("$ref", "")).removeprefix("#/$defs/")
    return name if name in _SECTIONS else ""


def _value(part: Schema) -> str:
    target = _target(part)
    if target:
        return f"[{target}](#{_anchor(target)})"
    schema = resolve(part)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_value(option) for option in schema["anyOf"]))
    choices = [schema["const"]] if "const" in schema else schema.get("enum", ())
    if choices:
        return ", ".join(f"`{_written(choice)}`" for choice in choices)
    if schema.get("format") == "duration":
        return "duration"
    return "CEL" if part.get("$ref") == "#/$defs/expression" else _kind(schema)


def _kind(schema: Schema) -> str:
    kinds = {"object": "map", "array": "list", "string": "text", "integer": "whole number"}
    types = schema.get("type", "anything")
    types = [types] if isinstance(types, str) else types
    words = " or ".join(kinds.get(name, name) for name in types if name != "null")
    inner = schema.get("items", schema.get("additionalProperties"))
    if isinstance(inner, Mapping) and words in {"map", "list"}:
        return f"{words} of {_value(inner)}"
    if "minimum" in schema:
        return f"{words}, {schema['minimum']} to {schema['maximum']}"
    return words


def _meaning(part: Schema) -> str:
    schema = resolve(part)
    words = [schema.get("description", "")]
    if "default" in schema:
        words.append(f"Default: `{_written(schema['default'])}`.")
    if "examples" in part:
        words.append(f"Example: `{_written(part['examples'][0])}`.")
    items = schema.get("items", {})
    later = [
        f"`{key}`"
        for inner in (schema, {} if _target(items) else resolve(items))
        for key in inner.get("x-later", ())
    ]
    if later and not _target(part):
        words.append(f"In a later version: {', '.join(later)}.")
    return " ".join(word for word in words if word).replace("|", "\\|")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _anchor(name: str) -> str:
    title = language_schema()["$defs"][name]["title"]
    return str(title).lower().replace(" ", "-")
