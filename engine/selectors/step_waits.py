"""What a step waits for now. Read `WaitKind`, then `WaitReader`.

`engine.selectors.waited` adds what other tables know. A step that is not under way itself always
waits for something: that is what people ask about.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.kernel.types import Json
from engine.domain.considering import ATTEMPT
from engine.domain.decider import Decider
from engine.domain.expressions import ExpressionError
from engine.domain.external import find_topic
from engine.domain.keys import is_undo, parent_of, path_of
from engine.domain.plan import AwaitEvent, Call, On
from engine.domain.state import RunState, StepState, StepStatus
from engine.domain.timers import Purpose, timer_name
from engine.domain.unwinding import MUTEX
from engine.selectors.run_links import RunLink

_NAME_COUNT_MAX: Final = 100  # names of one look that are evaluated; of more their text is shown


class WaitKind(StrEnum):
    """What may be waited for."""

    MUTEX = "mutex"  # `name`; `run` and `key` say who holds it
    CIRCUIT = "circuit"  # `name`; until it is asked again
    RATE = "rate"  # `name`; until the attempt may begin
    RETRY = "retry"  # until the next attempt
    TIMER = "timer"  # until an instant
    TURN = "turn"  # until the next turn of a loop
    STATE = "state"  # until a state is left for `name`, unless something else happens before
    EVENT = "event"  # `name` is its type; `correlate` what its data must hold
    RUN = "run"  # the run it called
    PEOPLE = "people"  # `name` is the verb by which people are asked
    QUESTION = "question"  # a person says what becomes of an error
    QUEUE = "queue"  # a worker with the label `name`
    TOPIC = "topic"  # a program that does tasks of the topic `name`; `worker` has it since


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWait:
    """One thing a step waits for.

    `at` is the key under which it waits. `run` and `key` say who holds a mutex, unless the reader
    may not see that run: `is_hidden`. `worker` is the program that has had a task `since` then.
    """

    kind: WaitKind
    at: str = ""
    name: str = ""
    until: datetime | None = None
    correlate: Mapping[str, Json] = field(default_factory=dict)
    run_id: UUID | None = None
    run: RunLink | None = None
    key: str = ""
    is_hidden: bool = False
    worker: str = ""
    since: datetime | None = None


class WaitReader:
    """Says of the steps of one state what they wait for."""

    def __init__(self, decider: Decider, state: RunState) -> None:
        self._definition = decider.definition
        self._plan = decider.plan
        self._state = state
        self._name_count = 0

    def read(self, key: str, step: StepState | None) -> tuple[StepWait, ...]:
        """Return what a step waits for; `step` is `None` for a state that executes nothing."""
        own = () if step is None else self._read_step(key, step)
        return (*own, *self._of_visit(key))

    def kind_of(self, key: str) -> str:
        """Return what an open step waits for first, where that is not how it stands; else ""."""
        step = self._state.steps.get(key)
        if step is None or step.status is StepStatus.OPEN:
            return next((wait.kind for wait in self.read(key, step)), "")
        return self._kind_of(key, step) if step.status is StepStatus.WAITING else ""

    def _read_step(self, key: str, step: StepState) -> Iterator[StepWait]:
        if step.status is StepStatus.HELD:
            yield from self._held(key, step)
        elif step.status is StepStatus.BACKOFF:
            yield self._backing_off(key, step)
        elif step.status is StepStatus.WAITING:
            yield self._waiting(key, step)
        elif step.status is StepStatus.SLEEPING:
            yield StepWait(kind=WaitKind.TIMER, until=self._due(Purpose.SLEEP, key))
        elif step.status is StepStatus.OPEN and self._due(Purpose.DELAY, key):
            yield StepWait(kind=WaitKind.TURN, until=self._due(Purpose.DELAY, key))
        elif step.status is StepStatus.RUNNING and step.queue:
            topic = find_topic(step.queue)
            kind = WaitKind.TOPIC if topic else WaitKind.QUEUE
            yield StepWait(kind=kind, at=key, name=topic or step.queue)

    def _held(self, key: str, step: StepState) -> Iterator[StepWait]:
        own = self._definition.step(key)
        if own.mutex and MUTEX not in step.passed:
            yield StepWait(kind=WaitKind.MUTEX, at=key, name=step.mutex)
        elif own.circuit is not None:
            yield StepWait(
                kind=WaitKind.CIRCUIT,
                at=key,
                name=self._name(own.circuit.key, key),
                until=self._state.parked_until,
            )

    def _backing_off(self, key: str, step: StepState) -> StepWait:
        own = None if is_undo(key) else self._definition.step(key)
        if own is not None and own.rate is not None and ATTEMPT in step.passed:
            name = step.gates.get("rate") or self._name(own.rate.key, key)
            return StepWait(kind=WaitKind.RATE, name=name, until=step.wake_at)
        return StepWait(kind=WaitKind.RETRY, until=step.wake_at)

    def _waiting(self, key: str, step: StepState) -> StepWait:
        kind, verb = self._kind_of(key, step), self._definition.step(key).verb
        if isinstance(verb, AwaitEvent) and kind is WaitKind.EVENT:
            return StepWait(kind=kind, at=key, name=verb.type)
        if isinstance(verb, Call) and kind is WaitKind.RUN:
            child = UUID(step.child) if step.child else None
            return StepWait(kind=kind, at=key, name=verb.reference, run_id=child)
        return StepWait(kind=kind, at=key, name=verb.verb if kind is WaitKind.PEOPLE else "")

    def _kind_of(self, key: str, step: StepState) -> WaitKind:
        if step.is_asked:
            return WaitKind.QUESTION
        verb = self._definition.step(key).verb
        if isinstance(verb, AwaitEvent):
            return WaitKind.EVENT
        return WaitKind.RUN if isinstance(verb, Call) else WaitKind.PEOPLE

    def _of_visit(self, key: str) -> Iterator[StepWait]:
        """Yield what the run listens to, and which time counts, while it is in a state."""
        state = self._state
        if key != state.current or not key or state.closed:
            return
        for listener in sorted(state.listening):
            if parent_of(listener) == key:
                name = state.listening[listener]
                yield StepWait(kind=WaitKind.EVENT, at=listener, name=name)
        node = self._plan.states[path_of(key)]
        for index, way in enumerate(node.transitions):
            due = self._due(Purpose.AFTER, f"{key}/{index}")
            if way.on is On.AFTER and due is not None:
                yield StepWait(kind=WaitKind.STATE, name=way.to, until=due)
        stuck = self._due(Purpose.STUCK, key)
        if node.stuck is not None and node.stuck.to and stuck is not None:
            yield StepWait(kind=WaitKind.STATE, name=node.stuck.to, until=stuck)

    def _due(self, purpose: Purpose, key: str) -> datetime | None:
        return self._state.timers.get(timer_name(purpose, key))

    def _name(self, template: str, key: str) -> str:
        """Return the name of a gate, or its text where that cannot be evaluated here."""
        if "${{" not in template or self._name_count >= _NAME_COUNT_MAX:
            return template
        self._name_count += 1
        try:
            seen = self._definition.variables(self._state, key)
            return self._definition.render_name(template, seen)
        except ExpressionError:
            return template
