"""A run in memory: the server's own decider, with canned answers and virtual time.

Read `play` first. Nothing executes, nobody is asked, and no time passes: what attempts give, how
people decide and which events come is what the case says. What follows from it is decided by
`engine.domain.decider`, exactly as in a run of the server. Mutexes are kept; rates, circuits and
the cache, which are shared between runs, let everything through.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from approvals.domain.deadline import outcome_after
from approvals.domain.form import check_values
from approvals.domain.rule import AfterExpiry
from core.kernel import limits
from core.kernel.errors import PlatformError
from core.kernel.types import Json
from countersign.testing.agenda import Agenda, Item, Kind
from countersign.testing.answers import Answers, NoAnswerError
from countersign.testing.cases import Case, Decision, Result
from countersign.testing.compiling import EVALUATOR, VERBS
from engine.domain.decider import Decider
from engine.domain.events import Begun, Event, EventKind
from engine.domain.flow.input_schema import BoundedValidator
from engine.domain.inputs import check_inputs, keep_inputs
from engine.domain.moving import Effect, EffectKind, Hands, Move, take_over, work_out
from engine.domain.plan import Call, Plan, walk
from engine.domain.state import RunState, RunStatus, StepError
from engine.domain.unwinding import CHOICES, MUTEX
from engine.domain.verbs import WaitOutcome

_OUTCOMES = {"approve": "approved", "reject": "rejected"}
_RUN_ID = UUID(int=1)


class PlayError(Exception):
    """A case that cannot be played: it gives no answer where one is needed, or never ends."""


@dataclass(slots=True, kw_only=True)
class Played:
    """What became of a run.

    `outcome` is the run's, or `waiting`, or `refused`; `asked` what people were shown, by key;
    `sent` the events the run sent; `why` a reason to fail or to be refused.
    """

    outcome: str
    state: RunState = field(default_factory=RunState)
    outputs: Mapping[str, Json] = field(default_factory=dict)
    asked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sent: tuple[dict[str, Json], ...] = ()
    waits: tuple[str, ...] = ()
    took: timedelta = timedelta(0)
    why: str = ""
    events: tuple[Event, ...] = ()


@dataclass(slots=True)
class _Sources:
    """Ids that count up, and a world that refuses nothing."""

    count: int = 1

    def draw_id(self) -> UUID:
        """Return the next id."""
        self.count += 1
        return UUID(int=self.count)

    def refuse_call(self, body: Mapping[str, Json]) -> StepError | None:
        """Refuse nothing."""
        del body
        return None

    def refuse_event(self, body: Mapping[str, Json]) -> StepError | None:
        """Refuse nothing."""
        del body
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """An event the run may have."""

    id: str
    type: str
    data: Mapping[str, Json]


def play(plan: Plan, case: Case, *, move_count_max: int = limits.TEST_MOVE_COUNT_MAX) -> Played:
    """Play a case to its end, in at most so many moves.

    Raises:
        PlayError: the case gives no answer where one is needed, or the run never ends.
    """
    try:
        inputs = _read_inputs(plan, case)
        running = Play(plan=plan, case=case, inputs=inputs)
    except PlatformError as error:
        said = [f"{item.path}: {item.message}" for item in getattr(error, "problems", ())]
        return Played(outcome="refused", why="; ".join([error.message, *said]))
    return running.play(move_count_max)


class Play:
    """One run of a case."""

    def __init__(self, *, plan: Plan, case: Case, inputs: dict[str, Json]) -> None:
        self._case = case
        self._decider = Decider(plan=plan, evaluator=EVALUATOR, verbs=VERBS)
        self._answers = Answers(case)
        self._sources = _Sources()
        self._hands = Hands(
            capacity=limits.PARALLEL_STEP_COUNT_MAX,
            serves=frozenset({"", *(step.queue for _, step in walk(plan))}),
        )
        self._agenda = Agenda()
        self._now = case.at
        self._epoch = 0
        self._state = RunState()
        self._status = RunStatus.READY
        self._events: list[Event] = []
        self._asked: dict[str, Mapping[str, Any]] = {}
        self._open: set[str] = set()  # keys of requests and questions
        self._waits: dict[str, Mapping[str, Any]] = {}  # key → type and correlate, oldest first
        self._kept: list[_Kept] = []
        self._sent: list[dict[str, Json]] = []
        self._mutexes: dict[str, str] = {}  # name → key
        self._outside(_started(plan, case, inputs))

    def play(self, move_count_max: int) -> Played:
        """Let everything happen that the case and the definition say."""
        for sent in self._case.events:
            kept = _Kept(id=str(self._sources.draw_id()), type=sent.type, data=sent.data)
            self._agenda.add(self._case.at + sent.after, Kind.EVENT, what=kept)
        if self._case.cancel_after is not None:
            self._agenda.add(self._case.at + self._case.cancel_after, Kind.CANCEL)
        self._claim()
        for _ in range(move_count_max):
            if self._status in {RunStatus.CLOSED, RunStatus.HALTED} or not self._go_on():
                return self._played()
        message = f"the run has not ended after {move_count_max} moves"
        raise PlayError(message)

    # --- moving --------------------------------------------------------------------------------

    def _go_on(self) -> bool:
        """Let the next thing happen; `False` if nothing is left that could."""
        if self._status is RunStatus.READY:
            self._claim()
            return True
        if self._status is RunStatus.RUNNING and self._admit():
            return True
        soon = self._agenda.next_at()
        held = self._decider.to_admit(self._state, at=self._now)
        wake_at = self._decider.next_wake(self._state, besides=held)
        if wake_at is not None and (soon is None or wake_at <= soon):
            self._now = max(self._now, wake_at)
            self._look_again()
            return True
        if soon is None:
            return False
        self._now = max(self._now, soon)
        self._happen(self._agenda.take())
        return True

    def _look_again(self) -> None:
        if self._status is RunStatus.RUNNING:
            self._move(Event(kind=EventKind.STEP_STARTED, at=self._now))
        else:
            self._claim()

    def _claim(self) -> None:
        self._epoch += 1
        self._move(
            *take_over(self._decider, self._state, worker="test", epoch=self._epoch, at=self._now)
        )

    def _outside(self, event: Event) -> None:
        """Append an event as somebody outside does; the next driver draws the consequences."""
        event = replace(event, seq=len(self._events) + 1)
        self._state = self._decider.apply(self._state, event)
        self._events.append(event)

    def _tell(self, kind: EventKind, data: dict[str, Any], payloads: dict[str, Json]) -> None:
        """Append what somebody outside says, and go on from there."""
        self._outside(Event(kind=kind, at=self._now, data=data, payloads=payloads))
        self._look_again()

    def _move(self, *happened: Event) -> None:
        move = work_out(
            self._decider,
            self._state,
            happened,
            at=self._now,
            hands=self._hands,
            sources=self._sources,
        )
        for event in move.events:
            self._events.append(replace(event, seq=len(self._events) + 1))
        self._state, self._status = move.state, move.status
        self._follow(move)

    def _follow(self, move: Move) -> None:
        for begun in move.begun:
            self._begin(begun)
        for effect in move.effects:
            self._effect(effect)

    def _admit(self) -> bool:
        """Let the first step through whose mutex is free; `False` if none is."""
        held = self._decider.to_admit(self._state, at=self._now)
        for key in held:
            step, waiting = self._decider.step_at(key), self._state.steps[key]
            gate = MUTEX if step.mutex and MUTEX not in waiting.passed else "attempt"
            if gate == MUTEX and self._mutexes.setdefault(waiting.mutex, key) != key:
                continue
            admitted = {"key": key, "gate": gate}
            self._move(Event(kind=EventKind.STEP_ADMITTED, at=self._now, data=admitted))
            return True
        if held and not self._state.running and not self._state.is_parked:
            data = {"keys": list(held[: limits.DECIDED_COUNT_MAX])}
            self._move(Event(kind=EventKind.STEP_HELD, at=self._now, data=cast("Any", data)))
            return True
        return False

    # --- what a move begins --------------------------------------------------------------------

    def _begin(self, begun: Begun) -> None:
        result = self._result_of(begun.key)
        timeout = self._decider.timeout_of(begun.key)
        if result.takes >= timeout:
            message = f"no result within {timeout.total_seconds():g} s"
            result = Result(error="timeout", message=message, takes=timeout)
        at = self._now + result.takes
        self._agenda.add(at, Kind.ENDED, key=begun.key, what=(begun.attempt, result))

    def _result_of(self, key: str) -> Result:
        uses = self._decider.uses_of(key)
        arguments: Any = self._state.steps[key].arguments
        try:
            return self._answers.result(key, action=uses.action, arguments=arguments)
        except NoAnswerError as error:
            raise PlayError(str(error)) from error

    def _effect(self, effect: Effect) -> None:
        match effect.kind:
            case EffectKind.OPEN:
                self._ask(effect)
            case EffectKind.ASK:
                self._open.add(effect.key)
                self._schedule_decision(effect.key)
            case EffectKind.AWAIT:
                self._waits[effect.key] = effect.body
                # Not at once: what else this move asks for comes first.
                self._agenda.add(self._now, Kind.EVENT)
            case EffectKind.EMIT:
                body: Any = effect.body
                self._sent.append({"type": body["type"], "data": body["data"]})
                kept = _Kept(id=str(body["event"]), type=body["type"], data=body["data"])
                self._agenda.add(self._now, Kind.EVENT, what=kept)
            case EffectKind.CALL:
                self._call(effect)
            case EffectKind.WITHDRAW:
                self._open.discard(effect.key)
                self._waits.pop(effect.key, None)
            case EffectKind.RELEASE:
                mutexes = self._mutexes.items()
                self._mutexes = {name: key for name, key in mutexes if key != effect.key}
            case _:
                pass  # people are told, or other runs are concerned: a play has neither

    def _ask(self, effect: Effect) -> None:
        body: Any = effect.body
        self._asked[effect.key] = body
        self._open.add(effect.key)
        if body["expires"]:
            after = timedelta(seconds=body["expires"]["after_seconds"])
            outcome = str(outcome_after(AfterExpiry(body["expires"]["then"])))
            self._agenda.add(self._now + after, Kind.EXPIRY, key=effect.key, what=outcome)
        self._schedule_decision(effect.key)

    def _schedule_decision(self, key: str) -> None:
        decision = self._answers.decision(key)
        if decision is not None:
            self._agenda.add(self._now + decision.after, Kind.DECISION, key=key, what=decision)

    def _call(self, effect: Effect) -> None:
        body: Any = effect.body
        if body["detached"]:
            return
        try:
            result = self._answers.result(effect.key, action="call", arguments=body)
        except NoAnswerError as error:
            raise PlayError(str(error)) from error
        what = (body["run"], result)
        self._agenda.add(self._now + result.takes, Kind.CHILD, key=effect.key, what=what)

    # --- what happens --------------------------------------------------------------------------

    def _happen(self, item: Item) -> None:
        match item.kind:
            case Kind.ENDED:
                self._end_attempt(item.key, *item.what)
            case Kind.CHILD:
                run, result = item.what
                data = {"key": item.key, "run": run, "outcome": result.outcome or "succeeded"}
                if self._state.steps[item.key].child == run:
                    self._tell(EventKind.CHILD_CLOSED, data, {"outputs": dict(result.outputs)})
            case Kind.EXPIRY if item.key in self._open:
                self._resolve(item.key, item.what, form={}, votes=[])
            case Kind.DECISION if item.key in self._open:
                self._decide(item.key, item.what)
            case Kind.EVENT:
                self._kept += [item.what] if item.what is not None else []
                self._deliver()
            case Kind.CANCEL:
                self._cancel()
            case _:
                pass  # what it was for has been taken back

    def _cancel(self) -> None:
        """Cancel the run and void its open requests, in one append as the server does."""
        for kind, data, payloads in self._cancelling():
            self._outside(Event(kind=kind, at=self._now, data=data, payloads=payloads))
        self._look_again()

    def _cancelling(self) -> Iterator[tuple[EventKind, dict[str, Any], dict[str, Json]]]:
        yield EventKind.RUN_CANCEL_REQUESTED, {}, {"reason": self._case.cancel_reason}
        voided = WaitOutcome.VOIDED.value
        for key in sorted(self._open & self._asked.keys()):
            self._open.discard(key)
            data = {"key": key, "outcome": voided}
            yield EventKind.APPROVAL_RESOLVED, data, {"outputs": {"outcome": voided}}

    def _end_attempt(self, key: str, attempt: int, result: Result) -> None:
        if self._state.running.get(key) != attempt:
            return
        data: dict[str, Any] = {"key": key, "attempt": attempt}
        if result.error:
            data["error"] = result.error
            payloads: dict[str, Json] = {"message": result.message or result.error}
            kind = EventKind.ATTEMPT_FAILED
        else:
            payloads, kind = {"result": result.value}, EventKind.STEP_COMPLETED
        self._move(Event(kind=kind, at=self._now, data=data, payloads=payloads))

    def _decide(self, key: str, decision: Decision) -> None:
        is_question = key not in self._asked
        if is_question is not (decision.outcome in CHOICES):
            what = "asks a question" if is_question else "is an approval"
            message = f"{key} {what}, which cannot be answered with {decision.outcome!r}"
            raise PlayError(message)
        if is_question:
            self._open.discard(key)
            choice = decision.outcome
            self._tell(EventKind.QUESTION_RESOLVED, {"key": key, "choice": choice}, {})
            return
        form = dict(decision.form or {})
        self._check_form(key, decision, form)
        self._resolve(key, _OUTCOMES[decision.outcome], form=form, votes=list(decision.votes))

    def _check_form(self, key: str, decision: Decision, form: dict[str, Json]) -> None:
        schema: Any = self._asked[key]["form"]
        if decision.outcome != "approve" or schema is None:
            return
        problems = check_values(schema, form, evaluator=EVALUATOR)
        if problems:
            said = "; ".join(f"{item.path}: {item.message}" for item in problems)
            message = f"the decision of {key} has a form that does not hold: {said}"
            raise PlayError(message)

    def _resolve(self, key: str, outcome: str, *, form: dict[str, Json], votes: list[Json]) -> None:
        self._open.discard(key)
        outputs: dict[str, Json] = {"outcome": outcome, "form": form, "votes": votes}
        data = {"key": key, "outcome": outcome}
        self._tell(EventKind.APPROVAL_RESOLVED, data, {"outputs": outputs})

    def _deliver(self) -> None:
        """Give the oldest wait that may have one the oldest such event; a run has each once."""
        for key, wanted in self._waits.items():
            for kept in self._kept:
                if _matches(kept, wanted):
                    self._kept.remove(kept)
                    del self._waits[key]
                    self._agenda.add(self._now, Kind.EVENT)  # there may be another
                    data = {"key": key, "event": kept.id, "type": kept.type}
                    self._tell(EventKind.EVENT_RECEIVED, data, {"data": dict(kept.data)})
                    return

    def _played(self) -> Played:
        closing = self._state.closing if self._state.closed else None
        outcome = str(closing.outcome) if closing else "waiting"
        if self._state.halted:
            outcome = "halted"
        return Played(
            outcome=outcome,
            state=self._state,
            outputs=closing.outputs if closing else {},
            asked=self._asked,
            sent=tuple(self._sent),
            waits=() if closing else tuple(sorted({*self._open, *self._waits})),
            took=self._now - self._case.at,
            why=closing.why if closing else "",
            events=tuple(self._events),
        )


def _read_inputs(plan: Plan, case: Case) -> dict[str, Json]:
    """Return a case's inputs with the schema's defaults. Raises: InputsInvalidError."""
    validator = BoundedValidator(plan.inputs_schema, evaluator=EVALUATOR)
    return check_inputs(validator, keep_inputs(dict(case.inputs)))


def _started(plan: Plan, case: Case, inputs: dict[str, Json]) -> Event:
    """Return a run's first event, as a start makes it. Raises: ExpressionError."""
    facts: dict[str, Json] = {
        "id": str(_RUN_ID),
        "number": 1,
        "project": case.project,
        "workflow": plan.name,
        "rev": 1,
    }
    seen: dict[str, Json] = {"inputs": inputs, "run": facts, "event": case.event}
    rendered = EVALUATOR.render(dict(plan.variables), seen)
    title = EVALUATOR.render(plan.title, seen | {"vars": rendered})
    payloads: dict[str, Json] = {"inputs": inputs, "vars": rendered, "title": str(title)}
    calls = {step.verb.reference for _, step in walk(plan) if isinstance(step.verb, Call)}
    if calls:
        chosen: dict[str, Json] = {"version": str(_RUN_ID), "digest": "00" * 32, "rev": 1}
        payloads["calls"] = {name: {**chosen, "label": "1.0.0"} for name in sorted(calls)}
    if case.event is not None:
        payloads["event"] = case.event
    return Event(
        kind=EventKind.RUN_STARTED, at=case.at, data=cast("Any", {"run": facts}), payloads=payloads
    )


def _matches(kept: _Kept, wanted: Mapping[str, Any]) -> bool:
    if kept.type != wanted["type"]:
        return False
    correlate: Mapping[str, Json] = wanted["correlate"]
    return all(
        value is not None and name in kept.data and _same(kept.data[name], value)
        for name, value in correlate.items()
    )


def _same(one: Json, other: Json) -> bool:
    """Say whether two JSON values are equal; a boolean is no number."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other
