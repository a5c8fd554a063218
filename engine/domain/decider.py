"""The decider: how an event changes a run, and what follows from it. Read `Decider` first.

    event → `apply` → state → `advance` → state with its consequences → `begin` → an attempt

All three are pure. A driver applies what happened, lets the state advance, begins what is ready and
writes the lot as one entry; whoever folds that entry again must come to the same, or the run is
nondeterministic.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from immutables import Map

from core.kernel import limits
from core.kernel.canonical import UncanonicalError, canonical_bytes, digest
from core.kernel.types import Json
from engine.domain import settling, unwinding
from engine.domain.errors import NondeterministicError, UnexpectedEventError
from engine.domain.events import Begun, Event, EventKind, Settled, find_decided
from engine.domain.expressions import TOO_LARGE, Evaluator, ExpressionError
from engine.domain.needs import Verdict, rule_needs
from engine.domain.plan import Plan, Retry, Step, Uses, Wait
from engine.domain.retrying import is_retried, retry_delay
from engine.domain.state import Closing, Outcome, RunState, StepError, StepState, StepStatus
from engine.domain.variables import (
    expressions_of,
    is_undo,
    mentioned_steps,
    step_key,
    step_of,
    variables_for,
)
from engine.domain.verbs import WaitOutcome, WaitVerb

_IMPLIED = frozenset(Outcome) - {Outcome.SKIPPED, Outcome.UNREACHED, Outcome.FAILED}


class Decider:
    """The rules of one version. Holds no state of any run; safe to share between threads."""

    def __init__(self, *, plan: Plan, evaluator: Evaluator, verbs: Mapping[str, WaitVerb]) -> None:
        self.plan = plan
        self._evaluator = evaluator
        self._verbs = verbs
        self._reads = {
            step.id: mentioned_steps(expressions_of(step), plan=plan)
            for step in plan.steps.values()
        }
        dependents: dict[str, list[str]] = {step: [] for step in plan.steps}
        for step in plan.steps.values():
            for need in step.needs:
                dependents[need].append(step.id)
        self._dependents = {step: tuple(items) for step, items in dependents.items()}
        self._appliers: dict[str, Callable[[RunState, Event], RunState]] = {
            EventKind.RUN_STARTED: self._run_started,
            EventKind.RUN_OWNED: self._run_owned,
            EventKind.STEP_STARTED: _unchanged,
            EventKind.STEP_COMPLETED: self._step_completed,
            EventKind.ATTEMPT_FAILED: self._attempt_failed,
            EventKind.ATTEMPT_LOST: self._attempt_lost,
            EventKind.APPROVAL_REQUESTED: self._wait_requested,
            EventKind.APPROVAL_RESOLVED: self._wait_resolved,
            EventKind.RUN_CANCEL_REQUESTED: _cancel_requested,
            EventKind.RUN_CLOSED: _run_closed,
            EventKind.RUN_HALTED: _run_halted,
        }

    # --- the three verbs ---------------------------------------------------------------------

    def apply(self, state: RunState, event: Event) -> RunState:
        """Return the state after an event, without its consequences.

        Raises:
            UnexpectedEventError: the event cannot happen in this state.
        """
        if state.closed:
            raise UnexpectedEventError(kind=event.kind, reason="the run is closed")
        applier = self._appliers.get(event.kind)
        if applier is None:
            raise UnexpectedEventError(kind=event.kind, reason="this version does not know it")
        after = applier(state, event)
        return replace(after, seq=event.seq or state.seq, entry_count=state.entry_count + 1)

    def advance(self, state: RunState) -> tuple[RunState, tuple[Settled, ...]]:
        """Return the state with every consequence drawn, and the steps that ended by it.

        Afterwards `ready` can begin, `opening` must be requested, and `closing` says if the run is
        over. Advancing twice changes nothing.
        """
        if state.cancelling:
            state = self._cancel_open(state)
        while True:
            if state.todo:
                step = self.plan.steps[state.todo[0]]
                state = self._consider(replace(state, todo=state.todo[1:]), step)
                continue
            unwound = unwinding.advance(state, plan=self.plan, settle=self._settle)
            if unwound.undoing and unwound.steps[unwound.undoing].status is StepStatus.PENDING:
                unwound = self._start_undo(unwound)
            if unwound is state:
                break
            state = unwound
        if state.open_count == 0 and state.closing is None and not state.undoing:
            state = replace(state, closing=self._close(state))
        return replace(state, news=()), state.news

    def begin(self, state: RunState, key: str, *, at: datetime) -> tuple[RunState, Begun]:
        """Return the state in which the next attempt of a step executes.

        The step must be ready, or in backoff and due.
        """
        step = state.steps[key]
        due = step.status is StepStatus.BACKOFF and step.wake_at is not None and step.wake_at <= at
        if step.status is not StepStatus.READY and not due:
            raise UnexpectedEventError(kind="begin", reason=f"{key} is {step.status}")
        attempt = step.attempt + 1
        began = replace(
            step, status=StepStatus.RUNNING, attempt=attempt, started_at=at, wake_at=None
        )
        state = replace(
            state,
            steps=state.steps.set(key, began),
            running=state.running.set(key, attempt),
            ready=tuple(item for item in state.ready if item != key),
            backoff=state.backoff.delete(key) if due else state.backoff,
        )
        return state, Begun(key=key, attempt=attempt, digest=digest(step.arguments).hex())

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
        step = self.plan.steps[step_of(key)]
        verb = step.compensate.uses if is_undo(key) and step.compensate else step.verb
        assert isinstance(verb, Uses), f"{key} executes nothing"
        return verb

    def timeout_of(self, key: str) -> timedelta:
        """Return how long one attempt of a key may take."""
        step = self.plan.steps[step_of(key)]
        undo = step.compensate if is_undo(key) else None
        return timedelta(seconds=undo.timeout_seconds if undo else step.timeout_seconds)

    def verb_of(self, key: str) -> Wait:
        """Return the waiting verb behind a key."""
        verb = self.plan.steps[step_of(key)].verb
        assert isinstance(verb, Wait), f"{key} does not wait"
        return verb

    def due(self, state: RunState, *, at: datetime) -> tuple[str, ...]:
        """Return the keys whose backoff is over, soonest first."""
        items = sorted((wake_at, key) for key, wake_at in state.backoff.items() if wake_at <= at)
        return tuple(key for _, key in items)

    # --- events ------------------------------------------------------------------------------

    def _run_started(self, state: RunState, event: Event) -> RunState:
        if state.steps:
            raise UnexpectedEventError(kind=event.kind, reason="the run has started")
        steps = Map(
            {
                step_key(step.id): StepState(unmet_count=len(step.needs))
                for step in self.plan.steps.values()
            }
        )
        facts: Any = event.data.get("run", {})
        return replace(
            state,
            facts=dict(facts),
            inputs=event.payloads.get("inputs"),
            variables=event.payloads.get("vars"),
            steps=steps,
            open_count=len(steps),
            todo=tuple(step.id for step in self.plan.steps.values() if not step.needs),
        )

    def _run_owned(self, state: RunState, event: Event) -> RunState:
        del event
        return replace(state, idle_claim_count=state.idle_claim_count + 1)

    def _step_completed(self, state: RunState, event: Event) -> RunState:
        key, step = self._running_step(state, event)
        result = event.payloads.get("result")
        state = replace(state, running=state.running.delete(key), idle_claim_count=0)
        try:
            outputs = self._outputs(state, key, result)
        except ExpressionError as error:
            if not is_undo(key):  # its action has completed: what it did has to be undone
                state = unwinding.owe(state, self.plan.steps[step_of(key)])
            return self._fail_expression(state, key, error)
        done = replace(step, outputs=outputs, arguments=None, started_at=None)
        return self._complete(replace(state, steps=state.steps.set(key, done)), key)

    def _attempt_failed(self, state: RunState, event: Event) -> RunState:
        key, step = self._running_step(state, event)
        error = StepError(
            kind=str(event.data["error"]), message=str(event.payloads.get("message", ""))
        )
        failed = replace(step, error=error, started_at=None)
        state = replace(
            state,
            steps=state.steps.set(key, failed),
            running=state.running.delete(key),
            idle_claim_count=0,
        )
        failures = failed.attempt - failed.lost
        retry = self._retry_of(key)
        again = is_retried(retry=retry, error_kind=error.kind, failure_count=failures)
        # A compensation is finished even while the run is being cancelled.
        if again and state.cancelling and not is_undo(key):
            return self._cancel(state, key)
        if again and state.entry_count >= limits.RETRY_ENTRY_COUNT_MAX:
            again, error = False, _exhausted(error, state.entry_count)
        if again:
            wake_at = event.at + retry_delay(retry=retry, failure_count=failures, key=key)
            waiting = replace(failed, status=StepStatus.BACKOFF, wake_at=wake_at)
            return replace(
                state,
                steps=state.steps.set(key, waiting),
                backoff=state.backoff.set(key, wake_at),
            )
        return unwinding.fail(state, key=key, error=error, plan=self.plan, settle=self._settle)

    def _attempt_lost(self, state: RunState, event: Event) -> RunState:
        key, step = self._running_step(state, event)
        lost = replace(step, lost=step.lost + 1, started_at=None, status=StepStatus.READY)
        state = replace(state, steps=state.steps.set(key, lost), running=state.running.delete(key))
        if lost.lost > limits.LOST_ATTEMPT_COUNT_MAX:
            error = StepError(kind="lost", message=f"{lost.lost} workers died executing it")
            return unwinding.fail(state, key=key, error=error, plan=self.plan, settle=self._settle)
        return replace(state, ready=(*state.ready, key))

    def _wait_requested(self, state: RunState, event: Event) -> RunState:
        key = str(event.data["key"])
        step = state.steps[key]
        if step.status is not StepStatus.OPENING:
            raise UnexpectedEventError(kind=event.kind, reason=f"{key} is {step.status}")
        prepared = digest(step.arguments).hex()
        if event.seq and event.data.get("prepared") != prepared:
            raise NondeterministicError(
                seq=event.seq, expected=str(event.data.get("prepared")), found=prepared
            )
        waiting = replace(step, status=StepStatus.WAITING, started_at=event.at, arguments=None)
        return replace(
            state,
            steps=state.steps.set(key, waiting),
            opening=tuple(item for item in state.opening if item != key),
            waiting_count=state.waiting_count + 1,
            idle_claim_count=0,
        )

    def _wait_resolved(self, state: RunState, event: Event) -> RunState:
        key = str(event.data["key"])
        step = state.steps[key]
        if step.status is not StepStatus.WAITING:
            raise UnexpectedEventError(kind=event.kind, reason=f"{key} is {step.status}")
        state = replace(state, waiting_count=state.waiting_count - 1, idle_claim_count=0)
        outcome = WaitOutcome(str(event.data["outcome"]))
        if outcome is WaitOutcome.FAILED:
            error = StepError(kind="wait", message=str(event.data.get("reason", "the wait failed")))
            return unwinding.fail(state, key=key, error=error, plan=self.plan, settle=self._settle)
        outputs: Any = event.payloads.get("outputs") or {}
        ended = replace(step, outputs=dict(outputs))
        state = replace(state, steps=state.steps.set(key, ended))
        return self._settle(state, key, Outcome(outcome.value), "")

    # --- consequences ------------------------------------------------------------------------

    def _consider(self, state: RunState, step: Step) -> RunState:
        """Decide about a step whose needs have all ended."""
        key = step_key(step.id)
        ends = {need: state.steps[step_key(need)] for need in step.needs}
        ruling = rule_needs(plan=self.plan, step=step, ends=ends)
        if ruling.verdict is Verdict.UNREACHED:
            return self._settle(state, key, Outcome.UNREACHED, ruling.why)
        if ruling.verdict is Verdict.SKIP:
            return self._settle(state, key, Outcome.SKIPPED, ruling.why)
        variables = variables_for(state, steps=self._reads[step.id])
        gate_note = ""
        if step.condition is not None:
            try:
                if not self._evaluator.condition(step.condition, variables):
                    return self._settle(state, key, Outcome.SKIPPED, "if")
            except ExpressionError as error:
                if isinstance(step.verb, Uses):
                    return self._fail_expression(state, key, error)
                gate_note = f"if: {error}"  # an error never removes a gate
        try:
            arguments = self._prepare(step, variables, gate_note)
        except ExpressionError as error:
            return self._fail_expression(state, key, error)
        return _enable(state, key=key, arguments=arguments, opens=isinstance(step.verb, Wait))

    def _prepare(self, step: Step, variables: dict[str, Json], gate_note: str) -> Json:
        if isinstance(step.verb, Uses):
            return self._arguments(step.verb, variables)
        assert isinstance(step.verb, Wait), "no other verb is compiled yet"
        verb = self._verbs[step.verb.verb]
        prepared = dict(
            verb.prepare(step.verb.body, variables=variables, evaluator=self._evaluator)
        )
        if gate_note:
            notes = prepared.get("notes")
            prepared["notes"] = [*(notes if isinstance(notes, list) else []), gate_note]
        return prepared

    def _arguments(self, uses: Uses, variables: dict[str, Json]) -> Json:
        rendered = self._evaluator.render(dict(uses.arguments), variables)
        try:
            size = len(canonical_bytes(rendered))
        except UncanonicalError as error:
            raise ExpressionError(expression="with", reason=error.message) from error
        if size > limits.ARGUMENT_BYTES_MAX:
            reason = f"it has {size} bytes; at most {limits.ARGUMENT_BYTES_MAX} are handed over"
            raise ExpressionError(expression="with", reason=reason, kind=TOO_LARGE)
        return rendered

    def _fail_expression(self, state: RunState, key: str, error: ExpressionError) -> RunState:
        failure = StepError(kind=error.kind, message=str(error)[: limits.ERROR_CHARS_MAX])
        return unwinding.fail(state, key=key, error=failure, plan=self.plan, settle=self._settle)

    def _complete(self, state: RunState, key: str) -> RunState:
        if not is_undo(key):
            state = unwinding.owe(state, self.plan.steps[step_of(key)])
        return self._settle(state, key, Outcome.SUCCEEDED, "")

    def _cancel(self, state: RunState, key: str) -> RunState:
        step = self.plan.steps[step_of(key)]
        attempt_count = state.steps[key].attempt
        state = unwinding.owe_unfinished(state, step, attempt_count=attempt_count)
        return self._settle(state, key, Outcome.CANCELLED, "cancel")

    def _settle(
        self,
        state: RunState,
        key: str,
        outcome: Outcome,
        why: str,
    ) -> RunState:
        return settling.settle(
            state,
            key=key,
            outcome=outcome,
            why=why,
            plan=self.plan,
            dependents=self._dependents,
            # What completed or was decided, the event says itself.
            implied=outcome in _IMPLIED and not why,
        )

    def _start_undo(self, state: RunState) -> RunState:
        """Let the compensation that is next execute."""
        step = self.plan.steps[step_of(state.undoing)]
        assert step.compensate is not None, f"{step.id} has no compensation"
        variables = variables_for(state, steps=self._reads[step.id])
        try:
            arguments = self._arguments(step.compensate.uses, variables)
        except ExpressionError as error:
            return self._fail_expression(state, state.undoing, error)
        return _enable(state, key=state.undoing, arguments=arguments, opens=False)

    def _cancel_open(self, state: RunState) -> RunState:
        """End every step that is not executing; those that are end by themselves."""
        stoppable = {StepStatus.PENDING, StepStatus.READY, StepStatus.BACKOFF, StepStatus.OPENING}
        for step in self.plan.steps:
            key = step_key(step)
            if state.steps[key].status in stoppable:
                state = self._cancel(state, key)
        return replace(state, todo=(), opening=())

    def _close(self, state: RunState) -> Closing:
        if state.worst is not Outcome.SUCCEEDED:
            return Closing(outcome=state.worst, outputs={})
        reads = mentioned_steps(dict(self.plan.outputs), plan=self.plan)
        variables = variables_for(state, steps=reads)
        try:
            outputs = {
                name: self._evaluator.evaluate(expression, variables)
                for name, expression in self.plan.outputs.items()
            }
            size = len(canonical_bytes(outputs))
        except (ExpressionError, UncanonicalError) as error:
            return Closing(outcome=Outcome.FAILED, outputs={}, why=str(error))
        if size > limits.PAYLOAD_BYTES_MAX:
            why = f"the outputs have {size} bytes; at most {limits.PAYLOAD_BYTES_MAX} are recorded"
            return Closing(outcome=Outcome.FAILED, outputs={}, why=why)
        return Closing(outcome=Outcome.SUCCEEDED, outputs=outputs)

    # --- small parts -------------------------------------------------------------------------

    def _retry_of(self, key: str) -> Retry:
        step = self.plan.steps[step_of(key)]
        return step.compensate.retry if is_undo(key) and step.compensate else step.retry

    def _outputs(self, state: RunState, key: str, result: Json) -> dict[str, Json]:
        step = self.plan.steps[step_of(key)]
        if is_undo(key) or step.outputs is None:
            return {"result": result}
        variables = variables_for(state, steps=self._reads[step.id]) | {"result": result}
        return {
            name: self._evaluator.evaluate(expression, variables)
            for name, expression in step.outputs.items()
        }

    def _running_step(self, state: RunState, event: Event) -> tuple[str, StepState]:
        key = str(event.data["key"])
        step = state.steps.get(key)
        if step is None or step.status is not StepStatus.RUNNING:
            status = "not in this version" if step is None else str(step.status)
            raise UnexpectedEventError(kind=event.kind, reason=f"{key} is {status}")
        if step.attempt != event.data["attempt"]:
            reason = f"{key} executes attempt {step.attempt}, not {event.data['attempt']}"
            raise UnexpectedEventError(kind=event.kind, reason=reason)
        return key, step

    def _replay_decided(self, state: RunState, event: Event, record: Mapping[str, Any]) -> RunState:
        state, settled = self.advance(state)
        found = [item.as_json() for item in settled]
        if found != record["settled"]:
            raise NondeterministicError(
                seq=event.seq, expected=str(record["settled"]), found=str(found)
            )
        for item in record["next"]:
            state, begun = self.begin(state, item["key"], at=event.at)
            if begun.as_json() != item:
                raise NondeterministicError(
                    seq=event.seq, expected=str(item), found=str(begun.as_json())
                )
        return state


def _enable(state: RunState, *, key: str, arguments: Json, opens: bool) -> RunState:
    status = StepStatus.OPENING if opens else StepStatus.READY
    step = replace(state.steps[key], status=status, arguments=arguments)
    state = replace(state, steps=state.steps.set(key, step))
    if opens:
        return replace(state, opening=(*state.opening, key))
    return replace(state, ready=(*state.ready, key))


def _exhausted(error: StepError, entry_count: int) -> StepError:
    """Return why an error is final although its step has retries left."""
    why = f"not tried again, because the run has {entry_count} entries: {error.kind}: "
    return StepError(kind="exhausted", message=(why + error.message)[: limits.ERROR_CHARS_MAX])


def _unchanged(state: RunState, event: Event) -> RunState:
    del event
    return state


def _cancel_requested(state: RunState, event: Event) -> RunState:
    del event
    return replace(state, cancelling=True, idle_claim_count=0)


def _run_closed(state: RunState, event: Event) -> RunState:
    if state.halted:  # by an operator: nothing this version computes has a say any more
        outcome = Outcome(str(event.data["outcome"]))
        return replace(state, closed=True, closing=Closing(outcome=outcome, outputs={}))
    if state.closing is None or str(state.closing.outcome) != event.data["outcome"]:
        reason = f"this version closes it {state.closing and state.closing.outcome}"
        raise UnexpectedEventError(kind=event.kind, reason=reason)
    return replace(state, closed=True)


def _run_halted(state: RunState, event: Event) -> RunState:
    del event
    return replace(state, halted=True)
