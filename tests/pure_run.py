"""A run without a database: the decider driven in memory. Read `PureRun` first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain.decider import Decider
from engine.domain.events import Begun, Event, EventKind
from engine.domain.keys import is_undo, step_of
from engine.domain.moving import Effect, EffectKind, Hands, Move, lose, take_over, work_out
from engine.domain.plan import Plan
from engine.domain.state import RunState, RunStatus, StepError
from engine.domain.verbs import Checked, CheckScope, WaitVerb
from engine.expressions import CelEvaluator

EVALUATOR = CelEvaluator()
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

# What an action does: returns its result, or raises `FailsError`.
Action = Callable[[dict[str, Json]], Json]


class FailsError(Exception):
    """An attempt that fails with an error kind."""

    def __init__(self, kind: str = "permanent", message: str = "it broke") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class PlainWait:
    """A waiting verb that shows its body as written."""

    name = "approval"

    def check(self, block: Json, *, scope: CheckScope) -> Checked:
        """Accept anything."""
        del scope
        assert isinstance(block, dict)
        return Checked(body=block)

    def prepare(self, body, *, variables, evaluator):
        return {"subject": evaluator.render(dict(body), variables)}


VERBS: Mapping[str, WaitVerb] = {"approval": PlainWait()}


class PureSources:
    """Ids that count up, and a world that refuses only what it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.refusals: dict[str, StepError] = {}

    def draw_id(self) -> UUID:
        """Return the next id."""
        self.count += 1
        return UUID(int=self.count)

    def refuse_call(self, body: Mapping[str, Json]) -> StepError | None:
        """Refuse a workflow that `refusals` names."""
        return self.refusals.get(str(body["reference"]))

    def refuse_event(self, body: Mapping[str, Json]) -> StepError | None:
        """Refuse a type that `refusals` names."""
        return self.refusals.get(str(body["type"]))


@dataclass
class PureRun:
    """Drives a plan with scripted actions, keeping every event as the ledger would."""

    plan: Plan
    inputs: Json = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)
    state: RunState = field(default_factory=RunState)
    events: list[Any] = field(default_factory=list)
    executed: list[tuple[str, int, Any]] = field(default_factory=list)
    now: datetime = START
    epoch: int = 0
    status: RunStatus = RunStatus.READY
    capacity: int = 8
    serves: tuple[str, ...] = ("",)
    variables: Json = field(default_factory=dict)
    calls: dict[str, Json] = field(default_factory=dict)
    facts: dict[str, Json] = field(default_factory=dict)
    payloads: dict[str, Json] = field(default_factory=dict)  # more of the first event
    sources: PureSources = field(default_factory=PureSources)
    effects: list[Effect] = field(default_factory=list)
    skips_time: bool = False  # lets time pass although somebody could move the run

    def __post_init__(self) -> None:
        self.decider = Decider(plan=self.plan, evaluator=EVALUATOR, verbs=VERBS)
        self.outside(
            Event(
                kind=EventKind.RUN_STARTED,
                at=self.now,
                data={"run": {"id": "r", "number": 1}, **self.facts},
                payloads={
                    "inputs": self.inputs,
                    "vars": self.variables,
                    **({"calls": self.calls} if self.calls else {}),
                    **self.payloads,
                },
            )
        )

    def outside(self, event: Event) -> None:
        """Append an event as an outsider does: no consequences are drawn."""
        event = replace(event, seq=len(self.events) + 1)
        self.state = self.decider.apply(self.state, event)
        self.events.append(event)

    def claim(self) -> Move:
        """Take the run as a new driver."""
        self.epoch += 1
        happened = take_over(self.decider, self.state, worker="w", epoch=self.epoch, at=self.now)
        return self.move(*happened)

    def move(self, *happened: Event) -> Move:
        """Append what happened with its consequences."""
        move = work_out(
            self.decider,
            self.state,
            happened,
            at=self.now,
            hands=Hands(capacity=self.capacity, serves=self.serves),
            sources=self.sources,
        )
        self.effects += move.effects
        for event in move.events:
            self.events.append(replace(event, seq=len(self.events) + 1))
        self.state = evolve(move.state, seq=len(self.events))
        self.status = move.status
        return move

    def drive(self) -> Self:
        """Drive until the run waits for somebody or closes, jumping over whatever time ends."""
        begun = list(self.claim().begun)
        while True:
            begun = self.work(begun)
            wake_at = self.decider.next_wake(self.state)
            if self.status is not RunStatus.WAITING or wake_at is None:
                return self
            if self.state.waiting_count and not self.skips_time:
                return self
            self.now = max(self.now, wake_at)
            begun = list(self.claim().begun)

    def work(self, begun: "list[Begun]") -> "list[Begun]":
        """Execute what has begun and what follows, and let through whatever is held back."""
        while begun or self.status is RunStatus.RUNNING:
            if begun:
                item = begun.pop(0)
                if not item.queue:
                    begun += self.move(self._execute(item.key)).begun
                continue
            admitted = self.decider.to_admit(self.state, at=self.now)
            assert admitted, "something runs that nobody executes"
            begun += self.move(self.admit(admitted[0])).begun
        return begun

    def admit(self, key: str, *, delay: float = 0) -> Event:
        """Return the event that lets a step through."""
        step = self.decider.step_at(key)
        gate = "mutex" if step.mutex and "mutex" not in self.state.steps[key].passed else "attempt"
        data: dict[str, Any] = {"key": key, "gate": gate}
        return Event(
            kind=EventKind.STEP_ADMITTED,
            at=self.now,
            data=data | {"delay_ms": int(delay * 1_000)} if delay else data,
        )

    def wait(self, seconds: float) -> Self:
        """Let time pass, then drive on."""
        self.now += timedelta(seconds=seconds)
        return self.drive()

    def receive(self, key: str, type_: str, data: dict[str, Json] | None = None) -> Self:
        """Let an event arrive that a wait is registered for, then drive on."""
        self.now += timedelta(seconds=1)
        self.outside(
            Event(
                kind=EventKind.EVENT_RECEIVED,
                at=self.now,
                data={"key": key, "event": str(UUID(int=99)), "type": type_},
                payloads={"data": data or {}},
            )
        )
        return self.drive()

    def end_child(self, key: str, outcome: str, outputs: dict[str, Json] | None = None) -> Self:
        """Let a child run end, then drive on."""
        self.now += timedelta(seconds=1)
        child = self.state.steps[key].child
        self.outside(
            Event(
                kind=EventKind.CHILD_CLOSED,
                at=self.now,
                data={"key": key, "run": child, "outcome": outcome},
                payloads={"outputs": outputs or {}},
            )
        )
        return self.drive()

    def choose(self, key: str, choice: str) -> Self:
        """Answer a question, then drive on."""
        self.now += timedelta(seconds=1)
        self.outside(
            Event(
                kind=EventKind.QUESTION_RESOLVED,
                at=self.now,
                data={"key": key, "choice": choice},
            )
        )
        return self.drive()

    def lose(self, key: str) -> Self:
        """Let the worker die that executes an attempt, then drive on."""
        self.move(lose(self.decider, self.state, key, at=self.now))
        return self.drive()

    def withdrawn(self) -> list[tuple[str, str]]:
        """Return the verb and key of every wait that was taken back."""
        return [(item.verb, item.key) for item in self.effects if item.kind is EffectKind.WITHDRAW]

    def resolve(self, step: str, outcome: str, outputs: dict[str, Json] | None = None) -> Self:
        """End an approval from outside, then drive on."""
        self.now += timedelta(seconds=1)
        self.outside(
            Event(
                kind=EventKind.APPROVAL_RESOLVED,
                at=self.now,
                data={"key": step if "#" in step else f"{step}#1", "outcome": outcome},
                payloads={"outputs": {"outcome": outcome, **(outputs or {})}},
            )
        )
        return self.drive()

    def cancel(self) -> None:
        """Ask for cancellation from outside."""
        self.outside(Event(kind=EventKind.RUN_CANCEL_REQUESTED, at=self.now))

    def replayed(self) -> RunState:
        """Return the state folded from the events, as another process would."""
        decider = Decider(plan=self.plan, evaluator=EVALUATOR, verbs=VERBS)
        return decider.fold(RunState(), self.events)

    def outcome(self, step: str) -> str:
        """Return how a step ended, or its status while it has not."""
        key = step if "#" in step else f"{step}#1"
        found = self.state.steps[key]
        return str(found.outcome or found.status)

    def error_kind(self, step: str) -> str:
        """Return why a step failed, "" if it has not."""
        error = self.state.steps[step if "#" in step else f"{step}#1"].error
        return error.kind if error else ""

    @property
    def outputs(self) -> Mapping[str, Json]:
        """Return the run's outputs, empty while it is open."""
        return self.state.closing.outputs if self.state.closing else {}

    @property
    def closed(self) -> str:
        """Return the run's outcome, "" while it is open."""
        return str(self.state.closing.outcome) if self.state.closed and self.state.closing else ""

    def _execute(self, key: str) -> Event:
        step = self.state.steps[key]
        attempt = self.state.running[key]
        # Its step may have ended without waiting for it.
        arguments = step.arguments if isinstance(step.arguments, dict) else {}
        self.executed.append((key, attempt, arguments))
        data: dict[str, str | int] = {"key": key, "attempt": attempt}
        name = f"compensate/{step_of(key)}" if is_undo(key) else step_of(key)
        action = self.actions.get(name, lambda _: {"ok": True})
        try:
            result = action(arguments)
        except FailsError as error:
            return Event(
                kind=EventKind.ATTEMPT_FAILED,
                at=self.now,
                data={**data, "error": error.kind},
                payloads={"message": error.message},
            )
        return Event(
            kind=EventKind.STEP_COMPLETED, at=self.now, data=data, payloads={"result": result}
        )
