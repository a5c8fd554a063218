"""Taking notices from the outbox and noting what became of them. Read `claim_next` first.

A claim is a lease: the row stays pending and is due again later, so a worker that dies while it
delivers loses nothing, and no transaction is open while a mail server is slow. What a worker notes
counts only if nobody claimed the row after it.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection

from approvals.models import DeliveryStatus
from core.kernel import limits

_CLAIM = """
    UPDATE approvals_outbox
    SET attempts = attempts + 1, next_at = clock_timestamp() + make_interval(secs => %s)
    WHERE id = (
        SELECT id FROM approvals_outbox
        WHERE status = 'pending' AND next_at <= clock_timestamp()
        ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, attempts"""
_SENT = """
    UPDATE approvals_outbox SET status = 'sent', sent_at = clock_timestamp(), last_error = ''
    WHERE id = %s AND attempts = %s AND status = 'pending'"""
_LATER = """
    UPDATE approvals_outbox
    SET next_at = clock_timestamp() + make_interval(secs => %s), last_error = %s
    WHERE id = %s AND attempts = %s AND status = 'pending'"""
_END = """
    UPDATE approvals_outbox SET status = %s, last_error = %s
    WHERE id = %s AND attempts = %s AND status = 'pending'"""
_IS_OVERDUE = """
    SELECT EXISTS (
        SELECT FROM approvals_outbox
        WHERE status = 'pending' AND next_at <= clock_timestamp() - make_interval(secs => %s)
    )"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A notice to deliver now. `attempt` counts from 1 and fences what is noted of it."""

    notice_id: UUID
    attempt: int


def claim_next() -> Claim | None:
    """Take the notice that has been due longest, or nothing. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, (limits.DELIVERY_LEASE.total_seconds(),))
        row = cursor.fetchone()
    return None if row is None else Claim(notice_id=row[0], attempt=row[1])


def note_sent(claim: Claim) -> bool:
    """Note that a notice was delivered; `False` if it has been claimed again since."""
    return _execute(_SENT, (claim.notice_id, claim.attempt))


def note_later(claim: Claim, *, delay: timedelta, reason: str) -> bool:
    """Note that a notice is to be tried again; `False` as for `note_sent`."""
    return _execute(_LATER, (delay.total_seconds(), _cut(reason), claim.notice_id, claim.attempt))


def note_dead(claim: Claim, *, reason: str) -> bool:
    """Note that a notice could not be delivered; `False` as for `note_sent`."""
    return _end(claim, status=DeliveryStatus.DEAD, reason=reason)


def note_dropped(claim: Claim, *, reason: str) -> bool:
    """Note that a notice is not worth delivering any more; `False` as for `note_sent`."""
    return _end(claim, status=DeliveryStatus.DROPPED, reason=reason)


def is_overdue() -> bool:
    """Say whether a notice has been due for so long that its hint must be lost. One probe."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_OVERDUE, (limits.DELIVERY_OLD_SECONDS,))
        return bool(cursor.fetchone()[0])


def _end(claim: Claim, *, status: DeliveryStatus, reason: str) -> bool:
    return _execute(_END, (status.value, _cut(reason), claim.notice_id, claim.attempt))


def _execute(statement: str, params: tuple[str | int | float | UUID, ...]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return bool(cursor.rowcount == 1)


def _cut(reason: str) -> str:
    return reason.replace("\x00", "")[: limits.ERROR_CHARS_MAX]
