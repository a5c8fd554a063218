"""What changed between two versions, by step, and how much it matters. Read `compare_plans` first.

Source: FLOW, "Versions". Each change is one of four classes:

    cosmetic                words that people read
    additive                something more, that nothing that is there depends on
    behavioural             runs may do something else
    governance-weakening    fewer, other or later people may decide, or less is gated

What cannot be shown not to weaken a gate counts as weakening.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from core.kernel.types import Json
from engine.domain.gating import list_gates
from engine.domain.plan import Plan, StateNode, Step, Wait, inner_steps, walk
from engine.domain.plan_json import plan_to_json, step_to_json


class ChangeClass(StrEnum):
    """How much a change matters, least first."""

    COSMETIC = "cosmetic"
    ADDITIVE = "additive"
    BEHAVIOURAL = "behavioural"
    WEAKENING = "governance-weakening"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `step` is a step's path, "" for the whole; `field` what of it, "" for all of it.

    `message` says it in words. `before` and `after` are as compiled, null where there is nothing.
    """

    kind: ChangeClass
    step: str
    field: str
    message: str
    before: Json = None
    after: Json = None


# What a verb of a package above says of its own block: both as its `check` made them.
WaitComparer = Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Change]]

_COSMETIC = frozenset({"title", "effect"})
_ABOUT_STEPS = frozenset({"steps", "order", "states", "inputs_schema", "outputs", "name"})
_INSIDE = frozenset({"steps", "branches", "body"})  # compared as steps of their own
_WORDS_IN_SCHEMAS = frozenset({"title", "description", "examples", "$comment"})
_DERIVED = frozenset({"condition_reads"})  # what a condition mentions changes with it


def compare_plans(
    before: Plan, after: Plan, *, comparers: Mapping[str, WaitComparer]
) -> tuple[Change, ...]:
    """Return what changed, in the order of the new version; what was removed comes last.

    `comparers` are those of the verbs by which people are asked, by verb. A block of a verb without
    one that changed at all counts as weakening.
    """
    old, new = dict(walk(before)), dict(walk(after))
    changes = [*_compare_whole(before, after)]
    for path, step in new.items():
        if path not in old:
            changes.append(_added(path, step))
        else:
            changes += _compare_step(path, old[path], step, comparers=comparers)
    changes += [_removed(path, step) for path, step in old.items() if path not in new]
    changes += _compare_states(before, after)
    changes += _compare_gates(before, after, known=set(old) & set(new))
    return tuple(changes)


def worst_of(changes: tuple[Change, ...]) -> ChangeClass | None:
    """Return the class that matters most, `None` if nothing changed."""
    order = list(ChangeClass)
    return max((change.kind for change in changes), key=order.index, default=None)


def is_gate(step: Step) -> bool:
    """Say whether a step asks people."""
    return isinstance(step.verb, Wait)


# --- the whole -----------------------------------------------------------------------------------


def _compare_whole(before: Plan, after: Plan) -> Iterator[Change]:
    old, new = plan_to_json(before), plan_to_json(after)
    for name in sorted({*old, *new} - _ABOUT_STEPS):
        if old.get(name) != new.get(name):
            kind = ChangeClass.COSMETIC if name in _COSMETIC else ChangeClass.BEHAVIOURAL
            yield _changed(kind, "", name, old.get(name), new.get(name))
    yield from _compare_inputs(dict(before.inputs_schema), dict(after.inputs_schema))
    yield from _compare_named("", "outputs", before.outputs, after.outputs)


def _compare_inputs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old, new = _properties(before), _properties(after)
    required = set(after.get("required", ()))
    for name in sorted({*old, *new}):
        field = f"inputs.{name}"
        if name not in old:
            kind = ChangeClass.BEHAVIOURAL if name in required else ChangeClass.ADDITIVE
            yield Change(kind=kind, step="", field=field, message="added", after=new[name])
        elif name not in new:
            kind = ChangeClass.BEHAVIOURAL
            yield Change(kind=kind, step="", field=field, message="removed", before=old[name])
        elif old[name] != new[name]:
            is_words = _without_words(old[name]) == _without_words(new[name])
            kind = ChangeClass.COSMETIC if is_words else ChangeClass.BEHAVIOURAL
            yield _changed(kind, "", field, old[name], new[name])
    rest_before = {key: item for key, item in before.items() if key != "properties"}
    rest_after = {key: item for key, item in after.items() if key != "properties"}
    if rest_before != rest_after:
        is_words = _without_words(rest_before) == _without_words(rest_after)
        # That an input is required which is new is said with it.
        kind = ChangeClass.COSMETIC if is_words else ChangeClass.BEHAVIOURAL
        yield _changed(kind, "", "inputs", rest_before, rest_after)


def _compare_named(
    step: str, field: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Iterator[Change]:
    """Compare names that others read: one more disturbs nobody."""
    old, new = dict(before or {}), dict(after or {})
    if (before is None) is not (after is None):
        yield _changed(ChangeClass.BEHAVIOURAL, step, field, before, after)
        return
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            kind = ChangeClass.ADDITIVE if name not in old else ChangeClass.BEHAVIOURAL
            yield _changed(kind, step, f"{field}.{name}", old.get(name), new.get(name))


# --- steps ---------------------------------------------------------------------------------------


def _added(path: str, step: Step) -> Change:
    message = "a gate was added" if is_gate(step) else "the step was added"
    after = step_to_json(step)
    kind = ChangeClass.BEHAVIOURAL
    return Change(kind=kind, step=path, field="", message=message, after=after)


def _removed(path: str, step: Step) -> Change:
    gate = is_gate(step)
    return Change(
        kind=ChangeClass.WEAKENING if gate else ChangeClass.BEHAVIOURAL,
        step=path,
        field="",
        message="a gate was removed" if gate else "the step was removed",
        before=step_to_json(step),
    )


def _compare_step(
    path: str, before: Step, after: Step, *, comparers: Mapping[str, WaitComparer]
) -> Iterator[Change]:
    gate = is_gate(before)
    for item in fields(Step):
        old, new = getattr(before, item.name), getattr(after, item.name)
        if old == new or item.name in _DERIVED:
            continue
        if item.name == "verb":
            yield from _compare_verbs(path, before, after, comparers=comparers)
        elif item.name == "outputs":
            yield from _compare_named(path, "outputs", old, new)
        else:
            kind = ChangeClass.COSMETIC if item.name in _COSMETIC else ChangeClass.BEHAVIOURAL
            if gate and item.name == "condition":
                kind = ChangeClass.WEAKENING  # it may be skipped where it was not
            written = step_to_json(before).get(item.name), step_to_json(after).get(item.name)
            yield _changed(kind, path, _NAMES.get(item.name, item.name), *written)


def _compare_verbs(
    path: str, before: Step, after: Step, *, comparers: Mapping[str, WaitComparer]
) -> Iterator[Change]:
    old, new = before.verb, after.verb
    if isinstance(old, Wait) and isinstance(new, Wait) and old.verb == new.verb:
        compare = comparers.get(old.verb)
        if compare is None:
            yield _changed(ChangeClass.WEAKENING, path, old.verb, dict(old.body), dict(new.body))
            return
        for change in compare(old.body, new.body):
            yield Change(
                kind=change.kind,
                step=path,
                field=change.field,
                message=change.message,
                before=change.before,
                after=change.after,
            )
        return
    written: list[Any] = [_own_verb(before), _own_verb(after)]
    if written[0] != written[1]:
        kind = ChangeClass.WEAKENING if isinstance(old, Wait) else ChangeClass.BEHAVIOURAL
        yield _changed(kind, path, "verb", *written)
    elif list(inner_steps(before)) != list(inner_steps(after)) and set(inner_steps(before)) == set(
        inner_steps(after)
    ):
        yield _changed(
            ChangeClass.BEHAVIOURAL,
            path,
            "order",
            list(inner_steps(before)),
            list(inner_steps(after)),
        )


def _own_verb(step: Step) -> dict[str, Any]:
    """Return a step's verb without the steps inside it, which are compared by themselves."""
    verb: Any = step_to_json(step)["verb"]
    ((name, body),) = verb.items()
    rest = {key: item for key, item in body.items() if key not in _INSIDE}
    return {name: rest if inner_steps(step) else body}


# --- machines ------------------------------------------------------------------------------------


def _compare_states(before: Plan, after: Plan) -> Iterator[Change]:
    """Compare the ways between states: those that lead out of a gate are a part of it."""
    for name in [*after.states, *(key for key in before.states if key not in after.states)]:
        old, new = before.states.get(name), after.states.get(name)
        if old is None or new is None:
            if (old or new) is not None and _has_no_step(old or new):
                message = "the state was added" if old is None else "the state was removed"
                yield Change(kind=ChangeClass.BEHAVIOURAL, step=name, field="", message=message)
            continue
        gate = old.step is not None and is_gate(old.step)
        kind = ChangeClass.WEAKENING if gate else ChangeClass.BEHAVIOURAL
        for part in ("transitions", "events"):
            if getattr(old, part) != getattr(new, part):
                yield _changed(kind, name, part, _ways(old, part), _ways(new, part))
        for part in ("stuck", "final"):
            if getattr(old, part) != getattr(new, part):
                yield _changed(ChangeClass.BEHAVIOURAL, name, part, None, None)


def _has_no_step(state: StateNode | None) -> bool:
    return state is not None and state.step is None


def _ways(state: StateNode, part: str) -> Json:
    if part == "events":
        return [f"{item.type} → {item.to}" for item in state.events]
    return [
        " ".join(
            filter(None, (str(item.on), item.name, f"if {item.condition}" * bool(item.condition)))
        )
        + f" → {item.to}"
        for item in state.transitions
    ]


# --- gates ---------------------------------------------------------------------------------------


def _compare_gates(before: Plan, after: Plan, *, known: set[str]) -> Iterator[Change]:
    """Say which steps are behind fewer gates than before, of the gates that are still there."""
    old, new = list_gates(before), list_gates(after)
    for path in [path for path in new if path in known]:
        lost = sorted((old[path] - new[path]) & known)
        if lost:
            yield Change(
                kind=ChangeClass.WEAKENING,
                step=path,
                field="needs",
                message=f"no longer waits for {', '.join(lost)}",
                before=list[Json](sorted(old[path])),
                after=list[Json](sorted(new[path])),
            )


# --- small parts ---------------------------------------------------------------------------------

_NAMES = {"condition": "if"}


def _changed(kind: ChangeClass, step: str, field: str, before: Any, after: Any) -> Change:
    message = "changed"
    if before is None and after is not None:
        message = "added"
    elif after is None and before is not None:
        message = "removed"
    return Change(kind=kind, step=step, field=field, message=message, before=before, after=after)


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return dict(found) if isinstance(found, Mapping) else {}


def _without_words(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {
            key: _without_words(item)
            for key, item in schema.items()
            # A property may be called `title`: then its value is a schema, not words.
            if key not in _WORDS_IN_SCHEMAS or not isinstance(item, str | list)
        }
    if isinstance(schema, list):
        return [_without_words(item) for item in schema]
    return schema
