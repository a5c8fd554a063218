"""Delivering notices: what is due, one after the other. Read `deliver_due` first.

At least once: a worker may die between the mail server's answer and the note of it. The message id
of a notice never changes, so that mail programs show a second copy as the same message.
"""

import smtplib
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

from approvals.models import Notice
from approvals.outbound import claims
from approvals.outbound.claims import Claim
from approvals.outbound.mail import compose, find_obstacle
from approvals.services.outbox import DELIVER_TASK
from approvals.services.undelivered import record_undelivered
from core.kernel import ids, limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.toolkit import queue

_log = structlog.get_logger(__name__)

_PERMANENT_FROM = 500  # SMTP: 5xx is for good, 4xx for now. Source: RFC 5321 §4.2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of the notices one call took."""

    sent: int = 0
    later: int = 0
    dead: int = 0
    dropped: int = 0

    @property
    def count(self) -> int:
        """Return how many there were."""
        return self.sent + self.later + self.dead + self.dropped


def deliver_due(*, limit: int = limits.DELIVERY_COUNT_MAX) -> Delivered:
    """Deliver the notices that are due, the longest due first, at most `limit` of them.

    Any number of processes may do so at once; each takes other notices.

    Transaction: none may be open; each note is one statement, giving up one transaction.
    """
    counts = dict.fromkeys(("sent", "later", "dead", "dropped"), 0)
    connection: BaseEmailBackend = mail.get_connection()
    try:
        while sum(counts.values()) < limit:
            claim = claims.claim_next()
            if claim is None:
                break
            counts[_deliver(claim, connection)] += 1
    finally:
        connection.close()
    return Delivered(**counts)


def retry_delay(*, attempt: int) -> timedelta:
    """Return how long to wait after a failed attempt, before jitter. `attempt` is from 1."""
    # 2**20 is far over the bound; the cap keeps the product within what a timedelta holds.
    delay = limits.DELIVERY_DELAY_FIRST * int(2 ** min(attempt - 1, 20))
    return min(delay, limits.DELIVERY_DELAY_MAX)


def _deliver(claim: Claim, connection: BaseEmailBackend) -> str:
    if claim.attempt > limits.DELIVERY_ATTEMPT_COUNT_MAX:
        return _give_up(claim, "every attempt ended without an answer")
    notice = Notice.objects.select_related(
        "request__requester", "run__workflow__project", "recipient"
    ).get(pk=claim.notice_id)
    try:
        obstacle = find_obstacle(notice)
        if obstacle:
            # Not a failure: the news is no longer news, or nobody is there to read it.
            claims.note_dropped(claim, reason=obstacle)
            _log.info("approvals.notice_dropped", notice=str(claim.notice_id), reason=obstacle)
            return "dropped"
        connection.send_messages([compose(notice)])
    # The process edge: a mail server, or one notice that cannot be written, must not keep the
    # others from being delivered.
    except Exception as error:  # noqa: BLE001
        connection.close()
        return _note_failure(claim, error)
    claims.note_sent(claim)
    _log.info("approvals.notice_sent", notice=str(claim.notice_id), notice_event=notice.event)
    return "sent"


def _note_failure(claim: Claim, error: Exception) -> str:
    reason = f"{type(error).__name__}: {error}"
    if _is_permanent(error) or claim.attempt >= limits.DELIVERY_ATTEMPT_COUNT_MAX:
        return _give_up(claim, reason)
    delay = retry_delay(attempt=claim.attempt)
    delay += timedelta(seconds=ids.jitter(spread=delay.total_seconds() / 4))
    claims.note_later(claim, delay=delay, reason=reason)
    _log.warning(
        "approvals.notice_failed",
        notice=str(claim.notice_id),
        attempt=claim.attempt,
        again_seconds=round(delay.total_seconds()),
        reason=reason,
    )
    return "later"


def _give_up(claim: Claim, reason: str) -> str:
    try:
        with transaction.atomic():
            if claims.note_dead(claim, reason=reason):
                record_undelivered(notice_id=claim.notice_id, reason=reason)
    # The same edge: a request whose record fails must not keep other mail from being delivered.
    except Exception:  # noqa: BLE001
        _log.exception("approvals.notice_unrecorded", notice=str(claim.notice_id))
        claims.note_dead(claim, reason=reason)
    _log.error("approvals.notice_dead", notice=str(claim.notice_id), reason=reason)
    return "dead"


def _is_permanent(error: Exception) -> bool:
    """Say whether the mail server refused the message itself, for good."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= _PERMANENT_FROM for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return False  # ours to mend; the mail can still go out then
    if isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        return error.smtp_code >= _PERMANENT_FROM
    return False


@dataclass(slots=True, kw_only=True)
class OverdueSweep:
    """Hints a mail worker when notices are overdue: a hint was lost, or a delay is over.

    One per process; called each round of the sweep. While nobody delivers, it does not fill the
    queue with hints nobody takes.
    """

    clock: Clock = field(default=SYSTEM_CLOCK)
    hinted_at: float = float("-inf")

    def __call__(self) -> int:
        """Hint if something is overdue; return how many hints were sent."""
        now = self.clock.monotonic()
        if now - self.hinted_at < limits.DELIVERY_HINT_SECONDS or not claims.is_overdue():
            return 0
        self.hinted_at = now
        queue.hint(DELIVER_TASK)
        return 1
