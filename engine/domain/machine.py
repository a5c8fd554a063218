"""State machines: where a run is, and what moves it on. Read `enter`, then `hear`.

A visit to a state has a key, `review#2` for the second. While the run is there, three things can
move it: how the state's step ends, an event the state listens to, and time.
Source: FLOW, "Shape".
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from core.kernel import limits
from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain.cancelling import cancel
from engine.domain.considering import await_event, set_values
from engine.domain.definition import Definition
from engine.domain.events import Settled
from engine.domain.expressions import ExpressionError
from engine.domain.keys import child_key, number_of, parent_of, path_of, step_key
from engine.domain.plan import AwaitEvent, On, StateNode, Transition
from engine.domain.settling import GOOD, means, without
from engine.domain.state import Outcome, RunState, StepState, StepStatus, worse
from engine.domain.timers import Purpose, timer_name

ENTERED = "entered"  # in the record of what followed: the run came into a state
STUCK = "stuck"
_LISTENER = "event"


def enter(definition: Definition, state: RunState, name: str, *, why: str) -> RunState:
    """Return the state in which the run has come into a state of its machine."""
    node = definition.plan.states[name]
    if state.rush_count >= limits.STATE_RUSH_COUNT_MAX:
        return _give_up(state, f"it went through {state.rush_count} states without a pause")
    if state.visit_count >= limits.STATE_VISIT_COUNT_MAX and not node.final:
        return _give_up(state, f"it went through {state.visit_count} states: continue as new")
    number = state.visits.get(name, 0) + 1
    key = step_key(name, number)
    state = evolve(
        state,
        current=key,
        entered_at=state.at,
        entered=state.entered.set(key, (state.visit_count + 1, state.variables)),
        visits=state.visits.set(name, number),
        visit_count=state.visit_count + 1,
        rush_count=state.rush_count + 1,
        news=(*state.news, Settled(key=key, outcome=ENTERED, why=why)),
    )
    if node.final:
        return finish(state, Outcome(node.final))
    try:
        state = _listen(definition, state, node, key)
    except ExpressionError as error:
        return _break(leave(definition, state), error)
    state = _set_timers(state, node, key)
    if node.step is None:
        return state
    state = evolve(state, steps=state.steps.set(key, StepState()))
    return evolve(state, todo=(*state.todo, key))


def revisit(state: RunState, visits: Sequence[str]) -> RunState:
    """Return the state of a machine that has made visits in another run, in this order."""
    for key in visits:
        count = state.visit_count + 1
        state = evolve(
            state,
            visits=state.visits.set(path_of(key), number_of(key)),
            visit_count=count,
            entered=state.entered.set(key, (count, None)),
        )
    return state


def hear(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which the machine knows that a visit's step has ended."""
    if key != state.current:
        return state  # the run has moved on
    if state.cancelling:
        return finish(leave(definition, state), Outcome.CANCELLED)
    step = state.steps[key]
    assert step.outcome is not None, f"{key} has ended"
    result = step.result if isinstance(step.result, Mapping) else None
    name = definition.node(key).step.id
    for transition in definition.plan.states[name].transitions:
        if not _answers(definition, transition, key, step.outcome):
            continue
        event = result if transition.on is On.EVENT else None
        taken = _take(definition, state, transition, event=event, why=str(step.outcome))
        if taken is not None:
            return taken
    return finish(leave(definition, state), means(definition, state, key))


def hear_event(definition: Definition, state: RunState, key: str, event: Json) -> RunState:
    """Return the state after an event that a state listens to.

    If its `if` says no, the run stays and goes on listening.
    """
    name = path_of(key).partition("/")[0]
    node = definition.plan.states[name]
    entry = node.events[number_of(key) - 1]
    state = evolve(state, listening=state.listening.delete(key))
    own = Transition(
        on=On.EVENT, to=entry.to, name=entry.type, condition=entry.condition, values=entry.values
    )
    for transition in (own,) if entry.to else node.transitions:
        if transition.on is On.EVENT and transition.name == entry.type:
            taken = _take(definition, state, transition, event=event, why=entry.type)
            if taken is not None:
                return taken
    try:
        return _listen_to(definition, state, key, entry.type, entry.correlate)
    except ExpressionError as error:
        return _break(leave(definition, state), error)


def time_is_up(definition: Definition, state: RunState, key: str, index: int) -> RunState:
    """Return the state after an `after` of a state is due; the same if its `if` says no."""
    name = path_of(key)
    transition = definition.plan.states[name].transitions[index]
    taken = _take(definition, state, transition, event=None, why="after")
    return _stay(definition, state) if taken is None else taken


def is_stuck(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state after a run has been in a state for too long."""
    stuck = definition.plan.states[path_of(key)].stuck
    assert stuck is not None, f"{key} has a deadline"
    state = evolve(state, news=(*state.news, Settled(key=key, outcome=STUCK, why="")))
    if stuck.notify:
        assert state.entered_at is not None, "the visit has begun"
        state = evolve(state, alarms=(*state.alarms, (key, state.entered_at)))
    if not stuck.to:
        return _stay(definition, state)
    return enter(definition, leave(definition, state), stuck.to, why=STUCK)


def leave(definition: Definition, state: RunState) -> RunState:
    """Return the state in which nothing of the current visit goes on any more."""
    key = state.current
    if key in state.steps:
        state = cancel(definition, state, key, why="left", silent=True)
    timers = state.timers
    for name in [name for name in state.timers if _belongs(name, key)]:
        timers = timers.delete(name)
    for item in sorted(item for item in state.listening if parent_of(item) == key):
        state = _stop_listening(state, item)
    return evolve(state, current="", timers=timers)


def _stop_listening(state: RunState, key: str) -> RunState:
    listener = state.steps[key]
    ended = evolve(
        listener,
        status=StepStatus.ENDED,
        outcome=Outcome.CANCELLED,
        why="left",
        arguments=None,
    )
    state = evolve(state, steps=state.steps.set(key, ended), listening=state.listening.delete(key))
    if listener.status is StepStatus.OPENING:
        return evolve(state, opening=without(state.opening, key))
    return evolve(
        state,
        withdrawing=(*state.withdrawing, key),
        waiting_count=state.waiting_count - 1,
    )


def finish(state: RunState, outcome: Outcome) -> RunState:
    """Return the state of a machine that has come to its end."""
    return evolve(state, open_count=0, current="", worst=worse(state.worst, outcome))


# --- transitions ---------------------------------------------------------------------------------


def _answers(definition: Definition, transition: Transition, key: str, outcome: Outcome) -> bool:
    if transition.on is On.EVENT:
        verb = definition.step(key).verb
        is_awaited = isinstance(verb, AwaitEvent) and verb.type == transition.name
        return is_awaited and outcome is Outcome.SUCCEEDED
    if transition.on is On.SUCCESS:
        return outcome in GOOD
    if transition.on is On.ERROR:
        return outcome is Outcome.FAILED
    if transition.on is On.OUTCOME:
        overridden = outcome is Outcome.OVERRIDDEN and transition.name == Outcome.APPROVED
        return overridden or str(outcome) == transition.name
    return False


def _take(
    definition: Definition, state: RunState, transition: Transition, *, event: Json, why: str
) -> RunState | None:
    """Return the state after a transition, `None` if its `if` says no."""
    try:
        seen = _variables(definition, state)
        if event is not None:  # it hides the one that started the run
            seen["event"] = event
        condition = transition.condition
        if condition is not None and not definition.evaluator.condition(condition, seen):
            return None
        variables = set_values(definition, state, transition.values, seen)
    except ExpressionError as error:
        return _break(leave(definition, state), error)
    state = evolve(leave(definition, state), variables=variables)
    if transition.continue_as_new:
        carried: dict[str, Json] = {"state": transition.to, "vars": variables}
        return evolve(state, open_count=0, carried=carried)
    return enter(definition, state, transition.to, why=why)


def _stay(definition: Definition, state: RunState) -> RunState:
    """Return the same state if anything can still move the run on; otherwise it ends."""
    key = state.current
    if key in state.steps or state.listening or any(_belongs(name, key) for name in state.timers):
        return state
    return _give_up(leave(definition, state), f"nothing leads out of `{path_of(key)}` any more")


def _variables(definition: Definition, state: RunState) -> dict[str, Json]:
    """Return what the expressions of a state see: every step the machine has been at."""
    return definition.variables_at_end(state, frozenset(definition.tree.ids))


def _break(state: RunState, error: ExpressionError) -> RunState:
    """End a machine that an expression has stopped: it cannot know where to go."""
    return _give_up(state, str(error))


def _give_up(state: RunState, why: str) -> RunState:
    return evolve(finish(state, Outcome.FAILED), broken=why[: limits.ERROR_CHARS_MAX])


# --- what a state waits for ----------------------------------------------------------------------


def _listen(definition: Definition, state: RunState, node: StateNode, key: str) -> RunState:
    for index, entry in enumerate(node.events):
        own = child_key(key, _LISTENER, index + 1)
        state = _listen_to(definition, state, own, entry.type, entry.correlate)
    return state


def _listen_to(
    definition: Definition, state: RunState, key: str, type_: str, correlate: Mapping[str, str]
) -> RunState:
    seen = _variables(definition, state)
    arguments = await_event(definition, type_, correlate, seen)
    listener = StepState(status=StepStatus.OPENING, arguments=arguments)
    return evolve(
        state,
        steps=state.steps.set(key, listener),
        listening=state.listening.set(key, type_),
        opening=(*state.opening, key),
    )


def _set_timers(state: RunState, node: StateNode, key: str) -> RunState:
    assert state.at is not None, "something has happened"
    timers = state.timers
    for index, transition in enumerate(node.transitions):
        if transition.on is On.AFTER:
            name = timer_name(Purpose.AFTER, f"{key}/{index}")
            timers = timers.set(name, state.at + timedelta(seconds=transition.seconds))
    if node.stuck is not None:
        due = state.at + timedelta(seconds=node.stuck.seconds)
        timers = timers.set(timer_name(Purpose.STUCK, key), due)
    return evolve(state, timers=timers)


def _belongs(timer: str, key: str) -> bool:
    after, stuck = timer_name(Purpose.AFTER, f"{key}/"), timer_name(Purpose.STUCK, key)
    return timer.startswith(after) or timer == stuck
