"""Whether a step begins, and what its beginning is. Read `consider`, then `start`."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.kernel import limits
from core.kernel.types import Json, parse_duration
from core.kernel.values import evolve
from engine.domain import containers
from engine.domain.cancelling import cancel
from engine.domain.definition import Definition
from engine.domain.expressions import ExpressionError
from engine.domain.keys import parent_of, prefix_of, sibling_key
from engine.domain.needs import PARTIAL, Verdict, is_gate, rule_needs
from engine.domain.plan import (
    AwaitEvent,
    Call,
    Emit,
    Group,
    Loop,
    Map,
    Matrix,
    Race,
    SetVars,
    Step,
    Timer,
    Uses,
    Wait,
)
from engine.domain.settling import settle
from engine.domain.state import Outcome, RunState, StepStatus
from engine.domain.timers import Purpose, timer_name
from engine.domain.unwinding import MUTEX, enable, fail_expression

ATTEMPT = "attempt"  # the rate, the circuit and the cache, which each attempt passes anew

Starter = Callable[[Definition, RunState, str, dict[str, Json]], RunState]


def consider(definition: Definition, state: RunState, key: str) -> RunState:
    """Decide about an instance whose needs have all ended, or enough of them."""
    if state.steps[key].status is not StepStatus.PENDING or key in state.restarting:
        return state
    step = definition.step(key)
    ruling = rule_needs(definition, state, key)
    if ruling.verdict is Verdict.UNREACHED:
        return settle(state, key, Outcome.UNREACHED, ruling.why)
    if ruling.verdict is Verdict.SKIP:
        return settle(state, key, Outcome.SKIPPED, ruling.why)
    if step.join in PARTIAL and step.cancel_rest:
        state = _cancel_rest(definition, state, key)
    gate_note = ""
    if step.condition is not None:
        try:
            seen = definition.variables(state, key)
            if not definition.evaluator.condition(step.condition, seen):
                return settle(state, key, Outcome.SKIPPED, "if")
        except ExpressionError as error:
            if not is_gate(definition, step):
                return fail_expression(definition, state, key, error)
            gate_note = f"if: {error}"  # an error never removes a gate
    return start(definition, state, key, gate_note=gate_note)


def start(definition: Definition, state: RunState, key: str, *, gate_note: str = "") -> RunState:
    """Return the state in which an instance has begun, or waits for its mutex to begin."""
    if state.cancelling:
        return cancel(definition, state, key, why="cancel")
    step = definition.step(key)
    try:
        seen = definition.variables(state, key)
        state = _set_deadline(state, key, step)
        if step.mutex and MUTEX not in state.steps[key].passed:
            return _hold_for_mutex(definition, state, key, seen)
        if isinstance(step.verb, Wait):
            return _start_wait(definition, state, key, seen, gate_note)
        return _STARTERS[type(step.verb)](definition, state, key, seen)
    except ExpressionError as error:
        return fail_expression(definition, state, key, error)


def needs_admission(step: Step) -> bool:
    """Say whether each attempt of a step has to be let through."""
    return step.rate is not None or step.circuit is not None or step.cache is not None


# --- before it begins ----------------------------------------------------------------------------


def _cancel_rest(definition: Definition, state: RunState, key: str) -> RunState:
    """Cancel the needs that are still open, and what only they would have needed."""
    for need in definition.step(key).needs:
        state = _cancel_up(definition, state, sibling_key(key, need), joined=key)
    return state


def _cancel_up(definition: Definition, state: RunState, key: str, *, joined: str) -> RunState:
    if state.steps[key].status is StepStatus.ENDED:
        return state
    state = cancel(definition, state, key, why="join")
    for need in definition.step(key).needs:
        above = sibling_key(key, need)
        waiting = [
            sibling_key(above, name)
            for name in definition.node(above).dependents
            if sibling_key(above, name) != joined
        ]
        if all(state.steps[item].status is StepStatus.ENDED for item in waiting):
            state = _cancel_up(definition, state, above, joined=joined)
    return state


def _set_deadline(state: RunState, key: str, step: Step) -> RunState:
    name = timer_name(Purpose.DEADLINE, key)
    if step.total_seconds is None or name in state.timers:
        return state
    due = _now(state) + timedelta(seconds=step.total_seconds)
    return evolve(state, timers=state.timers.set(name, due))


def _hold_for_mutex(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    name = definition.render_name(definition.step(key).mutex, seen)
    if _is_held_around(state, key, name):  # by itself it would wait for ever
        inside = evolve(state.steps[key], passed=state.steps[key].passed | {MUTEX})
        return start(definition, evolve(state, steps=state.steps.set(key, inside)), key)
    held = evolve(state.steps[key], mutex=name)
    state = evolve(state, steps=state.steps.set(key, held))
    return enable(state, key, arguments=None, status=StepStatus.HELD)


def _is_held_around(state: RunState, key: str, name: str) -> bool:
    """Say whether something an instance is inside of holds a mutex already."""
    around = parent_of(key)
    while around:
        step = state.steps[around]
        if step.mutex == name and MUTEX in step.passed:
            return True
        around = parent_of(around)
    return False


# --- verbs ---------------------------------------------------------------------------------------


def _start_wait(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json], gate_note: str
) -> RunState:
    wait = definition.step(key).verb
    assert isinstance(wait, Wait), f"{key} waits"
    verb = definition.verbs[wait.verb]
    prepared = dict(verb.prepare(wait.body, variables=seen, evaluator=definition.evaluator))
    if gate_note:
        notes = prepared.get("notes")
        prepared["notes"] = [*(notes if isinstance(notes, list) else []), gate_note]
    return enable(state, key, arguments=prepared, status=StepStatus.OPENING)


def _start_uses(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    step = definition.step(key)
    assert isinstance(step.verb, Uses), f"{key} executes an action"
    arguments = definition.render_arguments(step.verb.arguments, seen)
    status = StepStatus.HELD if needs_admission(step) else StepStatus.READY
    return enable(state, key, arguments=arguments, status=status)


def _start_timer(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    verb = definition.step(key).verb
    assert isinstance(verb, Timer), f"{key} waits for time"
    due = _due(definition, verb, seen, now=_now(state))
    step = evolve(state.steps[key], status=StepStatus.SLEEPING, started_at=_now(state))
    return evolve(
        state,
        steps=state.steps.set(key, step),
        timers=state.timers.set(timer_name(Purpose.SLEEP, key), due),
    )


def _due(definition: Definition, verb: Timer, seen: dict[str, Json], *, now: datetime) -> datetime:
    if verb.until:
        text = definition.evaluator.evaluate(verb.until, seen)
        try:
            due = datetime.fromisoformat(str(text))
        except ValueError as error:
            reason = f"{str(text)[:80]!r} is no instant such as 2026-01-31T09:00:00Z"
            raise ExpressionError(expression=verb.until, reason=reason) from error
        if due.tzinfo is None:
            reason = f"{text} names no time zone, as in 2026-01-31T09:00:00Z"
            raise ExpressionError(expression=verb.until, reason=reason)
    else:
        text = definition.evaluator.render(verb.duration, seen)
        duration = parse_duration(str(text))
        if duration is None:
            reason = f"{str(text)[:80]!r} is no duration such as PT15M"
            raise ExpressionError(expression=verb.duration, reason=reason)
        due = now + min(duration, limits.TIMER_MAX)
    if due - now > limits.TIMER_MAX:
        reason = f"it is more than {limits.TIMER_MAX.days} days away"
        raise ExpressionError(expression=verb.until or verb.duration, reason=reason)
    return due


def _start_event(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    verb = definition.step(key).verb
    assert isinstance(verb, AwaitEvent), f"{key} waits for an event"
    arguments = await_event(definition, verb.type, verb.correlate, seen)
    return enable(state, key, arguments=arguments, status=StepStatus.OPENING)


def await_event(
    definition: Definition, type_: str, correlate: Mapping[str, str], seen: dict[str, Json]
) -> dict[str, Json]:
    """Return what an event must be to end a wait: its type and the fields of its data."""
    fields = {
        name: definition.evaluator.evaluate(expression, seen)
        for name, expression in correlate.items()
    }
    return {"type": type_, "correlate": fields}


def _start_emit(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    verb = definition.step(key).verb
    assert isinstance(verb, Emit), f"{key} sends an event"
    arguments: dict[str, Json] = {
        "type": definition.render_name(verb.type, seen),
        "data": definition.render(verb.data, seen),
    }
    return enable(state, key, arguments=arguments, status=StepStatus.OPENING)


def _start_call(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    verb = definition.step(key).verb
    assert isinstance(verb, Call), f"{key} runs a workflow"
    arguments: dict[str, Json] = {
        "reference": verb.reference,
        "version": state.calls.get(verb.reference),
        "inputs": definition.render(verb.arguments, seen),
        "detached": verb.detached,
        "priority": definition.step(key).priority,
    }
    return enable(state, key, arguments=arguments, status=StepStatus.OPENING)


def _start_set(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    verb = definition.step(key).verb
    assert isinstance(verb, SetVars), f"{key} sets variables"
    variables = set_values(definition, state, verb.values, seen)
    state = evolve(_note_assigned(state, key, verb, variables), variables=variables)
    return settle(state, key, Outcome.SUCCEEDED, implied=False)


def _note_assigned(
    state: RunState, key: str, verb: SetVars, variables: Mapping[str, Json]
) -> RunState:
    """Keep which outermost step gave which values: a rerun may take over some of them only."""
    outermost, count = prefix_of(key, 1), state.assigned_count + 1
    given = {name: (count, variables[name]) for name in verb.values}
    known = state.assigned.get(outermost, {})
    assigned = state.assigned.set(outermost, {**known, **given})
    return evolve(state, assigned=assigned, assigned_count=count)


def set_values(
    definition: Definition,
    state: RunState,
    values: Mapping[str, str],
    seen: Mapping[str, Json],
) -> dict[str, Json]:
    """Return the variables of a run after a `set`; all of it sees those before it."""
    before: Any = state.variables or {}
    made = {name: definition.evaluator.evaluate(text, seen) for name, text in values.items()}
    return {**before, **made}


def _start_container(
    definition: Definition, state: RunState, key: str, seen: dict[str, Json]
) -> RunState:
    del seen
    return containers.open_container(definition, state, key)


_STARTERS: Mapping[type, Starter] = {
    Uses: _start_uses,
    Timer: _start_timer,
    AwaitEvent: _start_event,
    Emit: _start_emit,
    Call: _start_call,
    SetVars: _start_set,
    **dict.fromkeys((Group, Race, Map, Matrix, Loop), _start_container),
}


def _now(state: RunState) -> datetime:
    assert state.at is not None, "something has happened"
    return state.at
