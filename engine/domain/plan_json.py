"""Plans as JSON. Read `plan_to_json`.

Only what a plan says is written: a field that was added to the language later is left out while it
has its default, so that a version's digest stays what it was when it was published.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from enum import StrEnum
from typing import Any

from core.kernel.canonical import digest
from core.kernel.types import Json
from engine.domain.plan import (
    AfterError,
    AwaitEvent,
    Backoff,
    Cache,
    Call,
    Circuit,
    Compensation,
    Concurrency,
    Emit,
    Enough,
    Group,
    Join,
    Loop,
    Map,
    Matrix,
    On,
    OnConflict,
    OnError,
    Plan,
    Race,
    Rate,
    Retry,
    SetVars,
    StateEvent,
    StateNode,
    Step,
    Stuck,
    Timer,
    Transition,
    Uses,
    Verb,
    Wait,
)
from engine.domain.triggers import trigger_from_json, trigger_to_json

# Fields the first form of plans had: they are always written, as they were then.
_ALWAYS: Mapping[type, frozenset[str]] = {
    Plan: frozenset(
        {
            *("name", "title", "inputs_schema", "variables", "steps", "outputs"),
            *("triggers", "kind", "schema"),
        }
    ),
    Step: frozenset(
        {
            *("id", "verb", "needs", "condition", "condition_reads", "join", "retry"),
            *("timeout_seconds", "compensate", "compensate_on_failure", "on_error"),
            *("outputs", "effect"),
        }
    ),
    Retry: frozenset(Retry.__dataclass_fields__),
    Uses: frozenset(Uses.__dataclass_fields__),
    Compensation: frozenset(Compensation.__dataclass_fields__),
    OnError: frozenset(OnError.__dataclass_fields__),
}
_VERBS: Mapping[type, str] = {
    Uses: "uses",
    Wait: "wait",
    Timer: "timer",
    AwaitEvent: "event",
    Emit: "emit",
    Call: "call",
    SetVars: "set",
    Group: "group",
    Race: "race",
    Map: "map",
    Matrix: "matrix",
    Loop: "loop",
}


def plan_to_json(plan: Plan) -> dict[str, Json]:
    """Return the plan as JSON, the inverse of `plan_from_json`."""
    written: dict[str, Json] = _write(plan)
    if plan.automatic:
        written["automatic"] = [trigger_to_json(trigger) for trigger in plan.automatic]
    return {**written, "order": list(plan.steps)}


def step_to_json(step: Step) -> dict[str, Json]:
    """Return one step as it stands in its plan's JSON, with everything inside it."""
    written: dict[str, Json] = _write(step)
    return written


def node_to_json(node: Step | StateNode) -> dict[str, Json]:
    """Return a step or a state of a plan as JSON, to compare it with another."""
    return _write_fields(node)


def plan_digest(plan: Plan) -> bytes:
    """Return the SHA-256 of the plan's canonical JSON, 32 bytes: the version's identity."""
    return digest(plan_to_json(plan))


def plan_from_json(value: Mapping[str, Any]) -> Plan:
    """Read back what `plan_to_json` wrote. The value is trusted: it comes from the database."""
    steps = {key: _step(value["steps"][key]) for key in value["order"]}
    rest = {key: item for key, item in value.items() if key not in {"steps", "order"}}
    rest["triggers"] = tuple(rest["triggers"])
    rest["automatic"] = tuple(trigger_from_json(item) for item in rest.get("automatic", ()))
    rest["secrets"] = tuple(rest.get("secrets", ()))
    if "states" in rest:
        rest["states"] = {item["id"]: _state(item) for item in rest["states"]}
    if "concurrency" in rest:
        rest["concurrency"] = _concurrency(rest["concurrency"])
    return Plan(**rest, steps=steps)


def _concurrency(value: Mapping[str, Any]) -> Concurrency:
    conflict = OnConflict(value.get("on_conflict", OnConflict.QUEUE))
    return Concurrency(**{**value, "on_conflict": conflict})


# --- writing -------------------------------------------------------------------------------------


def _write(value: Any) -> Any:
    kind = type(value)
    if kind in _VERBS or kind in _ALWAYS or hasattr(kind, "__dataclass_fields__"):
        return _write_fields(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _write(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_write(item) for item in value]
    return value


def _write_fields(value: Any) -> dict[str, Json]:
    always = _ALWAYS.get(type(value), frozenset())
    written: dict[str, Json] = {}
    for item in _fields(type(value)):
        content = getattr(value, item.name)
        if item.name in always or content != _default(item):
            written[item.name] = _write_field(value, item.name, content)
    return written


def _write_field(value: Any, name: str, content: Any) -> Json:
    if name == "verb" and isinstance(value, Step):
        return {_VERBS[type(content)]: _write(content)}
    # Canonical JSON sorts the keys of a map, and the order of steps means something.
    if (isinstance(value, Group | Race) or name == "states") and isinstance(content, Mapping):
        return [_write(item) for item in content.values()]
    return _write(content)  # type: ignore[no-any-return]


def _fields(kind: Any) -> tuple[Field[Any], ...]:
    return fields(kind)


def _default(item: Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


# --- reading -------------------------------------------------------------------------------------


def _given(value: Mapping[str, Any], readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Return the fields with those that have a reader read; what is absent or null stays so."""
    return {
        key: readers[key](item) if key in readers and item is not None else item
        for key, item in value.items()
    }


def _retry(value: Mapping[str, Any]) -> Retry:
    return Retry(**_given(value, {"backoff": Backoff, "errors": tuple}))


def _compensation(value: Mapping[str, Any]) -> Compensation:
    return Compensation(**_given(value, {"uses": lambda item: Uses(**item), "retry": _retry}))


def _on_error(value: Mapping[str, Any]) -> OnError:
    return OnError(**_given(value, {"compensate": tuple, "then": AfterError}))


def _enough(value: Mapping[str, Any]) -> Enough:
    return Enough(**value)


def _group(value: Mapping[str, Any]) -> Group:
    return Group(steps=_by_id(value["steps"]))


def _race(value: Mapping[str, Any]) -> Race:
    return Race(branches=_by_id(value["branches"]))


def _map(value: Mapping[str, Any]) -> Map:
    return Map(**_given(value, {"body": _step, "enough": _enough}))


def _matrix(value: Mapping[str, Any]) -> Matrix:
    return Matrix(**_given(value, {"body": _step, "enough": _enough, "exclude": tuple}))


def _loop(value: Mapping[str, Any]) -> Loop:
    return Loop(**_given(value, {"body": _step}))


def _by_id(value: list[Any]) -> dict[str, Step]:
    return {item["id"]: _step(item) for item in value}


_VERB_READERS: Mapping[str, Callable[[Mapping[str, Any]], Verb]] = {
    "uses": lambda value: Uses(**value),
    "wait": lambda value: Wait(**value),
    "timer": lambda value: Timer(**value),
    "event": lambda value: AwaitEvent(**value),
    "emit": lambda value: Emit(**value),
    "call": lambda value: Call(**value),
    "set": lambda value: SetVars(**value),
    "group": _group,
    "race": _race,
    "map": _map,
    "matrix": _matrix,
    "loop": _loop,
}


def _verb(value: Mapping[str, Any]) -> Verb:
    ((name, body),) = value.items()
    return _VERB_READERS[name](body)


_STEP_READERS: Mapping[str, Callable[[Any], Any]] = {
    "verb": _verb,
    "needs": tuple,
    "condition_reads": tuple,
    "join": Join,
    "retry": _retry,
    "compensate": _compensation,
    "on_error": _on_error,
    "rate": lambda value: Rate(**value),
    "circuit": lambda value: Circuit(**value),
    "cache": lambda value: Cache(**value),
}


def _step(value: Mapping[str, Any]) -> Step:
    return Step(**_given(value, _STEP_READERS))


def _transition(value: Mapping[str, Any]) -> Transition:
    return Transition(**_given(value, {"on": On}))


def _state(value: Mapping[str, Any]) -> StateNode:
    readers: Mapping[str, Callable[[Any], Any]] = {
        "step": _step,
        "transitions": lambda items: tuple(
            Transition(**_given(item, {"on": On})) for item in items
        ),
        "events": lambda items: tuple(StateEvent(**item) for item in items),
        "stuck": lambda item: Stuck(**item),
    }
    return StateNode(**_given(value, readers))
