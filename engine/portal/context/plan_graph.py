"""A definition as nodes and ways for `drawing`. Read `graph_of_plan` first.

What containers, modifiers and transitions are called here is what a run's graph calls them too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from core.kernel.types import parse_duration
from core.toolkit.portal.words import say_count, say_duration
from engine.domain.flow.positions import pointer
from engine.domain.keys import BODIES
from engine.domain.plan import (
    AfterError,
    AwaitEvent,
    Call,
    Emit,
    Enough,
    Group,
    Kind,
    Loop,
    Map,
    Matrix,
    On,
    OnError,
    Plan,
    Race,
    SetVars,
    StateEvent,
    StateNode,
    Step,
    Timer,
    Transition,
    Uses,
    Wait,
    inner_steps,
    roots,
    walk,
)
from engine.domain.state import Outcome
from engine.portal.context.link_labels import Link, LinkLine
from engine.portal.context.nodes import Badge, StepFacts
from engine.portal.context.steps import describe_action
from engine.portal.statuses import say_step

_SYMBOLS: Final[Mapping[type, str]] = {
    Timer: "timer",
    AwaitEvent: "inbox",
    Emit: "upload",
    Call: "external-link",
    SetVars: "hash",
    Group: "square",
    Race: "git-branch",
    Map: "list",
    Matrix: "list-filter",
    Loop: "refresh-cw",
    Wait: "user",
}
_ACTION_SYMBOLS: Final = {"http/request": "link"}
_CONTAINERS: Final[Mapping[type, str]] = {
    Group: "group",
    Race: "race",
    Map: "map",
    Matrix: "matrix",
    Loop: "loop",
}
_TELLING: Final = (Timer, AwaitEvent, Emit, Call, SetVars)
_CHOICES: Final = frozenset({Outcome.APPROVED, Outcome.REJECTED, Outcome.OVERRIDDEN})
_WAY_WORDS: Final = {On.SUCCESS: "done", On.ERROR: "failed"}
_WAY_ICONS: Final = {On.SUCCESS: "check", On.ERROR: "triangle-alert", On.AFTER: "timer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What is drawn.

    `links` are the ways of a state machine, whose first step is the state it begins in; `None` for
    anything else.
    """

    steps: tuple[StepFacts, ...]
    links: tuple[Link, ...] | None = None


def graph_of_plan(plan: Plan) -> Graph:
    """Return a definition: every step and state once, without a status."""
    found = dict(walk(plan))
    steps = [_named(facts_of(path, step), found) for path, step in found.items()]
    if plan.kind != Kind.STATES:
        return Graph(steps=tuple(steps))
    own = {step.key: step for step in steps}
    links = links_of(plan)
    ways = say_ways(links)
    states = [
        state_facts(plan, state, own.get(state.id), ways=ways.get(state.id, ""))
        for state in states_of(plan)
    ]
    inner = [step for step in steps if step.parent]
    return Graph(steps=(*states, *inner), links=tuple(links))


def facts_of(path: str, step: Step) -> StepFacts:
    """Return a step of a definition as a node; `path` is its key."""
    parent = path.rpartition("/")[0]
    container = container_of(step)
    is_body = step.id in BODIES
    return StepFacts(
        key=path,
        needs=tuple(f"{parent}/{need}" if parent else need for need in step.needs),
        kind=f"{step.verb.verb} {describe_action(step)}",
        title=f"Each {step.id}" if is_body else say_step(step.id),
        detail=describe_container(step) if container else describe_verb(step),
        right="if" if step.condition else "",
        is_human=isinstance(step.verb, Wait),
        symbol=symbol_of(step),
        parent=parent,
        container=container,
        badges=badges_of(step, is_drawn=True),
    )


def _named(facts: StepFacts, found: Mapping[str, Step]) -> StepFacts:
    """Return what a map repeats with the name that expressions have for its items."""
    around = found.get(facts.parent)
    if around is None or not isinstance(around.verb, Map):
        return facts
    return replace(facts, title=f"Each {around.verb.name}")


def container_of(step: Step) -> str:
    """Return what a step does with the steps inside it: "group", "map", …; "" without any."""
    return _CONTAINERS.get(type(step.verb), "")


def symbol_of(step: Step) -> str:
    """Return the icon of what a step does."""
    if isinstance(step.verb, Uses):
        return _ACTION_SYMBOLS.get(step.verb.action.partition("@")[0], "zap")
    return _SYMBOLS[type(step.verb)]


def describe_verb(step: Step) -> str:
    """Return what a step does, with what it waits for, sends or calls."""
    verb = step.verb
    if isinstance(verb, Timer):
        known = parse_duration(verb.duration) if verb.duration else None
        said = verb.duration if known is None else say_duration(known)
        return f"waits {said}" if verb.duration else f"until {verb.until}"
    if isinstance(verb, AwaitEvent):
        return f"waits for {verb.type}"
    if isinstance(verb, Emit):
        return f"sends {verb.type}"
    if isinstance(verb, Call):
        return f"calls {verb.workflow}" + (", goes on at once" if verb.detached else "")
    if isinstance(verb, SetVars):
        return f"sets {', '.join(verb.values)}"
    return describe_action(step)


def describe_container(step: Step) -> str:
    """Return what a container does with the steps inside it."""
    verb = step.verb
    if isinstance(verb, Group):
        return f"group of {say_count(len(verb.steps), 'step')}"
    if isinstance(verb, Race):
        return f"race: first of {len(verb.branches)} wins"
    if isinstance(verb, Map):
        return f"map: each {verb.name} of {verb.items}" + _say_bounds(verb.concurrency, verb.enough)
    if isinstance(verb, Matrix):
        axes = " x ".join(verb.axes)
        return f"matrix: each {axes}" + _say_bounds(verb.concurrency, verb.enough)
    if isinstance(verb, Loop):
        said = f"until {verb.until}" if verb.until is not None else f"while {verb.condition}"
        return f"loop: {said}, at most {say_count(verb.turns_max, 'turn')}"
    return ""


def _say_bounds(concurrency: int, enough: Enough) -> str:
    said = f", {concurrency} at once" if concurrency else ""
    return said + (f", {enough.count} are enough" if enough.count else "")


# --- what else holds for a step ------------------------------------------------------------------


def badges_of(step: Step, *, is_drawn: bool = False) -> tuple[Badge, ...]:
    """Return what else holds for a step; with `is_drawn`, its symbol already says what it does."""
    told = [] if is_drawn or not isinstance(step.verb, _TELLING) else [_told(step)]
    return (*told, *_modifiers(step))


def _told(step: Step) -> Badge:
    return Badge(icon=symbol_of(step), words=describe_verb(step))


def _modifiers(step: Step) -> Iterator[Badge]:
    if step.mutex:
        yield Badge(icon="lock", words=f"mutex {step.mutex}: one at a time")
    if step.rate is not None:
        often = f"at most {step.rate.limit} in {_say_seconds(step.rate.seconds)}"
        yield Badge(icon="gauge", words=often)
    if step.circuit is not None:
        yield Badge(icon="shield", words="behind a circuit breaker")
    if step.cache is not None:
        kept = f"cache: result kept for {_say_seconds(step.cache.ttl_seconds)}"
        yield Badge(icon="database", words=kept)
    if step.queue:
        yield Badge(icon="monitor", words=f"queue {step.queue}: workers of this label")
    if step.compensate is not None:
        action = step.compensate.uses.action.partition("@")[0]
        yield Badge(icon="rotate-ccw", words=f"undone by {action}")
    if step.on_error is not None:
        yield Badge(icon="history", words=_say_on_error(step.on_error))
    if step.lazy:
        yield Badge(icon="moon", words="lazy: recorded with the next step")
    if step.total_seconds is not None:
        yield Badge(icon="clock", words=f"at most {_say_seconds(step.total_seconds)} in all")


def _say_on_error(on_error: OnError) -> str:
    parts = [f"undoes {', '.join(on_error.compensate)}"] if on_error.compensate else []
    if on_error.then is AfterError.ASK:
        parts.append("asks a person")
    elif on_error.then is AfterError.CONTINUE:
        parts.append("goes on")
    return f"on error {' and '.join(parts) or 'fails'}"


# --- state machines ------------------------------------------------------------------------------


def states_of(plan: Plan) -> Iterable[StateNode]:
    """Return the states of a machine, the one it begins in first."""
    first = plan.states[plan.initial]
    return (first, *(state for state in plan.states.values() if state is not first))


def state_facts(
    plan: Plan, state: StateNode, own: StepFacts | None, *, ways: str = ""
) -> StepFacts:
    """Return a state as a node; `own` is its step's, `ways` says where it leads."""
    listens = [Badge(icon="inbox", words=f"listens to {entry.type}") for entry in state.events]
    stuck = state.stuck
    late = (
        [Badge(icon="clock", words=f"stuck after {_say_seconds(stuck.seconds)}")] if stuck else []
    )
    facts = own or StepFacts(
        key=state.id,
        needs=(),
        kind="state",
        title=say_step(state.id),
        symbol="square" if state.final else "inbox" if state.events else "activity",
        detail=_say_stay(state),
    )
    return replace(
        facts,
        needs=(),
        right="",
        badges=(*facts.badges, *listens, *late),
        ways=ways,
        is_first=state.id == plan.initial,
        is_final=bool(state.final),
    )


def _say_stay(state: StateNode) -> str:
    if state.final:
        return f"final: {state.final}"
    return f"waits for {', '.join(entry.type for entry in state.events)}" if state.events else ""


def say_ways(links: Iterable[Link]) -> dict[str, str]:
    """Return where each state leads, in words."""
    said: dict[str, list[str]] = {}
    for link in links:
        words = ", ".join(line.words for line in link.lines)
        said.setdefault(link.source, []).append(f"{say_step(link.target)}: {words}")
    return {source: "; ".join(parts) for source, parts in said.items()}


def links_of(plan: Plan) -> list[Link]:
    """Return the ways between the states of a machine, those between the same two as one."""
    lines: dict[tuple[str, str], list[LinkLine]] = {}
    for state in plan.states.values():
        for way in state.transitions:
            lines.setdefault((state.id, way.to), []).append(_line_of(way))
        for entry in state.events:
            if entry.to:
                lines.setdefault((state.id, entry.to), []).append(_line_of_event(entry))
        if state.stuck is not None and state.stuck.to:
            said = f"stuck {_say_seconds(state.stuck.seconds)}"
            line = LinkLine(icon="clock", text=said, words=said)
            lines.setdefault((state.id, state.stuck.to), []).append(line)
    return [
        Link(source=source, target=target, lines=tuple(own), is_taken=True)
        for (source, target), own in lines.items()
    ]


def _line_of(way: Transition) -> LinkLine:
    said, words, icon = way.name, way.name, "check"
    if way.on is On.EVENT:
        words, icon = f"event {way.name}", "inbox"
    elif way.on is On.AFTER:
        said = words = f"after {_say_seconds(way.seconds)}"
        icon = "timer"
    elif way.on is On.OUTCOME:
        is_choice = way.name in _CHOICES
        words = f"a person: {way.name}" if is_choice else f"outcome {way.name}"
        icon = "user" if is_choice else "check"
    else:
        said = words = _WAY_WORDS[way.on]
        icon = _WAY_ICONS[way.on]
    if way.condition is not None:
        said, words = f"{said} if …", f"{words} if {way.condition}"
    if way.continue_as_new:
        said, words = f"{said} (new run)", f"{words}, as a new run"
    return LinkLine(icon=icon, text=said, words=words)


def _line_of_event(entry: StateEvent) -> LinkLine:
    more = f" if {entry.condition}" if entry.condition is not None else ""
    return LinkLine(
        icon="inbox",
        text=f"{entry.type} if …" if more else entry.type,
        words=f"event {entry.type}{more}",
    )


def _say_seconds(seconds: float) -> str:
    return say_duration(timedelta(seconds=seconds))


def inner_of(step: Step) -> Mapping[str, Step]:
    """Return what a run makes inside a container as soon as it opens: a group's and a race's."""
    return inner_steps(step) if isinstance(step.verb, Group | Race) else {}


def pointer_of(plan: Plan, path: str) -> str:
    """Return where a step or a state stands in a definition, as a JSON pointer."""
    parts: list[str | int] = ["states" if plan.kind == Kind.STATES else "steps"]
    inside: Mapping[str, Step] = roots(plan)
    around: Step | None = None
    for name in path.split("/"):
        verb = around.verb if around is not None else None
        if isinstance(verb, Group):
            parts.append("steps")
        if isinstance(verb, Race):
            parts += ["race", list(inside).index(name) if name in inside else name]
        elif not isinstance(verb, Map | Matrix | Loop):  # what these repeat is the step itself
            parts.append(name)
        around = inside.get(name)
        inside = inner_steps(around) if around is not None else {}
    return pointer(parts)
