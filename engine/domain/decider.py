"""The decider: how an event changes a run, and what follows from it. Read `Decider` first.

    event → `apply` → state → `advance` → state with its consequences → `begin` → an attempt

All three are pure. A driver applies what happened, lets the state advance, begins what is ready and
writes the lot as one entry; whoever folds that entry again must come to the same, or the run is
nondeterministic. The page docs/tutorials/the-decider.md walks through it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from core.kernel import limits
from core.kernel.canonical import UncanonicalError, canonical_bytes, digest
from core.kernel.values import evolve
from engine.domain import machine, unwinding
from engine.domain.applying import apply_event
from engine.domain.cancelling import cancel_open
from engine.domain.considering import ATTEMPT, consider, needs_admission
from engine.domain.definition import Definition
from engine.domain.errors import NondeterministicError, UnexpectedEventError
from engine.domain.events import Begun, Event, Settled, find_decided
from engine.domain.expressions import Evaluator, ExpressionError
from engine.domain.hearing import hear
from engine.domain.keys import is_undo, path_of
from engine.domain.mentions import mentioned
from engine.domain.nodes import index_plan
from engine.domain.plan import Plan, Step, Uses
from engine.domain.restarting import find_restart, restart
from engine.domain.settling import without
from engine.domain.state import Closing, Outcome, RunState, StepStatus, worse
from engine.domain.verbs import WaitVerb


class Decider:
    """The rules of one version. Holds no state of any run; safe to share between threads."""

    def __init__(
        self,
        *,
        plan: Plan,
        evaluator: Evaluator,
        verbs: Mapping[str, WaitVerb],
        version: str = "",
    ) -> None:
        self.plan = plan
        self.version = version  # the digest by which entries name it, hex; "": none do
        self.definition = Definition(
            plan=plan, tree=index_plan(plan), evaluator=evaluator, verbs=verbs
        )
        self._reads_at_end = mentioned(dict(plan.outputs), ids=self.definition.tree.ids)
        self._has_gates = any(map(needs_admission, self.definition.tree.steps()))
        self.has_priorities = self.definition.tree.has_priorities
        self.has_queues = self.definition.tree.has_queues
        # Every move puts all that is ready in order: nothing is looked up twice for that.
        nodes = self.definition.tree.nodes
        self._ranks = {path: -node.step.priority for path, node in nodes.items()}

    # --- the three verbs ---------------------------------------------------------------------

    def apply(self, state: RunState, event: Event) -> RunState:
        """Return the state after an event, without its consequences.

        Raises:
            UnexpectedEventError: the event cannot happen in this state.
            NondeterministicError: it was prepared from something else than this version prepares.
        """
        return apply_event(self.definition, state, event)

    def advance(self, state: RunState) -> tuple[RunState, tuple[Settled, ...]]:
        """Return the state with every consequence drawn, and what ended by it.

        Afterwards `ready` can begin, `opening` must be requested, `held` must be let through, and
        `closing` says if the run is over. Advancing twice changes nothing.
        """
        if state.is_queued:
            return state, ()
        if state.cancelling:
            state = self._cancel(state)
        while True:
            if state.echo:
                state = hear(self.definition, evolve(state, echo=state.echo[1:]), state.echo[0])
            elif state.todo:
                rest = evolve(state, todo=state.todo[1:])
                state = consider(self.definition, rest, state.todo[0])
            elif key := find_restart(state):
                state = restart(self.definition, state, key)
            else:
                unwound = unwinding.advance(self.definition, state)
                if unwound is state:
                    break
                state = unwound
        if self._is_over(state):
            state = evolve(state, closing=self._close(state))
        return evolve(state, news=()) if state.news else state, state.news

    def begin(
        self, state: RunState, key: str, *, at: datetime, queue: str = ""
    ) -> tuple[RunState, Begun]:
        """Return the state in which the next attempt of a step executes.

        The step must be ready, or in backoff and due. With a `queue`, workers of that label
        execute it.
        """
        step = state.steps[key]
        due = step.status is StepStatus.BACKOFF and step.wake_at is not None and step.wake_at <= at
        if step.status is not StepStatus.READY and not due:
            raise UnexpectedEventError(kind="begin", reason=f"{key} is {step.status}")
        attempt = step.attempt + 1
        began = evolve(
            step,
            status=StepStatus.RUNNING,
            attempt=attempt,
            started_at=at,
            wake_at=None,
            queue=queue,
            passed=step.passed - {ATTEMPT} if step.passed else step.passed,
        )
        state = evolve(
            state,
            steps=state.steps.set(key, began),
            running=state.running.set(key, attempt),
            remote=state.remote.set(key, queue) if queue else state.remote,
            ready=without(state.ready, key),
            backoff=state.backoff.delete(key) if due else state.backoff,
        )
        arguments = digest(step.arguments).hex()
        return state, Begun(key=key, attempt=attempt, digest=arguments, queue=queue)

    def fold(self, state: RunState, events: Iterable[Event]) -> RunState:
        """Return the state after recorded events, checking every recorded consequence.

        Raises:
            NondeterministicError: the events record other consequences than this version draws.
            UnexpectedEventError: an event cannot happen where it stands.
        """
        for event in events:
            state = self.apply(state, event)
            record = find_decided(event)
            if record is not None:
                state = self._replay_decided(state, event, record)
        return state

    # --- reading a state -----------------------------------------------------------------------

    def uses_of(self, key: str) -> Uses:
        """Return the action behind a key, of a step or of its compensation."""
        return self.definition.uses(key)

    def step_at(self, key: str) -> Step:
        """Return the step behind a key; of a compensation, what it undoes."""
        return self.definition.step(key)

    def timeout_of(self, key: str) -> timedelta:
        """Return how long one attempt of a key may take."""
        undo = self.definition.undo(key)
        step = self.definition.step(key)
        return timedelta(seconds=undo.timeout_seconds if undo else step.timeout_seconds)

    def heartbeat_of(self, key: str) -> float | None:
        """Return how long an attempt of a key may be silent, seconds; `None`: for ever."""
        return None if is_undo(key) else self.definition.step(key).heartbeat_seconds

    def is_lazy(self, key: str) -> bool:
        """Say whether attempts of a key may be recorded later than they end."""
        return not is_undo(key) and self.definition.step(key).lazy

    def needs_note(self, key: str) -> bool:
        """Say whether a circuit or the cache is to be told how attempts of a key end."""
        step = self.definition.step(key)
        return not is_undo(key) and (step.circuit is not None or step.cache is not None)

    def beginnable(self, state: RunState, *, at: datetime) -> Iterator[str]:
        """Yield the keys that may begin an attempt, in the order in which they should."""
        keys = self._waiting_to_begin(state, at=at)
        if self.has_priorities:
            ranks = self._ranks
            keys = iter(sorted(keys, key=lambda key: ranks[path_of(key)]))
        return keys

    def has_beginnable(self, state: RunState, *, at: datetime) -> bool:
        """Say whether any key may begin an attempt, without putting them in order."""
        return any(True for _ in self._waiting_to_begin(state, at=at))

    def _waiting_to_begin(self, state: RunState, *, at: datetime) -> Iterator[str]:
        if state.paused:
            return iter(())
        due = (key for key in state.backoff.iter_due(at) if not self._wants_admission(state, key))
        keys: Iterable[str] = chain(due, state.ready)
        # The last attempt of a step may still execute although the step has begun anew.
        return (key for key in keys if key not in state.running)

    def to_admit(self, state: RunState, *, at: datetime) -> tuple[str, ...]:
        """Return the keys of steps that begin only if a gate lets them through."""
        if state.paused:
            return ()
        if not self._has_gates:
            return state.held
        due = [key for key in state.backoff.iter_due(at) if self._wants_admission(state, key)]
        return (*state.held, *due)

    def due_timers(self, state: RunState, *, at: datetime) -> tuple[str, ...]:
        """Return the names of the timers that are due, soonest first; while paused, none is."""
        return () if state.paused else tuple(state.timers.iter_due(at))

    def next_wake(self, state: RunState, *, besides: Collection[str] = ()) -> datetime | None:
        """Return when time moves the run on, `None` if it does not.

        `besides` are keys of steps that wait for a gate, whatever their own time is. A paused run
        waits for nobody's clock.
        """
        if state.paused:
            return None
        instants = (
            state.backoff.find_first(besides=frozenset(besides)),
            state.timers.find_first(),
            state.parked_until,
        )
        return min((at for at in instants if at is not None), default=None)

    # --- small parts -------------------------------------------------------------------------

    def _wants_admission(self, state: RunState, key: str) -> bool:
        if not self._has_gates or is_undo(key) or ATTEMPT in state.steps[key].passed:
            return False
        return needs_admission(self.definition.step(key))

    def _cancel(self, state: RunState) -> RunState:
        state = cancel_open(self.definition, state)
        if self.definition.is_machine and state.current and state.current not in state.steps:
            return machine.finish(machine.leave(self.definition, state), Outcome.CANCELLED)
        return state

    def _is_over(self, state: RunState) -> bool:
        is_busy = state.open_count or state.straggler_count or state.running or state.undoing
        is_left_alone = state.paused or state.restarting  # a step may yet be tried again
        return not is_busy and (state.closing is None) and not is_left_alone

    def _close(self, state: RunState) -> Closing:
        worst = state.worst
        if state.compensating:  # although all had completed, none of it stands any more
            worst = worse(worst, Outcome.CANCELLED)
        if worst is not Outcome.SUCCEEDED:
            return Closing(outcome=worst, outputs={}, why=state.broken)
        if state.carried is not None:
            if state.cancelling:
                return Closing(outcome=Outcome.CANCELLED, outputs={})
            return Closing(outcome=Outcome.CONTINUED, outputs={}, carried=state.carried)
        variables = self.definition.variables_at_end(state, self._reads_at_end)
        evaluate = self.definition.evaluator.evaluate
        try:
            outputs = {name: evaluate(text, variables) for name, text in self.plan.outputs.items()}
            size = len(canonical_bytes(outputs))
        except (ExpressionError, UncanonicalError) as error:
            return Closing(outcome=Outcome.FAILED, outputs={}, why=str(error))
        if size > limits.PAYLOAD_BYTES_MAX:
            why = f"the outputs have {size} bytes; at most {limits.PAYLOAD_BYTES_MAX} are recorded"
            return Closing(outcome=Outcome.FAILED, outputs={}, why=why)
        return Closing(outcome=Outcome.SUCCEEDED, outputs=outputs)

    def _replay_decided(self, state: RunState, event: Event, record: Mapping[str, Any]) -> RunState:
        state, settled = self.advance(state)
        found = [item.as_json() for item in settled]
        if found != record["settled"]:
            raise NondeterministicError(
                seq=event.seq, expected=str(record["settled"]), found=str(found)
            )
        for item in record["next"]:
            queue = item.get("queue", "")
            state, begun = self.begin(state, item["key"], at=event.at, queue=queue)
            if begun.as_json() != item:
                raise NondeterministicError(
                    seq=event.seq, expected=str(item), found=str(begun.as_json())
                )
        # Who wrote the entry has done this with it.
        return evolve(state, releasing=(), alarms=())
