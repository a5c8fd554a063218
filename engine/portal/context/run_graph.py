"""A run as nodes and ways for `drawing`. Read `graph_of_run` first.

The plan says what is around what; the run says how far each has come. What has not begun inside a
group that has not opened is drawn too, so that the picture shows all of the way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from engine.domain.events import Event, find_decided
from engine.domain.keys import any_try_of, is_undo, parent_of, path_of, undone_by
from engine.domain.machine import ENTERED
from engine.domain.nodes import Tree, index_plan
from engine.domain.plan import Group, Kind, Loop, Plan, Race, StateNode, Step
from engine.domain.state import StepStatus
from engine.portal.context.drawing import StepFacts
from engine.portal.context.nodes import Badge
from engine.portal.context.plan_graph import (
    Graph,
    badges_of,
    container_of,
    describe_container,
    describe_verb,
    facts_of,
    inner_of,
    links_of,
    say_ways,
    state_facts,
    states_of,
    symbol_of,
)
from engine.portal.context.steps import StepWords, describe_action
from engine.portal.naming import short_key
from engine.portal.statuses import describe_step, say_step
from engine.selectors.run_shapes import Progress, RunShape

_REPEATING: Final = frozenset({"map", "matrix", "loop"})
_OPEN: Final = frozenset({"pending", "running", "waiting"})
_UNDOING: Final = {"approved": "was undone", "failed": "could not be undone"}


def graph_of_run(
    plan: Plan,
    described: Sequence[tuple[StepWords, StepFacts]],
    *,
    shape: RunShape,
    taken: frozenset[tuple[str, str]],
    is_open: bool,
) -> Graph:
    """Return a run's steps at their places, and the states of its machine.

    Args:
        plan: the run's.
        described: its steps in words and as nodes, containers before what is inside them.
        shape: how far its containers and its machine have come.
        taken: pairs of states between which it went.
        is_open: it has not ended.
    """
    return _Maker(plan, described, shape).make(taken=taken, is_open=is_open)


def list_taken(events: Iterable[Event]) -> frozenset[tuple[str, str]]:
    """Return the pairs of states between which a run went, by its events."""
    entered = [
        path_of(str(item["key"]))
        for event in events
        for item in (find_decided(event) or {}).get("settled", ())
        if item["outcome"] == ENTERED
    ]
    return frozenset(pairwise(entered))


class _Maker:
    """One graph while it is made."""

    def __init__(
        self, plan: Plan, described: Sequence[tuple[StepWords, StepFacts]], shape: RunShape
    ) -> None:
        self._plan = plan
        self._is_machine = plan.kind == Kind.STATES
        self._tree: Tree = index_plan(plan)
        self._described = described
        self._shape = shape
        self._containers = {short_key(key): item for key, item in shape.containers.items()}
        self._undone = self._find_undone()
        self._links = links_of(plan)
        self._ways = say_ways(self._links)

    def make(self, *, taken: frozenset[tuple[str, str]], is_open: bool) -> Graph:
        """Return the graph."""
        found = {facts.key: facts for facts in self._nodes()}
        if self._is_machine:
            return self._machine(found, taken=taken, is_open=is_open)
        inner = [facts for facts in found.values() if facts.parent]
        outermost = [facts for facts in found.values() if not facts.parent]
        return Graph(steps=(*outermost, *self._reachable(outermost, inner)))

    # --- steps -----------------------------------------------------------------------------------

    def _nodes(self) -> Iterator[StepFacts]:
        """Yield the steps of the run, and what has not begun inside its groups."""
        begun = {parent_of(words.key) for words, _ in self._described}
        for words, facts in self._described:
            if _is_earlier(words.key):
                continue
            if is_undo(words.key):
                if not self._is_badge(undone_by(words.key)):
                    yield _undo_facts(facts)
                continue
            node = self._tree.nodes.get(path_of(words.key))
            if node is None:
                yield facts
                continue
            made = self._dress(words, facts, node.step)
            yield made
            if words.key not in begun:
                yield from _unbegun(made, node.step)

    def _dress(self, words: StepWords, facts: StepFacts, step: Step) -> StepFacts:
        """Return a step with all that its place in the plan says."""
        container = container_of(step)
        parent = parent_of(words.key)
        progress = self._containers.get(words.key)
        undone = self._undone.get(words.key)
        detail = (
            _say_container(step, words, facts, progress) if container else _say_detail(step, facts)
        )
        return replace(
            facts,
            needs=tuple(need for need in facts.needs if need != parent),
            title=words.name if parent and words.name else facts.title,
            detail=detail if undone is None else f"{undone.words}: {detail}",
            right="" if container else facts.right,
            symbol=symbol_of(step),
            parent=parent,
            container=container,
            done=progress if container in _REPEATING else None,
            badges=badges_of(step) if undone is None else (*_without_undo(step), undone),
        )

    def _find_undone(self) -> dict[str, Badge]:
        """Return how the compensations stand that are told on what they undo."""
        told = (
            words
            for words, _ in self._described
            if is_undo(words.key)
            and (_is_earlier(words.key) or self._is_badge(undone_by(words.key)))
        )
        return {
            undone_by(short_key(any_try_of(words.view.key if words.view else words.key))): Badge(
                icon="rotate-ccw",
                words=f"{'an earlier try ' if _is_earlier(words.key) else ''}"
                f"{_UNDOING.get(words.mark, 'is being undone')}",
            )
            for words in told
        }

    def _is_badge(self, key: str) -> bool:
        """Say whether a compensation is no node: of an instance, or of a machine's state."""
        around = self._tree.nodes.get(path_of(parent_of(key))) if parent_of(key) else None
        if around is None:
            return self._is_machine
        return not isinstance(around.step.verb, Group | Race)

    def _reachable(
        self, outer: Iterable[StepFacts], inner: Iterable[StepFacts]
    ) -> Iterator[StepFacts]:
        """Yield what is inside of what is drawn, containers first."""
        inside: dict[str, list[StepFacts]] = {}
        for facts in inner:
            inside.setdefault(facts.parent, []).append(facts)
        waiting = [facts.key for facts in outer]
        while waiting:
            for facts in inside.get(waiting.pop(0), ()):
                yield facts
                waiting.append(facts.key)

    # --- state machines --------------------------------------------------------------------------

    def _machine(
        self, found: Mapping[str, StepFacts], *, taken: frozenset[tuple[str, str]], is_open: bool
    ) -> Graph:
        states, keys, inner = [], {}, [facts for facts in found.values() if facts.parent]
        for state in states_of(self._plan):
            facts = self._state(state, found, is_open=is_open)
            states.append(facts)
            keys[state.id] = facts.key
            if facts.is_planned and state.step is not None:
                inner += _unbegun(facts, state.step)
        links = [
            replace(
                link,
                source=keys[link.source],
                target=keys[link.target],
                is_taken=(link.source, link.target) in taken,
            )
            for link in self._links
        ]
        return Graph(steps=(*states, *self._reachable(states, inner)), links=tuple(links))

    def _state(
        self, state: StateNode, found: Mapping[str, StepFacts], *, is_open: bool
    ) -> StepFacts:
        """Return a state as its last visit stands."""
        count = self._shape.visits.get(state.id, 0)
        key = state.id if count <= 1 else f"{state.id}#{count}"
        known = found.get(key)
        if known is None or not count:
            return self._unvisited(state, count=count, is_open=is_open)
        is_here = bool(self._shape.current) and self._shape.current in {key, f"{key}#1"}
        step = self._tree.nodes.get(state.id)
        facts = state_facts(self._plan, state, known, ways=self._ways.get(state.id, ""))
        said = [f"{count} visits"] if count > 1 else []
        if is_here and step is None:
            facts = replace(facts, mark="running")
        return replace(
            facts,
            title=say_step(state.id),
            detail=_say_visited(state, known, is_idle=step is None),
            right=", ".join(said) or known.right,
            word=f"Here now, {facts.word.lower()}" if is_here else facts.word,
            symbol="square" if state.final else facts.symbol,
            is_here=is_here,
        )

    def _unvisited(self, state: StateNode, *, count: int, is_open: bool) -> StepFacts:
        """Return a state the run has not been in, or of whose visits too little is known."""
        node = self._tree.nodes.get(state.id)
        own = facts_of(state.id, node.step) if node else None
        facts = state_facts(self._plan, state, own, ways=self._ways.get(state.id, ""))
        if count:
            chip = describe_step(status=StepStatus.ENDED, outcome=state.final or None)
            return replace(facts, mark=chip.mark, word=chip.word)
        mark = "pending" if is_open else "skipped"
        return replace(facts, mark=mark, word="Not visited", is_planned=True)


def _say_visited(state: StateNode, known: StepFacts, *, is_idle: bool) -> str:
    if state.final:
        return f"final: {state.final}"
    if is_idle and state.events:
        return f"listens to {', '.join(entry.type for entry in state.events)}"
    return known.detail if not is_idle else ""


def _is_earlier(key: str) -> bool:
    """Say whether a key is of a try that is over, which is listed but not drawn."""
    return any_try_of(key) != key


def _without_undo(step: Step) -> tuple[Badge, ...]:
    return badges_of(replace(step, compensate=None))


# --- what has not begun, and what is taken back --------------------------------------------------


def _unbegun(around: StepFacts, step: Step) -> Iterator[StepFacts]:
    """Yield what a group or a race will hold, as the group stands; a link leads to the group."""
    mark = around.mark if around.mark not in {"running", "waiting"} else "pending"
    for name, inner in inner_of(step).items():
        key = f"{around.key}/{name}"
        facts = facts_of(name, inner)
        made = replace(
            facts,
            key=key,
            needs=tuple(f"{around.key}/{need}" for need in inner.needs),
            parent=around.key,
            mark=mark,
            word=around.word if mark == around.mark else "Queued",
            badges=badges_of(inner),
            target="" if around.is_planned else around.target or around.key,
            is_planned=around.is_planned,
        )
        yield made
        yield from _unbegun(made, inner)


def _undo_facts(facts: StepFacts) -> StepFacts:
    """Return a compensation beside what it undoes."""
    done = undone_by(facts.key)
    return replace(
        facts,
        needs=(done,),
        parent=parent_of(done),
        badges=(Badge(icon="rotate-ccw", words="compensation"),),
    )


# --- texts ---------------------------------------------------------------------------------------


def _say_detail(step: Step, facts: StepFacts) -> str:
    """Return the second text of a step: how it stands, or all of what it will do."""
    return describe_verb(step) if facts.detail == describe_action(step) else facts.detail


def _say_container(
    step: Step, words: StepWords, facts: StepFacts, progress: Progress | None
) -> str:
    """Return the second text of a container: what kind it is, and how far it has come."""
    kind = container_of(step)
    if progress is None:
        if facts.mark not in _OPEN and facts.detail:
            return f"{kind}: {facts.detail}"
        return describe_container(step)
    if isinstance(step.verb, Loop):
        return f"loop: turn {progress.begun} of at most {step.verb.turns_max}"
    if isinstance(step.verb, Race):
        winner = words.view.outputs.get("winner") if words.view else None
        won = f"{say_step(winner)} won" if isinstance(winner, str) else "the first wins"
        return f"race of {progress.total}: {won}"
    if not progress.total:
        return f"{kind}: nothing to do"
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{kind}: {progress.good} of {progress.total} done{failed}"
