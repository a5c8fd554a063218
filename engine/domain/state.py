"""The state of a run: a value, never changed in place. Read `RunState` first.

Maps are persistent (`immutables.Map`), so that a step costs the same in a run of ten steps and of
ten thousand, and a state whose append failed is simply dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from immutables import Map

from core.kernel.types import Json
from engine.domain.events import Settled


class RunStatus(StrEnum):
    """Who moves a run on: a worker (READY, RUNNING), time or people (WAITING), or nobody."""

    READY = "READY"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    HALTED = "HALTED"
    CLOSED = "CLOSED"


class StepStatus(StrEnum):
    """Where a step stands."""

    PENDING = "pending"  # some need has not ended
    READY = "ready"  # may begin an attempt
    RUNNING = "running"  # an attempt executes
    BACKOFF = "backoff"  # the next attempt begins at `wake_at`
    OPENING = "opening"  # a wait that is not requested yet
    WAITING = "waiting"  # somebody else ends it
    UNWINDING = "unwinding"  # failed; its `on-error` compensates before it ends
    ENDED = "ended"


class Outcome(StrEnum):
    """How a step, or a run, ends."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNREACHED = "unreached"
    CANCELLED = "cancelled"
    APPROVED = "approved"
    OVERRIDDEN = "overridden"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    VOIDED = "voided"


# Worst first. Source: FLOW, "Needs".
RUN_OUTCOMES = (
    Outcome.FAILED,
    Outcome.REJECTED,
    Outcome.EXPIRED,
    Outcome.CANCELLED,
    Outcome.SUCCEEDED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepError:
    """Why an attempt failed. `kind` is what `retry.errors` names."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """One step of one run. `attempt` counts from 1; `lost` of them ended with their worker."""

    status: StepStatus = StepStatus.PENDING
    outcome: Outcome | None = None
    unmet_count: int = 0  # needs that have not ended
    attempt: int = 0
    lost: int = 0
    arguments: Json = None  # rendered; for a wait, its prepared body
    outputs: Mapping[str, Json] = field(default_factory=dict)
    error: StepError | None = None
    started_at: datetime | None = None  # of the current attempt
    wake_at: datetime | None = None
    unwinding: tuple[str, ...] = ()  # compensations that must end before this step does
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The run is over; what remains is to say so."""

    outcome: Outcome
    outputs: Mapping[str, Json]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run, as far as its events tell.

    `todo` are ids whose needs have all ended and which are not looked at yet; `ready` and `opening`
    are keys in the order they became so; `undo` are step ids still to be compensated, first first;
    `undoable` are step ids with a compensation, in order of completion.
    """

    facts: Mapping[str, Json] = field(default_factory=dict)
    inputs: Json = None
    variables: Json = None
    steps: Map[str, StepState] = field(default_factory=Map)
    todo: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    running: Map[str, int] = field(default_factory=Map)  # key → attempt
    backoff: Map[str, datetime] = field(default_factory=Map)  # key → wake_at
    waiting_count: int = 0
    open_count: int = 0  # steps of the plan that have not ended
    worst: Outcome = Outcome.SUCCEEDED
    cancelling: bool = False
    undo: tuple[str, ...] = ()
    undoing: str = ""  # key of the compensation that is in progress
    undoable: tuple[str, ...] = ()
    undone: frozenset[str] = frozenset()
    unwinding: tuple[str, ...] = ()  # keys of steps in UNWINDING
    news: tuple[Settled, ...] = ()  # ends no event tells by itself; `advance` hands them out
    closing: Closing | None = None
    closed: bool = False
    halted: bool = False
    idle_claim_count: int = 0  # drivers that took the run in a row without moving it
    seq: int = 0  # of the newest entry that was folded
    entry_count: int = 0  # entries applied, those of the move that is being worked out too


def worse(first: Outcome, second: Outcome) -> Outcome:
    """Return the worse of two run outcomes."""
    return min(first, second, key=RUN_OUTCOMES.index)
