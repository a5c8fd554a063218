"""Runs and steps in the portal's words and marks. Pure. Read `describe_step` first.

A mark is a shape (`waiting`, `approved`, …), a word says what it means here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.toolkit.portal.words import say_ago, say_count
from engine.domain.state import Outcome, RunStatus, StepStatus

_EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_NAME: Final = re.compile(r"\w+")

# The order of urgency, and of the counts above a graph after what is done.
MARKS: Final = (
    "approved",
    "failed",
    "waiting",
    "running",
    "pending",
    "rejected",
    "expired",
    "cancelled",
    "skipped",
)
_COUNT_WORDS: Final = {
    "approved": "done",
    "pending": "queued",
    "expired": "timed out",
}
_STEP_OUTCOMES: Final = {
    Outcome.SUCCEEDED: ("approved", "Succeeded"),
    Outcome.APPROVED: ("approved", "Approved"),
    Outcome.OVERRIDDEN: ("approved", "Overridden"),
    Outcome.FAILED: ("failed", "Failed"),
    Outcome.REJECTED: ("rejected", "Rejected"),
    Outcome.EXPIRED: ("expired", "Timed out"),
    Outcome.SKIPPED: ("skipped", "Skipped"),
    Outcome.UNREACHED: ("skipped", "Not reached"),
    Outcome.CANCELLED: ("cancelled", "Cancelled"),
    Outcome.WITHDRAWN: ("cancelled", "Withdrawn"),
    Outcome.VOIDED: ("cancelled", "Voided"),
    Outcome.CONTINUED: ("approved", "Continued"),
}
_OUTCOMES: Final = frozenset(Outcome)
_STEP_STATUSES: Final = {
    StepStatus.PENDING: ("pending", "Queued"),
    StepStatus.READY: ("pending", "Queued"),
    StepStatus.RUNNING: ("running", "Running"),
    StepStatus.BACKOFF: ("pending", "Will be tried again"),
    StepStatus.OPENING: ("pending", "Queued"),
    StepStatus.WAITING: ("waiting", "Waiting"),
    StepStatus.HELD: ("pending", "Held"),
    StepStatus.SLEEPING: ("pending", "Sleeping"),
    StepStatus.OPEN: ("running", "Under way"),
    StepStatus.UNWINDING: ("failed", "Failed, undoing"),
}
# The hourglass is for people: nobody has to act on these.
_WAITS: Final = {
    "event": ("pending", "Waits for an event"),
    "run": ("running", "Waits for a run"),
    "state": ("pending", "Waits for time"),
    "turn": ("pending", "Between two turns"),
}
_RUN_WAITS: Final = {
    "event": "Waits for an event",
    "run": "Waits for a run",
    "mutex": "Waits for a mutex",
}
_WAITING: Final = frozenset({StepStatus.WAITING, StepStatus.OPEN})
_RUN_OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {
    Outcome.SUCCEEDED: ("approved", "Succeeded"),
    Outcome.FAILED: ("failed", "Failed"),
    Outcome.REJECTED: ("rejected", "Rejected"),
    Outcome.EXPIRED: ("expired", "Timed out"),
    Outcome.CANCELLED: ("cancelled", "Cancelled"),
    Outcome.CONTINUED: ("approved", "Continued"),
}
_RUN_STATUSES: Final = {
    RunStatus.READY: ("pending", "Queued"),
    RunStatus.RUNNING: ("running", "Running"),
    RunStatus.PAUSED: ("pending", "Paused"),
    RunStatus.HALTED: ("failed", "Halted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A mark and its word."""

    mark: str
    word: str


def describe_step(*, status: str, outcome: str | None, waits: str = "") -> Chip:
    """Return how a step stands.

    Args:
        status: the step's.
        outcome: the step's, `None` while it is open and of a visit to a state that was left.
        waits: what it waits for first, a value of `WaitKind`; "" for nothing.
    """
    if outcome is None and status == StepStatus.ENDED:
        return Chip(mark="approved", word="Left")
    if status in _WAITING and waits in _WAITS:
        mark, word = _WAITS[waits]
    elif outcome is not None and status == StepStatus.ENDED:
        mark, word = _STEP_OUTCOMES[Outcome(outcome)]
    else:
        mark, word = _STEP_STATUSES.get(StepStatus(status), ("pending", "Queued"))
    return Chip(mark=mark, word=word)


def say_outcome(outcome: str) -> Chip:
    """Return how something ended: a step, a run, a request."""
    known = _STEP_OUTCOMES.get(Outcome(outcome)) if outcome in _OUTCOMES else None
    mark, word = known or ("pending", outcome.capitalize() or "Ended")
    return Chip(mark=mark, word=word)


def describe_run(
    *,
    status: str,
    outcome: str,
    waiting_count: int | None,
    wake_at: datetime | None = None,
    waits: str = "",
    now: datetime,
) -> Chip:
    """Return how a run stands; what it waits for is said.

    Args:
        status: the run's.
        outcome: the run's, "" while it is open.
        waiting_count: how many decisions of people it waits for; `None` if nobody knows.
        wake_at: when a timer moves it on.
        waits: what it waits for beside people and time: "event", "run", "mutex" or "".
        now: the present.
    """
    if status == RunStatus.CLOSED:
        mark, word = _RUN_OUTCOMES.get(outcome, ("cancelled", outcome.capitalize() or "Ended"))
        return Chip(mark=mark, word=word)
    if waiting_count and status not in {RunStatus.PAUSED, RunStatus.HALTED}:
        return Chip(mark="waiting", word=f"Waiting for {say_count(waiting_count, 'approval')}")
    if status == RunStatus.WAITING and waits in _RUN_WAITS:
        return Chip(mark="pending", word=_RUN_WAITS[waits])
    if status == RunStatus.WAITING:
        return _describe_waiting(waiting_count=waiting_count, wake_at=wake_at, now=now)
    mark, word = _RUN_STATUSES.get(RunStatus(status), ("pending", "Queued"))
    return Chip(mark=mark, word=word)


def is_good(outcome: str | None) -> bool:
    """Say whether a step ended so that what needs it may go on."""
    return outcome in {Outcome.SUCCEEDED, Outcome.APPROVED, Outcome.OVERRIDDEN}


def say_counts(marks: Iterable[str]) -> list[tuple[str, int, str]]:
    """Return (mark, count, "8 done") for the marks that occur, in their order."""
    counts: dict[str, int] = {}
    for mark in marks:
        counts[mark] = counts.get(mark, 0) + 1
    return [
        (mark, counts[mark], f"{counts[mark]} {_COUNT_WORDS.get(mark, mark)}")
        for mark in MARKS
        if mark in counts
    ]


def worst_mark(marks: Iterable[str]) -> str:
    """Return the mark of several steps drawn as one: the most urgent open one, else the worst."""
    present = set(marks)
    for mark in ("failed", "waiting", "running", "rejected", "expired", "cancelled", "pending"):
        if mark in present:
            return mark
    return "approved" if "approved" in present else "skipped"


def say_template(text: str) -> str:
    """Return a title before its values are known: `${{ inputs.ref }}` becomes `<ref>`."""
    return _EXPRESSION.sub(lambda match: f"\u2039{_last_name(match.group(1))}\u203a", text)


def say_step(step: str) -> str:
    """Return a step's id as a title: "change_board" → "Change board"."""
    words = step.replace("_", " ").strip()
    return words[:1].upper() + words[1:] if words else step


def _describe_waiting(
    *, waiting_count: int | None, wake_at: datetime | None, now: datetime
) -> Chip:
    """Return how a run stands that waits for nobody who is counted."""
    if waiting_count is None and wake_at is None:
        return Chip(mark="waiting", word="Waiting")
    if wake_at is None:
        return Chip(mark="pending", word="Waits for others")
    if wake_at > now:
        return Chip(mark="pending", word=f"Goes on {say_ago(wake_at, now=now)}")
    return Chip(mark="pending", word="Queued")


def _last_name(expression: str) -> str:
    names = _NAME.findall(expression)
    return names[-1] if names else "…"
