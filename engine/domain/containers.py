"""Steps with steps inside: how they open, what they hear, when they end. Read `open_container`.

An instance is made only when it may begin: a map over ten thousand items with a concurrency of ten
has ten of them. Source: FLOW, "Shape".
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from itertools import product
from typing import Any

from core.kernel import limits
from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain import unwinding
from engine.domain.cancelling import cancel, cancel_inside, children, owe
from engine.domain.definition import Definition
from engine.domain.expressions import TOO_LARGE, ExpressionError
from engine.domain.keys import child_key, number_of, parent_of
from engine.domain.needs import is_gate
from engine.domain.plan import Enough, Group, Loop, Map, Matrix, Race, Step
from engine.domain.settling import GOOD, means, release_around, settle
from engine.domain.state import (
    Inside,
    Outcome,
    RunState,
    StepError,
    StepState,
    StepStatus,
)
from engine.domain.timers import Purpose, timer_name

# Worst first. Source: FLOW, "Shape".
_WORST = (
    Outcome.FAILED,
    Outcome.REJECTED,
    Outcome.EXPIRED,
    Outcome.CANCELLED,
    Outcome.UNREACHED,
    Outcome.SUCCEEDED,
)
# How a branch wins a race: it ended well, or somebody decided.
_WINS = GOOD | {Outcome.REJECTED}
_PLAIN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def open_container(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which the first instances inside a container may begin.

    Raises:
        ExpressionError: what it is to repeat cannot be evaluated.
    """
    verb = definition.step(key).verb
    if isinstance(verb, Group):
        return _open_named(definition, state, key, verb.steps)
    if isinstance(verb, Race):
        return _open_named(definition, state, key, verb.branches)
    if isinstance(verb, Loop):
        return _open_loop(definition, state, key, verb)
    assert isinstance(verb, Map | Matrix), f"{key} is a container"
    items = _items(definition, state, key, verb)
    if not items and is_gate(definition, definition.step(key)):
        # Nobody is asked, so nobody has said yes.
        return settle(state, key, Outcome.UNREACHED, "nobody is asked")
    state = _set(state, key, Inside(total=len(items), items=items), StepStatus.OPEN)
    return _spawn(definition, state, key) if items else _finish_many(definition, state, key)


def hear(definition: Definition, state: RunState, child: str) -> RunState:
    """Return the state in which a container knows that an instance inside it has ended."""
    key = parent_of(child)
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    if inside.over:
        state = evolve(state, straggler_count=state.straggler_count - 1)
        return release_around(state, child)
    step = state.steps[child]
    assert step.outcome is not None, f"{child} has ended"
    meant = _class_of(definition, state, child)
    has_failed = step.outcome is Outcome.FAILED
    inside = evolve(
        inside,
        open=inside.open - 1,
        good=inside.good + (step.outcome in GOOD),
        failed=inside.failed + has_failed,
        worst=min(inside.worst, meant, key=_WORST.index),
        error=inside.error or (step.error if has_failed else None),
    )
    state = _set(state, key, inside)
    verb = definition.step(key).verb
    if isinstance(verb, Group):
        return _finish_group(definition, state, key) if inside.open == 0 else state
    if isinstance(verb, Race):
        return _hear_race(definition, state, key, child)
    if isinstance(verb, Loop):
        return _hear_turn(definition, state, key, verb, child)
    assert isinstance(verb, Map | Matrix), f"{key} is a container"
    return _hear_many(definition, state, key, verb)


def next_turn(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which the next turn of a loop may begin, unless `while` says no.

    Raises:
        ExpressionError: the condition cannot be evaluated.
    """
    verb = definition.step(key).verb
    assert isinstance(verb, Loop), f"{key} is a loop"
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    if verb.condition is not None:
        last = state.steps.get(child_key(key, verb.body.id, inside.begun))
        seen = definition.variables(state, key) | {"result": result_of(last) if last else None}
        if not definition.evaluator.condition(verb.condition, seen):
            return _finish_loop(definition, state, key)
    if inside.begun >= verb.turns_max:
        message = f"the loop was not done after {inside.begun} turns"
        error = StepError(kind="max-iterations", message=message)
        return unwinding.fail(definition, state, key, error)
    return _begin(definition, state, key, verb.body.id, {})


def result_of(step: StepState) -> Json:
    """Return what the verb of an ended instance made, as `until` and `while` see it."""
    if step.result is not None:
        return step.result
    return step.outputs["result"] if set(step.outputs) == {"result"} else dict(step.outputs)


# --- opening -------------------------------------------------------------------------------------


def _open_named(
    definition: Definition, state: RunState, key: str, steps: Mapping[str, Step]
) -> RunState:
    del definition
    made = state.steps
    round_ = state.steps[key].round
    for name, step in steps.items():
        child = StepState(unmet_count=len(step.needs), round=round_)
        made = made.set(child_key(key, name), child)
    first = tuple(child_key(key, name) for name, step in steps.items() if not step.needs)
    inside = Inside(total=len(steps), begun=len(steps), open=len(steps))
    state = _set(evolve(state, steps=made), key, inside, StepStatus.OPEN)
    return evolve(state, todo=(*state.todo, *first))


def _open_loop(definition: Definition, state: RunState, key: str, verb: Loop) -> RunState:
    del verb
    return next_turn(definition, _set(state, key, Inside(), StepStatus.OPEN), key)


def _spawn(definition: Definition, state: RunState, key: str) -> RunState:
    """Make as many instances of a map or matrix as may be open at once."""
    verb = definition.step(key).verb
    assert isinstance(verb, Map | Matrix), f"{key} is a container"
    most = min(verb.concurrency or limits.CONTAINER_OPEN_COUNT_MAX, limits.CONTAINER_OPEN_COUNT_MAX)
    while not state.cancelling:
        inside = state.steps[key].inside
        assert inside is not None, f"{key} is a container"
        if inside.open >= most or inside.begun >= inside.total:
            break
        item = inside.items[inside.begun]
        names: Mapping[str, Json] = {"matrix": item}
        if isinstance(verb, Map):
            names = {verb.name: item}
        state = _begin(definition, state, key, verb.body.id, names)
    return state


def _begin(
    definition: Definition, state: RunState, key: str, name: str, names: Mapping[str, Json]
) -> RunState:
    """Make the next instance of a container's body."""
    del definition
    step = state.steps[key]
    assert step.inside is not None, f"{key} is a container"
    inside = evolve(step.inside, begun=step.inside.begun + 1, open=step.inside.open + 1)
    child = child_key(key, name, inside.begun)
    made = StepState(locals=names, round=step.round)
    state = _set(evolve(state, steps=state.steps.set(child, made)), key, inside)
    return evolve(state, todo=(*state.todo, child))


# --- what is repeated ----------------------------------------------------------------------------


def _items(
    definition: Definition, state: RunState, key: str, verb: Map | Matrix
) -> tuple[Any, ...]:
    variables = definition.variables(state, key)
    if isinstance(verb, Matrix):
        return _cells(definition, verb, variables)
    items = _look_up(verb.items, variables)
    if items is None:
        items = definition.evaluator.evaluate(verb.items, variables)
    if not isinstance(items, list):
        raise ExpressionError(expression=verb.items, reason="it is no list")
    if len(items) > limits.MAP_ITEM_COUNT_MAX:
        reason = f"it has {len(items)} items; a map has at most {limits.MAP_ITEM_COUNT_MAX}"
        raise ExpressionError(expression=verb.items, reason=reason, kind=TOO_LARGE)
    return tuple(items)


def _look_up(expression: str, variables: Mapping[str, Json]) -> Json:
    """Return what a plain path names, or `None`.

    CEL copies what it is given and bounds lists at 500; to walk a path needs neither.
    """
    if not _PLAIN.fullmatch(expression.strip()):
        return None
    found: Any = variables
    for name in expression.strip().split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found  # type: ignore[no-any-return]


def _cells(
    definition: Definition, verb: Matrix, variables: dict[str, Json]
) -> tuple[dict[str, Json], ...]:
    axes: dict[str, list[Json]] = {}
    count = 1
    for name, axis in verb.axes.items():
        values = definition.evaluator.render(axis, variables)
        if not isinstance(values, list):
            raise ExpressionError(expression=f"matrix.{name}", reason="it is no list")
        axes[name] = values
        count *= len(values)
        if count > limits.MATRIX_CELL_COUNT_MAX:
            reason = f"it has more than {limits.MATRIX_CELL_COUNT_MAX} combinations"
            raise ExpressionError(expression="matrix", reason=reason, kind=TOO_LARGE)
    cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    left = [cell for cell in cells if not any(_matches(cell, item) for item in verb.exclude)]
    return tuple(left)


def _matches(cell: Mapping[str, Json], excluded: Mapping[str, Json]) -> bool:
    return all(name in cell and cell[name] == value for name, value in excluded.items())


# --- ends ----------------------------------------------------------------------------------------


def _class_of(definition: Definition, state: RunState, child: str) -> Outcome:
    """Return how bad an end inside is for the container."""
    if state.steps[child].outcome is Outcome.UNREACHED:
        return Outcome.UNREACHED
    return means(definition, state, child)


def _finish_group(definition: Definition, state: RunState, key: str) -> RunState:
    step = definition.step(key)
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    if inside.worst is not Outcome.SUCCEEDED:
        return _finish(definition, state, key, outputs={})
    try:
        variables = definition.variables(state, key) | {"result": None}
        outputs = {
            name: definition.evaluator.evaluate(expression, variables)
            for name, expression in (step.outputs or {}).items()
        }
    except ExpressionError as error:
        return unwinding.fail_expression(definition, owe(definition, state, key), key, error)
    return _finish(definition, state, key, outputs=outputs)


def _hear_race(definition: Definition, state: RunState, key: str, child: str) -> RunState:
    step = state.steps[child]
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    assert step.outcome is not None, f"{child} has ended"
    if step.outcome in _WINS:
        name = definition.step(child).id
        received = step.result if isinstance(step.result, Mapping) else None
        outputs: dict[str, Json] = {
            "winner": name,
            "event": received["data"] if received and "data" in received else None,
            "outputs": dict(step.outputs),
        }
        state = cancel_inside(definition, state, key, why="race")
        return _end(definition, state, key, step.outcome, outputs)
    if inside.open:
        return state
    if inside.worst in {Outcome.SUCCEEDED, Outcome.UNREACHED, Outcome.FAILED}:
        message = inside.error.message if inside.error else "every branch was skipped"
        error = StepError(kind="no-winner", message=f"nobody won the race: {message}")
        return unwinding.fail(definition, state, key, error)
    return _end(definition, state, key, inside.worst, {})


def _hear_turn(
    definition: Definition, state: RunState, key: str, verb: Loop, child: str
) -> RunState:
    turn = state.steps[child]
    assert turn.outcome is not None, f"{child} has ended"
    if turn.outcome not in GOOD and turn.outcome is not Outcome.SKIPPED:
        return _finish(definition, state, key, outputs=dict(turn.outputs))
    try:
        if verb.until is not None:
            seen = definition.variables(state, key) | {"result": result_of(turn)}
            if definition.evaluator.condition(verb.until, seen):
                return _finish_loop(definition, state, key)
        if state.cancelling:
            return settle(state, key, Outcome.CANCELLED, "cancel")
        if verb.delay_seconds and number_of(child) < verb.turns_max:
            assert state.at is not None, "something has happened"
            due = state.at + timedelta(seconds=verb.delay_seconds)
            name = timer_name(Purpose.DELAY, key)
            return evolve(state, timers=state.timers.set(name, due))
        return next_turn(definition, state, key)
    except ExpressionError as error:
        return unwinding.fail_expression(definition, state, key, error)


def _finish_loop(definition: Definition, state: RunState, key: str) -> RunState:
    inside = state.steps[key].inside
    verb = definition.step(key).verb
    assert inside is not None, f"{key} is a container"
    assert isinstance(verb, Loop), f"{key} is a loop"
    last = state.steps.get(child_key(key, verb.body.id, inside.begun))
    if last is None:
        return _end(definition, state, key, Outcome.SUCCEEDED, {"result": None})
    kept = evolve(state.steps[key], result=result_of(last))
    state = evolve(state, steps=state.steps.set(key, kept))
    return _end(definition, state, key, Outcome.SUCCEEDED, dict(last.outputs))


def _hear_many(definition: Definition, state: RunState, key: str, verb: Map | Matrix) -> RunState:
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    if verb.enough.count and inside.good >= verb.enough.count:
        return _finish_early(definition, state, key, verb.enough)
    has_failed = inside.failed > _tolerated(verb, inside.total)
    if has_failed and isinstance(verb, Matrix) and verb.fail_fast:
        state = cancel_inside(definition, state, key, why="fail-fast")
        return _finish_many(definition, state, key)
    is_lost = _is_lost(verb, inside)
    if not is_lost:
        state = _spawn(definition, state, key)
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    if inside.open:
        return state
    if inside.begun < inside.total and not (is_lost or has_failed):  # the run is being cancelled
        return cancel(definition, state, key, why="cancel")
    return _finish_many(definition, state, key)


def _is_lost(verb: Map | Matrix, inside: Inside) -> bool:
    """Say whether a map or matrix ends badly whatever comes, so that it begins nothing more.

    Where some are enough, one failure is no reason, however few are open at once. A matrix without
    `fail-fast` goes to its end.
    """
    if verb.enough.count:
        hopeful_count = inside.total - inside.begun + inside.open
        return inside.good + hopeful_count < verb.enough.count
    return isinstance(verb, Map) and inside.failed > _tolerated(verb, inside.total)


def _finish_early(definition: Definition, state: RunState, key: str, enough: Enough) -> RunState:
    """End a map or matrix that has enough instances which ended well."""
    outputs = collect(definition, state, key)
    if enough.cancel_rest:
        state = cancel_inside(definition, state, key, why="enough")
    else:
        inside = state.steps[key].inside
        assert inside is not None, f"{key} is a container"
        state = _set(state, key, evolve(inside, over=True, open=0))
        state = evolve(state, straggler_count=state.straggler_count + inside.open)
    return _end(definition, state, key, Outcome.SUCCEEDED, outputs)


def _finish_many(definition: Definition, state: RunState, key: str) -> RunState:
    verb = definition.step(key).verb
    inside = state.steps[key].inside
    assert isinstance(verb, Map | Matrix), f"{key} is a container"
    assert inside is not None, f"{key} is a container"
    if inside.failed and inside.failed <= _tolerated(verb, inside.total):
        inside = evolve(inside, worst=_worst_but_failed(definition, state, key))
        state = _set(state, key, inside)
    if inside.worst is Outcome.SUCCEEDED and inside.good < verb.enough.count:
        message = f"{inside.good} instances ended well, {verb.enough.count} have to"
        error = StepError(kind="not-enough", message=message)
        return unwinding.fail(definition, state, key, error)
    return _finish(definition, state, key, outputs=collect(definition, state, key))


def _worst_but_failed(definition: Definition, state: RunState, key: str) -> Outcome:
    found = [_class_of(definition, state, child) for child in children(definition, state, key)]
    others = [item for item in found if item is not Outcome.FAILED]
    return min(others, key=_WORST.index, default=Outcome.SUCCEEDED)


def _tolerated(verb: Map | Matrix, total: int) -> int:
    if isinstance(verb, Matrix):
        return 0
    return max(verb.failures_max, int(total * verb.failures_percent_max / 100.0))


def collect(definition: Definition, state: RunState, key: str) -> dict[str, Json]:
    """Return what the instances of a map or matrix made, in order, and how many failed."""
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    items: list[Json] = [None] * inside.total
    for child in children(definition, state, key):
        step = state.steps[child]
        if step.outcome in GOOD:
            items[number_of(child) - 1] = _made(step)
    return {"items": items, "failed": inside.failed}


def _made(step: StepState) -> Json:
    if set(step.outputs) == {"result"}:
        return step.outputs["result"]
    return dict(step.outputs)


def _finish(
    definition: Definition, state: RunState, key: str, *, outputs: Mapping[str, Json]
) -> RunState:
    """End a container as its worst inner end."""
    inside = state.steps[key].inside
    assert inside is not None, f"{key} is a container"
    if inside.worst is Outcome.FAILED:
        first = inside.error or StepError(kind="inner", message="something inside failed")
        made = evolve(state.steps[key], outputs=dict(outputs))
        state = evolve(state, steps=state.steps.set(key, made))
        return unwinding.fail(definition, state, key, first)
    if inside.worst is Outcome.CANCELLED:
        return cancel(definition, state, key, why="cancel")
    return _end(definition, state, key, inside.worst, outputs)


def _end(
    definition: Definition,
    state: RunState,
    key: str,
    outcome: Outcome,
    outputs: Mapping[str, Json],
) -> RunState:
    made = evolve(state.steps[key], outputs=dict(outputs))
    state = evolve(state, steps=state.steps.set(key, made))
    if outcome in GOOD:
        state = owe(definition, state, key)
    # A container's end is told by no event.
    return settle(state, key, outcome, implied=False)


def _set(state: RunState, key: str, inside: Inside, status: StepStatus | None = None) -> RunState:
    step = state.steps[key]
    step = evolve(step, inside=inside, status=status or step.status)
    return evolve(state, steps=state.steps.set(key, step))
