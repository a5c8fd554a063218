"""What one run takes over from another: ended steps as JSON, and back. Read `pack`, then `seed`.

A run that is run again has a stream of its own, so what it takes over stands in its first entry:
replaying it reads no other run. Only what has ended can be packed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.kernel.canonical import canonical_bytes
from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain.containers import collect
from engine.domain.definition import Definition
from engine.domain.keys import any_try_of, is_undo, path_of, prefix_of
from engine.domain.plan import Map, Matrix
from engine.domain.state import Inside, Outcome, RunState, StepError, StepState, StepStatus

# Payloads of a run's first entry that hold what it takes over begin so; a number follows.
TAKEN_OVER = "taken_over."
_CHUNK_BYTES = 512 * 1024  # a payload is closed once it holds so much: half of what one may hold


def instances_by_root(definition: Definition, state: RunState) -> dict[str, list[str]]:
    """Return the keys of all instances by the key of the outermost step they are part of.

    Earlier tries are among them; compensations, and what a state listens to, are not.
    """
    found: dict[str, list[str]] = {}
    nodes = definition.tree.nodes
    for key in sorted(state.steps):
        if not is_undo(key) and path_of(key) in nodes:
            found.setdefault(prefix_of(any_try_of(key), 1), []).append(key)
    return found


def pack(definition: Definition, state: RunState, keys: Iterable[str]) -> list[dict[str, Json]]:
    """Return ended instances as JSON, outer ones before what is inside them."""
    return [_pack(definition, state, key) for key in sorted(keys, key=_depth)]


def divide(items: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return packed instances as payloads of an entry: name → list."""
    chunks: list[list[Json]] = []
    size = _CHUNK_BYTES
    for item in items:
        length = len(canonical_bytes(dict(item)))
        if not chunks or size + length > _CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(dict(item))
        size += length
    return {f"{TAKEN_OVER}{number:03}": chunk for number, chunk in enumerate(chunks, start=1)}


def find_packed(payloads: Mapping[str, Json]) -> list[Mapping[str, Any]]:
    """Return the packed instances among the payloads of an entry."""
    found: list[Mapping[str, Any]] = []
    for name in sorted(payloads):
        chunk = payloads[name]
        if name.startswith(TAKEN_OVER) and isinstance(chunk, list):
            found += [item for item in chunk if isinstance(item, Mapping)]
    return found


def seed(definition: Definition, state: RunState, payloads: Mapping[str, Json]) -> RunState:
    """Return the state in which packed instances have ended as they are packed.

    In a dag, whoever depends on them hears of it when consequences are drawn. What can be undone
    is this run's to undo.
    """
    items = find_packed(payloads)
    if not items:
        return state
    state = _reassign(state, payloads.get("assigned"))
    steps, undoable = state.steps, state.undoable
    for item in items:
        steps = steps.set(item["key"], _unpack(item))
        if "completed" in item:
            undoable = undoable.set(item["key"], item["completed"])
    state = evolve(
        state,
        steps=steps,
        undoable=undoable,
        undoable_count=max((state.undoable_count, *undoable.values())),
    )
    for item in reversed(items):  # inner ones first
        if "outputs" not in item:
            made = collect(definition, state, item["key"])
            step = evolve(state.steps[item["key"]], outputs=made)
            state = evolve(state, steps=state.steps.set(item["key"], step))
    if definition.is_machine:
        return state
    ended = tuple(str(item["key"]) for item in items if _depth(item["key"]) == 0)
    ended = tuple(key for key in ended if "@" not in key)
    return evolve(state, echo=(*state.echo, *ended))


def _reassign(state: RunState, assigned: Any) -> RunState:
    """Return the state that knows which of what was taken over had set which `vars`."""
    known, count = state.assigned, state.assigned_count
    for key, given in (assigned or {}).items():
        known = known.set(key, {name: (item[0], item[1]) for name, item in given.items()})
        count = max((count, *(item[0] for item in given.values())))
    return evolve(state, assigned=known, assigned_count=count)


def _pack(definition: Definition, state: RunState, key: str) -> dict[str, Json]:
    step = state.steps[key]
    assert step.status is StepStatus.ENDED, f"{key} has ended"
    item: dict[str, Json] = {"key": key}
    if step.outcome is not None:
        item["outcome"] = str(step.outcome)
    if step.inside is not None:
        item["inside"] = _pack_inside(step.inside)
    # What the items of a map made is packed with them already.
    is_many = _is_many(definition, key) and step.inside is not None
    if not is_many or collect(definition, state, key) != step.outputs:
        item["outputs"] = dict(step.outputs)
    if step.error is not None:
        item["error"] = {"kind": step.error.kind, "message": step.error.message}
    if key in state.undoable:
        item["completed"] = state.undoable[key]
    given: dict[str, Json] = {
        "why": step.why,
        "result": step.result,
        "child": step.child,
        "locals": dict(step.locals),
        "attempt": step.attempt,
    }
    item |= {name: value for name, value in given.items() if value}
    return item | ({"round": step.round} if step.round > 1 else {})


def _unpack(item: Mapping[str, Any]) -> StepState:
    error, inside = item.get("error"), item.get("inside")
    return StepState(
        status=StepStatus.ENDED,
        outcome=Outcome(item["outcome"]) if "outcome" in item else None,
        why=item.get("why", ""),
        outputs=item.get("outputs", {}),
        result=item.get("result"),
        error=StepError(kind=error["kind"], message=error["message"]) if error else None,
        child=item.get("child", ""),
        locals=item.get("locals", {}),
        attempt=item.get("attempt", 0),
        round=item.get("round", 1),
        inside=_unpack_inside(inside) if inside else None,
    )


def _pack_inside(inside: Inside) -> dict[str, Json]:
    return {
        "total": inside.total,
        "begun": inside.begun,
        "good": inside.good,
        "failed": inside.failed,
        "worst": str(inside.worst),
        "over": inside.over,
    }


def _unpack_inside(value: Mapping[str, Any]) -> Inside:
    return Inside(
        total=value["total"],
        begun=value["begun"],
        good=value["good"],
        failed=value["failed"],
        worst=Outcome(value["worst"]),
        over=value["over"],
    )


def _is_many(definition: Definition, key: str) -> bool:
    """Say whether a key is that of a map or a matrix."""
    return isinstance(definition.step(key).verb, Map | Matrix)


def _depth(key: str) -> int:
    return key.count("/")
