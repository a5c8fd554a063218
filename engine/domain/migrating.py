"""Moving a run that waits to another version. Read `judge_move`, then `migrate`.

Whether a run may move is judged once, before the entry that moves it is written; the entry then
says what becomes of its data, and folding it needs the new version only. What has ended keeps its
end, what is open must be the same in both versions, and what has not begun is the new version's.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from immutables import Map as Persistent

from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain.definition import Definition
from engine.domain.differing import differences, reads
from engine.domain.errors import UnexpectedEventError
from engine.domain.events import Event
from engine.domain.keys import (
    any_try_of,
    is_undo,
    path_of,
    prefix_of,
    step_key,
    undo_key,
    undone_by,
)
from engine.domain.needs import PARTIAL, is_joined
from engine.domain.plan import Call, Kind, On, Plan, Step, Wait, inner_steps
from engine.domain.plan_json import node_to_json
from engine.domain.rerunning import holds_gate
from engine.domain.settling import GOOD
from engine.domain.state import RunState, StepState, StepStatus

# What of an open step is over once it has begun.
_PAST = frozenset({"needs", "condition", "condition_reads", "join", "join_count", "cancel_rest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a run cannot move. `key` is the step it is about, or ""."""

    code: str
    message: str
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a run would have besides its version. `None`: what it has now.

    `gated` are keys of outermost steps that called a workflow with an approval in it.
    """

    inputs: Mapping[str, Json] | None = None
    variables: Mapping[str, Json] | None = None
    gated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a run may move: only without obstacles. `reset` are approvals to be asked anew."""

    obstacles: tuple[Obstacle, ...] = ()
    reset: tuple[str, ...] = ()


def judge_move(
    old: Definition,
    new: Definition,
    state: RunState,
    *,
    names: Mapping[str, str],
    given: Given | None = None,
) -> Verdict:
    """Return whether a run may move from one version to another, and what is asked anew.

    Args:
        old: the version it has.
        new: the version it is to have.
        state: what it has come to.
        names: ids of outermost steps, or of states, of the old version → those they have in the
            new one; what is not among them keeps its id.
        given: what else it would have then.
    """
    if old.plan.kind != new.plan.kind:
        return Verdict(obstacles=(Obstacle(code="kind", message="the kind is another"),))
    obstacles = [*_restless(state), *_misnamed(old.plan, new.plan, names)]
    if obstacles:
        return Verdict(obstacles=tuple(obstacles))
    move = _Move(old=old, new=new, state=state, names=names, given=given or Given())
    obstacles = [*move.of_open(), *move.of_ended(), *move.of_answered()]
    if obstacles:
        return Verdict(obstacles=tuple(obstacles))
    reset = move.reset()
    obstacles += move.of_approved(reset)
    return Verdict(obstacles=tuple(obstacles), reset=reset)


def migrate(definition: Definition, state: RunState, event: Event) -> RunState:
    """Return the state of a run after the entry that moves it to the version of `definition`."""
    if any(True for _ in _restless(state)):
        raise UnexpectedEventError(kind=event.kind, reason="something goes on")
    renamed: Any = event.payloads.get("names") or {}
    reset: Any = event.data.get("reset") or ()
    state = evolve(
        state,
        facts={**state.facts, "rev": event.data["rev"]},
        inputs=event.payloads["inputs"],
        variables=event.payloads["vars"],
        calls=event.payloads.get("calls") or {},
        idle_claim_count=0,
    )
    state = _rename(state, renamed)
    state = _keep_known(definition, state)
    if not definition.is_machine:
        state = _begin_rest(definition, state)
    for key in reset:
        state = _ask_anew(state, key)
    return state


# --- may it move? --------------------------------------------------------------------------------


def _restless(state: RunState) -> Iterator[Obstacle]:
    """Yield why a run is not at a point where it can be moved."""
    if state.closed or state.halted:
        yield Obstacle(code="over", message="it has closed or halted")
    if state.cancelling:
        yield Obstacle(code="cancelling", message="it is being cancelled")
    if state.is_queued:
        yield Obstacle(code="queued", message="it waits for its turn and has not begun")
    if state.undo or state.undoing or state.unwinding or state.late:
        yield Obstacle(code="undoing", message="something of it is being compensated")
    busy = (state.running, state.ready, state.opening, state.withdrawing, state.todo, state.echo)
    if any(busy) or state.restarting or state.straggler_count or state.closing is not None:
        yield Obstacle(code="executing", message="something of it executes or is about to")


def _misnamed(old: Plan, new: Plan, names: Mapping[str, str]) -> Iterator[Obstacle]:
    before, after = _nodes(old), _nodes(new)
    for name, wanted in names.items():
        if name not in before or wanted not in after:
            yield Obstacle(code="names", message=f"there is no {name!r}, or no {wanted!r}")
    kept = [names.get(name, name) for name in before]
    for name in sorted({item for item in kept if kept.count(item) > 1}):
        yield Obstacle(code="names", message=f"two would be called {name!r}")


class _Move:
    """What is asked about one run and two versions."""

    def __init__(
        self,
        *,
        old: Definition,
        new: Definition,
        state: RunState,
        names: Mapping[str, str],
        given: Given,
    ) -> None:
        self._old, self._new, self._state, self._names = old, new, state, names
        self._gated = given.gated
        self._inputs = _changed(state.inputs, given.inputs)
        self._vars = _changed(state.variables, given.variables)
        self._before, self._after = _nodes(old.plan), _nodes(new.plan)
        self._open = [key for key in self._roots() if self._is_open(key)]
        if old.is_machine:
            self._open = [state.current] if state.current else []

    def of_open(self) -> Iterator[Obstacle]:
        """Yield what keeps open steps, or the state the run is in, from going on."""
        for key in self._open:
            name = path_of(key)
            if self._names.get(name, name) != name:
                yield Obstacle(code="renamed-open", key=key, message="what is open keeps its name")
            elif name not in self._after:
                yield Obstacle(code="removed-open", key=key, message="it is open, and not there")
            elif not self._goes_on(key):
                yield Obstacle(code="changed-open", key=key, message="it is open, and another")

    def of_ended(self) -> Iterator[Obstacle]:
        """Yield what could not be compensated any more."""
        for key in sorted(self._state.undoable):
            root = path_of(prefix_of(any_try_of(key), 1))
            name = self._names.get(root, root)
            path = name + path_of(key).removeprefix(root)
            node = self._new.tree.nodes.get(path)
            is_kept = path == name or self._is_same(root, name)
            if key in self._state.undone:
                continue
            if node is None or node.step.compensate is None or not is_kept:
                message = "what it did may have to be compensated, and could not be any more"
                yield Obstacle(code="removed-undoable", key=key, message=message)

    def of_answered(self) -> Iterator[Obstacle]:
        """Yield what has ended and would stand for an approval that nobody was asked for."""
        for key in self._roots():
            if self._state.steps[key].status is not StepStatus.ENDED:
                continue
            was = path_of(key)
            name = self._names.get(was, was)
            node = self._new.tree.nodes.get(name)
            may_ask = node is not None and (holds_gate(self._new, node.step) or _calls(node.step))
            if not may_ask and not self._is_gate(key):
                continue
            is_kept = name == was and (self._old.is_machine or self._is_same(was, name))
            if not is_kept and (may_ask or name != was):
                message = "it has ended, and would stand for an approval that is another"
                yield Obstacle(code="ended-approval", key=key, message=message)

    def of_approved(self, reset: Collection[str]) -> Iterator[Obstacle]:
        """Yield approvals whose yes would stand for what is another in the new version.

        Of what is open and holds an approval, nobody knows here whether it has been given.
        """
        inside = [key for key in self._open if self._is_gate(key) and not self._is_asking(key)]
        for key in inside:
            if self._reads_other(path_of(key)):
                message = "people may have approved it, and what it reads is another"
                yield Obstacle(code="approved-other", key=key, message=message)
        given = [*inside, *(key for key in self._roots() if self._said_yes(key))]
        if not given:
            return
        asked = {path_of(key) for key in self._open if self._is_asking(key)}
        for name in self._uncovered(given, asked | {path_of(key) for key in reset}):
            message = "people approved what was to follow, and this is another"
            yield Obstacle(code="approved-other", key=step_key(name), message=message)

    def reset(self) -> tuple[str, ...]:
        """Return the keys of the open approvals that people must see anew."""
        return tuple(
            key for key in self._open if self._is_wait(path_of(key)) and self._differs(key)
        )

    # --- parts ---------------------------------------------------------------------------------

    def _roots(self) -> list[str]:
        nodes = self._old.tree.nodes
        keys = [key for key in self._state.steps if "/" not in key and "@" not in key]
        return sorted(key for key in keys if not is_undo(key) and path_of(key) in nodes)

    def _is_open(self, key: str) -> bool:
        return self._state.steps[key].status not in {StepStatus.PENDING, StepStatus.ENDED}

    def _is_gate(self, key: str) -> bool:
        node = self._old.tree.nodes.get(path_of(key))
        return key in self._gated or (node is not None and holds_gate(self._old, node.step))

    def _is_asking(self, key: str) -> bool:
        """Say whether a key is that of an approval itself, which is open."""
        step = self._state.steps.get(key)
        is_open = step is not None and step.status is StepStatus.WAITING
        return is_open and self._is_wait(path_of(key)) and self._is_gate(key)

    def _is_wait(self, name: str) -> bool:
        node = self._old.tree.nodes.get(name)
        return node is not None and isinstance(node.step.verb, Wait)

    def _said_yes(self, key: str) -> bool:
        step = self._state.steps[key]
        return step.status is StepStatus.ENDED and step.outcome in GOOD and self._is_gate(key)

    def _is_same(self, name: str, other: str) -> bool:
        before, after = dict(self._before[name]), self._after.get(other)
        return after is not None and {**before, "id": ""} == {**after, "id": ""}

    def _goes_on(self, key: str) -> bool:
        """Say whether an open step, or the state the run is in, can go on in the new version."""
        before, after = self._before[path_of(key)], self._after[path_of(key)]
        if self._old.is_machine:
            return self._state_goes_on(path_of(key), before, after)
        if self._is_wait(path_of(key)) and self._is_wait_after(path_of(key)):
            return True  # asked anew, if it is another
        return _now(before) == _now(after)

    def _state_goes_on(
        self, name: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> bool:
        if any(before.get(item) != after.get(item) for item in ("events", "stuck", "final")):
            return False
        if _timed(self._old.plan, name) != _timed(self._new.plan, name):
            return False
        is_wait = self._is_wait(name) and self._is_wait_after(name)
        return is_wait or before.get("step") == after.get("step")

    def _is_wait_after(self, name: str) -> bool:
        node = self._new.tree.nodes.get(name)
        return node is not None and isinstance(node.step.verb, Wait)

    def _differs(self, key: str) -> bool:
        """Say whether an open approval, or anything it leads to, is another."""
        name, step = path_of(key), self._state.steps.get(key)
        if step is None or step.status is not StepStatus.WAITING or name not in self._after:
            return False
        # Where a state leads to is part of what people are asked about.
        if _now(self._before[name]) != _now(self._after[name]) or self._reads_other(name):
            return True
        return any(self._is_other(item) for item in self._below(name))

    def _has_changed(self, name: str) -> bool:
        """Say whether a step of the new version is another, or was not there, or reads another."""
        was = self._was(name)
        return was is None or not self._is_same(was, name) or self._reads_other(name)

    def _is_other(self, name: str) -> bool:
        """Say whether a step has changed, or anything that it needs and that is yet to execute."""
        if self._has_changed(name):
            return True
        needs = () if self._new.is_machine else self._new.plan.steps[name].needs
        return any(self._is_ahead(need) and self._is_other(need) for need in needs)

    def _reads_other(self, name: str) -> bool:
        """Say whether a step, or a state, reads an input or a var that would be another."""
        node = self._after.get(name)
        return reads(node, "inputs", self._inputs) or reads(node, "vars", self._vars)

    def _was(self, name: str) -> str | None:
        return next((item for item in self._before if self._names.get(item, item) == name), None)

    def _below(self, name: str) -> list[str]:
        """Return what a step of the new version leads to, in any number of steps."""
        found: list[str] = []
        todo = [name]
        while todo:
            for item in _next(self._new.plan, todo.pop()):
                if item not in found:
                    found.append(item)
                    todo.append(item)
        return found

    def _uncovered(self, given: Collection[str], asked: Collection[str]) -> Iterator[str]:
        """Yield what is another, is yet to execute, and that nobody will be asked about first."""
        if self._new.is_machine:
            here = path_of(self._state.current)
            reached = {here} | self._free_of(here, asked) if here not in asked else set()
            yield from sorted(item for item in reached if self._has_changed(item))
            return
        covered = {item for name in asked for item in self._below(name)}
        approved = {
            item
            for key in given
            for item in self._below(self._names.get(path_of(key), path_of(key)))
        }
        for name in self._new.plan.steps:
            if name in approved - covered and self._is_ahead(name) and self._is_other(name):
                yield name

    def _free_of(self, name: str, asked: Collection[str]) -> set[str]:
        """Return the states that can be reached without passing an approval."""
        found: set[str] = set()
        todo = [name]
        while todo:
            for item in _next(self._new.plan, todo.pop()):
                if item in found:
                    continue
                found.add(item)
                node = self._new.tree.nodes.get(item)
                if item not in asked and not (node and holds_gate(self._new, node.step)):
                    todo.append(item)
        return found

    def _is_ahead(self, name: str) -> bool:
        was = self._was(name)
        step = self._state.steps.get(step_key(was)) if was else None
        return step is None or step.status is StepStatus.PENDING


def _nodes(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return the outermost steps, or the states, of a plan as JSON by id."""
    nodes: Mapping[str, Any] = plan.states if plan.kind == Kind.STATES else plan.steps
    return {name: dict(node_to_json(node)) for name, node in nodes.items()}


def _changed(before: Json, after: Mapping[str, Json] | None) -> frozenset[str]:
    if after is None:
        return frozenset()
    return differences(before if isinstance(before, Mapping) else {}, after)


def _calls(step: Step) -> bool:
    """Say whether a step calls a workflow, itself or inside it: that may hold an approval."""
    return isinstance(step.verb, Call) or any(_calls(item) for item in inner_steps(step).values())


def _now(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in _PAST}


def _timed(plan: Plan, name: str) -> list[tuple[int, float]]:
    """Return the places of a state's transitions that time takes: timers are known by them."""
    found = enumerate(plan.states[name].transitions)
    return [(place, item.seconds) for place, item in found if item.on is On.AFTER]


def _next(plan: Plan, name: str) -> list[str]:
    if plan.kind != Kind.STATES:
        return [item for item, step in plan.steps.items() if name in step.needs]
    node = plan.states[name]
    stuck = [node.stuck.to] if node.stuck is not None and node.stuck.to else []
    ways: Sequence[str] = [item.to for item in node.transitions]
    return [*ways, *(item.to for item in node.events if item.to), *stuck]


# --- moving --------------------------------------------------------------------------------------


def _rename(state: RunState, names: Mapping[str, str]) -> RunState:
    """Return the state with other ids of outermost steps; nothing that is open is among them."""
    if not names:
        return state

    def new(key: str) -> str:
        bare = undone_by(key)
        name, mark, rest = bare.partition("#")
        renamed = names.get(name, name) + mark + rest
        return undo_key(renamed) if is_undo(key) else renamed

    return evolve(
        state,
        steps=Persistent({new(key): step for key, step in state.steps.items()}),
        undoable=Persistent({new(key): place for key, place in state.undoable.items()}),
        undone=frozenset(new(key) for key in state.undone),
        visits=Persistent({names.get(key, key): count for key, count in state.visits.items()}),
        entered=Persistent({new(key): item for key, item in state.entered.items()}),
        assigned=Persistent({new(key): item for key, item in state.assigned.items()}),
    )


def _keep_known(definition: Definition, state: RunState) -> RunState:
    """Return the state without what the version has no place for.

    An ended container keeps its outputs and forgets how far it had come.
    """
    nodes = definition.tree.nodes
    steps = state.steps
    for key, step in state.steps.items():
        if _is_listener(definition, key):
            continue
        if path_of(key) not in nodes:
            steps = steps.delete(key)
        elif step.inside is not None and step.status is StepStatus.ENDED:
            steps = steps.set(key, evolve(step, inside=None))
    kept = Persistent({key: at for key, at in state.undoable.items() if key in steps})
    return evolve(state, steps=steps, undoable=kept)


def _is_listener(definition: Definition, key: str) -> bool:
    """Say whether a key is that of an event which a state listens to."""
    name, _, rest = path_of(key).partition("/")
    return rest == "event" and name in definition.plan.states


def _begin_rest(definition: Definition, state: RunState) -> RunState:
    """Return the state of a dag in which what has not begun is as the version has it."""
    plan = definition.plan
    ended = {
        name
        for name in plan.steps
        if (made := state.steps.get(step_key(name))) and made.status is StepStatus.ENDED
    }
    steps = state.steps
    for name, step in plan.steps.items():
        known = steps.get(step_key(name))
        if known is None or known.status is StepStatus.PENDING:
            unmet_count = sum(need not in ended for need in step.needs)
            steps = steps.set(step_key(name), StepState(unmet_count=unmet_count))
    state = evolve(state, steps=steps)
    return evolve(
        state,
        open_count=sum(steps[step_key(name)].status is not StepStatus.ENDED for name in plan.steps),
        todo=tuple(
            step_key(name)
            for name, step in plan.steps.items()
            if steps[step_key(name)].status is StepStatus.PENDING
            and _may_begin(definition, state, step)
        ),
    )


def _may_begin(definition: Definition, state: RunState, step: Step) -> bool:
    key = step_key(step.id)
    if state.steps[key].unmet_count == 0:
        return True
    return step.join in PARTIAL and is_joined(definition, state, key)


def _ask_anew(state: RunState, key: str) -> RunState:
    """Return the state in which an open approval is taken back and asked again."""
    again = evolve(state.steps[key], status=StepStatus.PENDING)
    return evolve(
        state,
        steps=state.steps.set(key, again),
        waiting_count=state.waiting_count - 1,
        withdrawing=(*state.withdrawing, key),
        restarting=(*state.restarting, key),
    )
