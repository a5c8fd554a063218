"""The events of a run's stream: kinds and the data each carries. Read the table in `EventKind`.

An event is a ledger entry seen from the engine: `data` is inside the hashed entry, `payloads` are
committed to by it. An entry written by a driver carries `decided`: what followed from everything up
to it. Folding computes the same again and compares; that is how nondeterminism is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from core.kernel import limits
from core.kernel.canonical import digest
from core.kernel.types import Json, JsonLike


class EventKind(StrEnum):
    """What may happen to a run."""

    RUN_STARTED = "run.started"  # group (max, on_conflict, with); payloads: inputs, vars, …
    RUN_ADMITTED = "run.admitted"  # its turn in its concurrency group has come
    RUN_OWNED = "run.owned"  # epoch, worker; by a driver that takes the run
    STEP_STARTED = "step.started"  # carries only `decided`
    # Of attempts that programs outside claim, also worker (what it calls itself) and account.
    ATTEMPT_CLAIMED = "attempt.claimed"  # key, attempt, task, topic, worker; nothing follows
    STEP_COMPLETED = "step.completed"  # key, attempt; payload: result
    ATTEMPT_FAILED = "attempt.failed"  # key, attempt, error; payloads: message, detail
    ATTEMPT_LOST = "attempt.lost"  # key, attempt; its worker died
    ATTEMPT_UNCERTAIN = "attempt.uncertain"  # key, attempt; may have happened: a person says
    # key, attempt, error; payload: result or message. Of one that was given up; nothing follows
    ATTEMPT_LATE = "attempt.late"
    # key, gate, delay_ms, reserved; payload: names. What held the step back lets it through
    STEP_ADMITTED = "step.admitted"
    STEP_HELD = "step.held"  # keys, delay_ms; no gate lets them through now
    STEP_REUSED = "step.reused"  # key; payload: result. An equal step's, from the cache
    TIMER_FIRED = "timer.fired"  # timer: see `engine.domain.timers`
    EVENT_AWAITED = "event.awaited"  # key, verb, type, prepared
    EVENT_RECEIVED = "event.received"  # key, event (its id), type; payload: data
    EVENT_EMITTED = "event.emitted"  # key, event (its id), type; payload: data
    CHILD_STARTED = "child.started"  # key, verb, run, version, detached, prepared
    STEP_REFUSED = "step.refused"  # key, error; payload: message. What it wanted cannot be
    CHILD_CLOSED = "child.closed"  # key, run, outcome; payload: outputs
    QUESTION_ASKED = "question.asked"  # key, verb, prepared
    QUESTION_RESOLVED = "question.resolved"  # key, choice
    WAIT_WITHDRAWN = "wait.withdrawn"  # key, verb; nobody is to end it any more
    APPROVAL_REQUESTED = "approval.requested"  # key, verb, prepared (digest)
    APPROVAL_RESOLVED = "approval.resolved"  # key, outcome, evidence; payload: outputs
    # version_from, version_to (ids), rev, reset; payloads: names, inputs, vars, calls, reason
    RUN_MIGRATED = "run.migrated"
    RUN_CANCEL_REQUESTED = "run.cancel_requested"  # cause, compensate; payload: reason
    RUN_PAUSED = "run.paused"  # payload: reason. Nothing new begins
    RUN_RESUMED = "run.resumed"  # payload: reason. Of one that was paused or halted
    STEP_RETRY_REQUESTED = "step.retry_requested"  # key; payload: reason
    STEP_SKIP_REQUESTED = "step.skip_requested"  # key; payload: reason
    EVENT_ADDRESSED = "event.addressed"  # event (its id), type; payload: reason. To this run only
    RUN_CLOSED = "run.closed"  # outcome, successor; payload: outputs. Nothing follows it
    RUN_HALTED = "run.halted"  # code; payload: difference. Only an operator goes on


# Payloads of which no state is made: without them an entry still folds.
UNFOLDED_PAYLOADS = frozenset({"reason", "notes", "source"})


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
    """An attempt that starts now. `digest` is the hex SHA-256 of arguments."""

    key: str
    attempt: int
    digest: str
    queue: str = ""  # the label of the workers it is handed to; "": the driver executes it

    def as_json(self) -> dict[str, JsonLike]:
        """Return the form in which it is recorded."""
        record: dict[str, JsonLike] = {
            "key": self.key,
            "attempt": self.attempt,
            "digest": self.digest,
        }
        return {**record, "queue": self.queue} if self.queue else record


def with_decided(event: Event, settled: tuple[Settled, ...], begun: tuple[Begun, ...]) -> Event:
    """Return a driver's event with the record of what followed from it.

    A long record goes into a payload, because an entry is bounded; the entry then holds its digest.
    """
    record: dict[str, JsonLike] = {
        "settled": [item.as_json() for item in settled],
        "next": [item.as_json() for item in begun],
    }
    payloads = dict(event.payloads)
    if len(settled) + len(begun) > limits.DECIDED_COUNT_MAX:
        payloads["decided"] = cast("Json", record)
        record = {"digest": digest(record).hex()}
    notes: list[Json] = [
        {"key": item.key, "message": item.message} for item in settled if item.message
    ]
    if notes:
        payloads["notes"] = notes
    return replace(event, data={**event.data, "decided": record}, payloads=payloads)


def find_decided(event: Event) -> Mapping[str, Any] | None:
    """Return the record of what followed from an event: `settled` and `next`, or `None`."""
    record: Any = event.data.get("decided")
    if isinstance(record, Mapping) and "digest" in record:
        record = event.payloads.get("decided")
    return record if isinstance(record, Mapping) else None
