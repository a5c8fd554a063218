"""A run without a database: the decider driven in memory. Read `PureRun` first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.kernel.types import Json
from engine.domain.decider import Decider
from engine.domain.events import Event, EventKind
from engine.domain.moving import Move, take_over, work_out
from engine.domain.plan import Plan
from engine.domain.state import RunState, RunStatus
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


@dataclass
class PureRun:
    """Drives a plan with scripted actions, keeping every event as the ledger would."""

    plan: Plan
    inputs: Json = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)
    state: RunState = field(default_factory=RunState)
    events: list[Any] = field(default_factory=list)
    executed: list[tuple[str, int, Json]] = field(default_factory=list)
    now: datetime = START
    epoch: int = 0
    status: RunStatus = RunStatus.READY
    capacity: int = 8

    def __post_init__(self) -> None:
        self.decider = Decider(plan=self.plan, evaluator=EVALUATOR, verbs=VERBS)
        self.outside(
            Event(
                kind=EventKind.RUN_STARTED,
                at=self.now,
                data={"run": {"id": "r", "number": 1}},
                payloads={"inputs": self.inputs, "vars": {}},
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
        move = work_out(self.decider, self.state, happened, at=self.now, capacity=self.capacity)
        for event in move.events:
            self.events.append(replace(event, seq=len(self.events) + 1))
        self.state = replace(move.state, seq=len(self.events))
        self.status = move.status
        return move

    def drive(self) -> "PureRun":
        """Drive until the run parks or closes, jumping over backoffs."""
        begun = list(self.claim().begun)
        while True:
            while begun:
                begun += self.move(self._execute(begun.pop(0).key)).begun
            if self.status is not RunStatus.WAITING or not self.state.backoff:
                return self
            self.now = max(self.now, min(self.state.backoff.values()))
            begun = list(self.claim().begun)

    def resolve(self, step: str, outcome: str, outputs: dict[str, Json] | None = None) -> "PureRun":
        """End an approval from outside, then drive on."""
        self.now += timedelta(seconds=1)
        self.outside(
            Event(
                kind=EventKind.APPROVAL_RESOLVED,
                at=self.now,
                data={"key": f"{step}#1", "outcome": outcome},
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
        error = self.state.steps[f"{step}#1"].error
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
        assert isinstance(step.arguments, dict)
        self.executed.append((key, step.attempt, step.arguments))
        data: dict[str, str | int] = {"key": key, "attempt": step.attempt}
        action = self.actions.get(key.partition("#")[0], lambda _: {"ok": True})
        try:
            result = action(step.arguments)
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
