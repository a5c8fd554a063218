"""Which steps would not be the same in another version or with other inputs. Read `find_changed`.

It may name too many, never too few: what it names is executed again instead of being taken over.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.types import Json
from engine.domain.plan import Call, Kind, Plan, Step, inner_steps
from engine.domain.plan_json import plan_to_json
from engine.domain.rerunning import Why

_MEMBER = r"""\s*(?:\.\s*(\w+)|\[\s*["']([^"'\\]*)["']\s*\])?"""
_NAMES = {name: re.compile(rf"\b{name}\b{_MEMBER}") for name in ("inputs", "vars")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run is started with: its plan, the versions its calls choose, its inputs and vars."""

    plan: Plan
    calls: Mapping[str, Json]
    inputs: Mapping[str, Json]
    variables: Mapping[str, Json]


def find_changed(before: Setting, after: Setting) -> dict[str, Why]:
    """Return the ids of outermost steps, or of states, that differ between two runs, and why.

    A step differs if its definition does, if it calls another version, or if an expression in it
    reads an input or a var that differs. Steps the second plan does not have differ too.
    """
    old, new = _nodes(before.plan), _nodes(after.plan)
    inputs = differences(before.inputs, after.inputs)
    variables = differences(before.variables, after.variables)
    found: dict[str, Why] = {}
    for name in {**new, **old}:
        is_same = name in old and name in new and _is_equal(old[name], new[name])
        calls = _calls(after, name)
        if not is_same or any(before.calls.get(item) != after.calls.get(item) for item in calls):
            found[name] = Why.CHANGED
        elif reads(new[name], "inputs", inputs) or reads(new[name], "vars", variables):
            found[name] = Why.INPUTS
    return found


def _nodes(plan: Plan) -> dict[str, Json]:
    """Return the outermost steps, or the states, of a plan as JSON."""
    written: Any = plan_to_json(plan)
    nodes = written.get("states" if plan.kind == Kind.STATES else "steps") or {}
    items = nodes if isinstance(nodes, list) else list(nodes.values())
    return {str(item["id"]): item for item in items}


def _calls(setting: Setting, name: str) -> Iterator[str]:
    plan = setting.plan
    node = plan.states.get(name)
    step = plan.steps.get(name) if node is None else node.step
    if step is not None:
        yield from _references(step)


def _references(step: Step) -> Iterator[str]:
    if isinstance(step.verb, Call):
        yield step.verb.reference
    for inner in inner_steps(step).values():
        yield from _references(inner)


def differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> frozenset[str]:
    """Return the names that only one of two maps has, or whose values differ."""
    names = {*before, *after}
    missing = {name for name in names if name not in before or name not in after}
    return frozenset(
        missing | {name for name in names - missing if not _is_equal(before[name], after[name])}
    )


def _is_equal(first: Json, second: Json) -> bool:
    try:  # 1 and 1.0 are one value, 1 and true are two
        return canonical_bytes(first) == canonical_bytes(second)
    except UncanonicalError:
        return False


def reads(node: Json, variable: str, names: Collection[str]) -> bool:
    """Say whether any text of a node may read one of these members of a variable."""
    return bool(names) and any(_mentions(text, variable, names) for text in _texts(node))


def _mentions(text: str, variable: str, names: Collection[str]) -> bool:
    for match in _NAMES[variable].finditer(text):
        name = match.group(1) or match.group(2)
        if name is None or name in names:  # without a name, all of it
            return True
    return False


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
