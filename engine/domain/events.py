"""The events of a run's stream: kinds and the data each carries. Read the table in `EventKind`.

An event is a ledger entry seen from the engine: `data` is inside the hashed entry, `payloads` are
committed to by it. An entry written by a driver carries `decided`: what followed from everything up
to it. Folding computes the same again and compares; that is how nondeterminism is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from core.kernel.types import Json, JsonLike


class EventKind(StrEnum):
    """What may happen to a run."""

    RUN_STARTED = "run.started"  # payloads: inputs, vars, title
    RUN_OWNED = "run.owned"  # epoch, worker; by a driver that takes the run
    STEP_STARTED = "step.started"  # carries only `decided`
    STEP_COMPLETED = "step.completed"  # key, attempt; payload: result
    ATTEMPT_FAILED = "attempt.failed"  # key, attempt, error; payload: message
    ATTEMPT_LOST = "attempt.lost"  # key, attempt; its worker died
    APPROVAL_REQUESTED = "approval.requested"  # key, verb, prepared (digest)
    APPROVAL_RESOLVED = "approval.resolved"  # key, outcome, evidence; payload: outputs
    RUN_CANCEL_REQUESTED = "run.cancel_requested"  # payload: reason
    RUN_CLOSED = "run.closed"  # outcome; payload: outputs. Nothing follows it
    RUN_HALTED = "run.halted"  # code; payload: difference. Only an operator goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, at the place `seq` of its run's stream (0: not appended yet)."""

    kind: str
    at: datetime
    data: Mapping[str, JsonLike] = field(default_factory=dict)
    payloads: Mapping[str, Json] = field(default_factory=dict)
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A step that ended as a consequence, without executing anything."""

    key: str
    outcome: str
    why: str
    message: str = ""  # may quote values: goes into a payload, never into the hashed entry

    def as_json(self) -> dict[str, JsonLike]:
        """Return the form in which it is recorded."""
        return {"key": self.key, "outcome": self.outcome, "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An attempt that the writing driver starts now. `digest` is the hex SHA-256 of arguments."""

    key: str
    attempt: int
    digest: str

    def as_json(self) -> dict[str, JsonLike]:
        """Return the form in which it is recorded."""
        return {"key": self.key, "attempt": self.attempt, "digest": self.digest}


def decided(settled: tuple[Settled, ...], begun: tuple[Begun, ...]) -> dict[str, JsonLike]:
    """Return the `decided` record of a driver's entry."""
    return {
        "settled": [item.as_json() for item in settled],
        "next": [item.as_json() for item in begun],
    }
