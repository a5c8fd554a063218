"""When a request ends by itself, and as what. Read `is_over` first."""

from datetime import datetime, timedelta

from approvals.domain.rule import AfterExpiry
from engine.domain.verbs import WaitOutcome

_OUTCOMES = {
    AfterExpiry.REJECT: WaitOutcome.REJECTED,
    AfterExpiry.EXPIRE: WaitOutcome.EXPIRED,
    AfterExpiry.FAIL: WaitOutcome.FAILED,
}


def expires_at(*, opened_at: datetime, after_seconds: float | None) -> datetime | None:
    """Return the first instant at which a decision is too late, or `None` for never."""
    if after_seconds is None:
        return None
    return opened_at + timedelta(seconds=after_seconds)


def is_over(*, expires_at: datetime | None, now: datetime) -> bool:
    """Return whether the time is up: a decision counts strictly before the deadline.

    `now` is the database's clock, read inside the lock on the request.
    """
    return expires_at is not None and now >= expires_at


def outcome_after(after_expiry: AfterExpiry | None) -> WaitOutcome:
    """Return how a request ends whose time is up; `reject` is the default."""
    return _OUTCOMES[after_expiry or AfterExpiry.REJECT]
