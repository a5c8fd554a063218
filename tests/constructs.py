"""Short ways to write plans with everything the language has; `tests.plans` has the plain steps."""

from dataclasses import replace

from core.kernel.types import Json
from engine.domain.plan import (
    AwaitEvent,
    Call,
    Emit,
    Enough,
    Group,
    Kind,
    Loop,
    Map,
    Matrix,
    Plan,
    Race,
    SetVars,
    StateNode,
    Step,
    Timer,
)
from tests.plans import plan, uses
from tests.pure_run import PureRun

NO_BOUND = Enough(count=0)
CHILD: dict[str, Json] = {"child@*": {"version": "v", "digest": "d"}}


def timer(step_id, *needs, lasts="PT1M", until="", **fields):
    verb = Timer(until=until) if until else Timer(duration=lasts)
    return Step(id=step_id, verb=verb, needs=needs, **fields)


def event(step_id, *needs, of="thing.done", correlate=None, **fields):
    return Step(
        id=step_id, verb=AwaitEvent(type=of, correlate=correlate or {}), needs=needs, **fields
    )


def emit(step_id, *needs, of="thing.sent", data=None, **fields):
    return Step(id=step_id, verb=Emit(type=of, data=data or {}), needs=needs, **fields)


def call(step_id, *needs, detached=False, arguments=None, **fields):
    verb = Call(workflow="child", detached=detached, arguments=arguments or {})
    return Step(id=step_id, verb=verb, needs=needs, **fields)


def put(step_id, *needs, values, **fields):
    return Step(id=step_id, verb=SetVars(values=values), needs=needs, **fields)


def group(step_id, *steps, needs=(), **fields):
    return Step(
        id=step_id, verb=Group(steps={step.id: step for step in steps}), needs=needs, **fields
    )


def race(step_id, *branches, needs=(), **fields):
    verb = Race(branches={step.id: step for step in branches})
    return Step(id=step_id, verb=verb, needs=needs, **fields)


def each(step_id, body=None, *, items="inputs.items", needs=(), fields=None, **of):
    """Return a map; `of` are the map's own fields. Items are called `it`."""
    body = replace(body or uses(step_id, arguments={"it": "${{ it }}"}), id="item")
    verb = Map(items=items, name="it", body=body, **of)
    return Step(id=step_id, verb=verb, needs=needs, **(fields or {}))


def matrix(step_id, body=None, *, axes=None, needs=(), fields=None, **of):
    """Return a matrix; `of` are the matrix's own fields."""
    body = replace(body or uses(step_id, arguments={"cell": "${{ matrix }}"}), id="cell")
    verb = Matrix(axes=axes or {"a": [1, 2], "b": ["x", "y"]}, body=body, **of)
    return Step(id=step_id, verb=verb, needs=needs, **(fields or {}))


def loop(step_id, body=None, *, turns=5, needs=(), fields=None, **of):
    """Return a loop; `of` are the loop's own fields."""
    body = replace(body or uses(step_id), id="turn")
    verb = Loop(body=body, turns_max=turns, **of)
    return Step(id=step_id, verb=verb, needs=needs, **(fields or {}))


def machine(*states, variables=None, outputs=None):
    """Return a plan of states, of which the first is the initial one."""
    return Plan(
        name="test",
        title="Test",
        inputs_schema={},
        variables=variables or {},
        steps={},
        outputs=outputs or {},
        kind=Kind.STATES,
        states={state.id: state for state in states},
        initial=states[0].id,
    )


def state(name, *transitions, step=None, **fields):
    return StateNode(
        id=name, step=replace(step, id=name) if step else None, transitions=transitions, **fields
    )


def final(name, outcome="succeeded"):
    return StateNode(id=name, final=outcome)


def drive(*steps, outputs=None, **fields):
    """Drive a dag until it waits for somebody or has closed."""
    return PureRun(plan(*steps, outputs=outputs), calls=dict(CHILD), **fields).drive()


def live(*states, **fields):
    """Drive a machine until it waits for somebody or has closed."""
    made = machine(*states)
    return PureRun(made, calls=dict(CHILD), **fields).drive()


def ran(run):
    """Return the keys that were executed, in order."""
    return [key for key, _, _ in run.executed]


def check(run, closed):
    """Check how a run has closed, that nothing of it is left, and that it replays to the same."""
    assert run.closed == closed
    left = run.state
    indexes = (left.running, left.ready, left.held, left.opening, left.withdrawing, left.listening)
    assert not any((*indexes, left.timers, left.backoff, left.waiting_count, left.straggler_count))
    assert run.replayed() == left


def check_open(run):
    """Check that a run goes on, and that it replays to where it is."""
    assert run.closed == ""
    assert run.replayed() == run.state
