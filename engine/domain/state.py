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
from engine.domain.schedule import Schedule


class RunStatus(StrEnum):
    """Who moves a run on: a worker (READY, RUNNING), time or people (WAITING), or an operator."""

    READY = "READY"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    HALTED = "HALTED"
    CLOSED = "CLOSED"


class StepStatus(StrEnum):
    """Where a step stands."""

    PENDING = "pending"  # some need has not ended
    HELD = "held"  # waits for a mutex, a rate, a circuit or the cache to let it through
    READY = "ready"  # may begin an attempt
    RUNNING = "running"  # an attempt executes
    BACKOFF = "backoff"  # the next attempt begins at `wake_at`
    OPENING = "opening"  # a wait that is not requested yet
    WAITING = "waiting"  # somebody else ends it
    SLEEPING = "sleeping"  # a timer ends it
    OPEN = "open"  # a container: what is inside goes on
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
    CONTINUED = "continued"  # a run that goes on as another one


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


@dataclass(frozen=True, kw_only=True)
class Inside:
    """How far a container has come.

    `total` instances there will be (0: not known, as in a loop), `begun` of them exist, `open` of
    those have not ended. `items` are a map's items or a matrix's cells. `over`: the container has
    ended, and what goes on inside concerns nobody any more. Changed with `evolve` only.
    """

    total: int = 0
    begun: int = 0
    open: int = 0
    good: int = 0
    failed: int = 0
    worst: Outcome = Outcome.SUCCEEDED
    error: StepError | None = None  # of the first instance that failed
    items: tuple[Json, ...] = ()
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class StepState:
    """One instance of a step in one run.

    `attempt` counts from 1; `lost` of them ended with their worker, `forgiven` count no more since
    somebody said to try again, which begins another `round`. Changed with `evolve` only.
    """

    status: StepStatus = StepStatus.PENDING
    outcome: Outcome | None = None
    unmet_count: int = 0  # needs that have not ended
    attempt: int = 0
    lost: int = 0
    forgiven: int = 0
    round: int = 1
    arguments: Json = None  # rendered; for a wait, its prepared body
    outputs: Mapping[str, Json] = field(default_factory=dict)
    result: Json = None  # what its verb made, for the loop around it
    error: StepError | None = None
    is_asked: bool = False  # what it waits for is a person's answer about its error
    started_at: datetime | None = None  # of the current attempt
    wake_at: datetime | None = None
    unwinding: tuple[str, ...] = ()  # compensations that must end before this step does
    why: str = ""
    mutex: str = ""  # what it holds, or waits for
    keeps_mutex: bool = False  # although it has ended, for what still goes on inside
    passed: frozenset[str] = frozenset()  # gates that have let it through
    # What its circuit and its cache were called when its attempt was let through.
    gates: Mapping[str, str] = field(default_factory=dict)
    queue: str = ""  # the label of the workers its attempt was handed to; "": the driver's own
    child: str = ""  # the run it started
    inside: Inside | None = None  # of a container
    locals: Mapping[str, Json] = field(default_factory=dict)  # names for expressions inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The run is over; what remains is to say so.

    `carried` is what a successor begins with: {"state": …, "vars": …}.
    """

    outcome: Outcome
    outputs: Mapping[str, Json]
    why: str = ""
    carried: Mapping[str, Json] | None = None


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A run, as far as its events tell. Changed with `evolve` only.

    `todo` are keys that are to be looked at, `echo` keys that ended and whose surroundings have not
    heard of it; both are empty once consequences are drawn. `ready`, `held` and `opening` are keys
    in the order they became so; `undo` are keys still to be compensated, first first; `undoable`
    are keys with a compensation and which of all they were to complete.
    """

    facts: Mapping[str, Json] = field(default_factory=dict)
    calls: Mapping[str, Json] = field(default_factory=dict)  # reference → version chosen at start
    inputs: Json = None
    event: Json = None  # what a trigger heard, if one started the run
    variables: Json = None
    group: str = ""  # the concurrency group it is of
    is_queued: bool = False  # nothing begins before its turn in the group
    entering: str = ""  # of a queued machine, the state it will begin in
    at: datetime | None = None  # when the newest event happened
    steps: Map[str, StepState] = field(default_factory=Map)
    todo: tuple[str, ...] = ()
    echo: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    withdrawing: tuple[str, ...] = ()  # keys of waits that nobody is to end any more
    releasing: tuple[str, ...] = ()  # keys that hold or wait for a mutex no more
    running: Map[str, int] = field(default_factory=Map)  # key → attempt that executes
    remote: Map[str, str] = field(default_factory=Map)  # key → label, of those handed over
    backoff: Schedule = field(default_factory=Schedule)  # keys
    timers: Schedule = field(default_factory=Schedule)  # names, see `timers`
    is_parked: bool = False  # every gate has been asked, and says no
    parked_until: datetime | None = None  # when to ask again; `None`: somebody will tell
    waiting_count: int = 0
    open_count: int = 0  # outermost steps that have not ended
    straggler_count: int = 0  # open instances whose container has ended
    worst: Outcome = Outcome.SUCCEEDED
    cancelling: bool = False
    compensating: bool = False  # cancelled, and what had completed is undone
    paused: bool = False  # nothing new begins until somebody resumes it
    is_cancelled: bool = False  # all that had not begun by then
    undo: tuple[str, ...] = ()
    undoing: str = ""  # key of the compensation that is in progress
    undoable: Map[str, int] = field(default_factory=Map)
    undoable_count: int = 0  # that there have been
    undone: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()  # keys to be undone once an attempt nobody wants has ended
    unwinding: tuple[str, ...] = ()  # keys of steps in UNWINDING
    restarting: tuple[str, ...] = ()  # keys to begin anew once nothing executes inside
    current: str = ""  # key of the visit to a state, in a state machine
    visits: Map[str, int] = field(default_factory=Map)  # state → visits begun
    visit_count: int = 0  # of all states
    rush_count: int = 0  # visits since the last event
    listening: Map[str, str] = field(default_factory=Map)  # key of a state's event → its type
    entered_at: datetime | None = None  # when the current visit began
    # Key of a visit → which of all visits it was, and the `vars` it began with; `None`: another
    # run has made it.
    entered: Map[str, tuple[int, Json]] = field(default_factory=Map)
    # Key of an outermost step → name it has set → which of all such acts it was, and the value.
    assigned: Map[str, Mapping[str, tuple[int, Json]]] = field(default_factory=Map)
    assigned_count: int = 0  # that there have been
    # Keys of visits whom somebody is to be told about, and since when each goes on.
    alarms: tuple[tuple[str, datetime], ...] = ()
    carried: Mapping[str, Json] | None = None  # what a successor begins with, see `Closing`
    broken: str = ""  # why a machine's expression ended the run
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
