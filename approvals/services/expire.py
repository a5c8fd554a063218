"""Ending requests whose time is up. Read `expire_due` first."""

from functools import partial
from uuid import UUID

from django.db import transaction

from approvals import store
from approvals.domain import deadline
from approvals.domain.decision import Closure
from approvals.drafting import SWEEP_ORIGIN
from approvals.models import StageStatus
from approvals.services.closing import Ending, close, resolve_run
from approvals.services.isolating import attempt_alone
from approvals.services.locking import lock
from approvals.services.outbox import NoticeEvent, enqueue
from core.kernel import limits


def expire_due() -> int:
    """End the requests whose time is up, at most `limits.SWEEP_ROW_COUNT_MAX` of them.

    For the sweep; any number of processes may call it at once. A request somebody is deciding at
    this moment, or that could not be ended, is left for the next round.

    Returns:
        How many it ended. Transaction: one of its own for each.
    """
    due = store.list_due(limit=limits.SWEEP_ROW_COUNT_MAX)
    return sum(_try_expire(request_id, run_id) for request_id, run_id in due)


def expire_request(*, request_id: UUID, run_id: UUID | None) -> bool:
    """End a request if its time is up by the database's clock, inside the lock.

    Returns:
        Whether it did: `False` when somebody decided it, or its run ended, meanwhile.

    Transaction: opens one. Idempotent.
    """
    with transaction.atomic():
        locked = lock(request_id=request_id, run_id=run_id)
        if locked is None or locked.row.closed_at is not None:
            return False
        if not deadline.is_over(expires_at=locked.row.expires_at, now=locked.at):
            return False
        ending = Ending(
            outcome=deadline.outcome_after(locked.state.rule.after_expiry),
            closure=Closure.TIME,
            at=locked.at,
            origin=SWEEP_ORIGIN,
        )
        entries = close(
            request=locked.row,
            stage=locked.open_stage,
            stage_status=StageStatus.ENDED,
            ending=ending,
        )
        resolve_run(request=locked.row, run=locked.run, entry=entries[-1], origin=SWEEP_ORIGIN)
        enqueue(
            event=NoticeEvent.REQUEST_EXPIRED,
            request=locked.row,
            recipients=[locked.row.requester_id],
            at=locked.at,
            facts={"outcome": ending.outcome.value},
        )
    return True


def _try_expire(request_id: UUID, run_id: UUID | None) -> bool:
    """End one request; one that cannot be ended must not keep the others open."""
    return attempt_alone(
        act=partial(expire_request, request_id=request_id, run_id=run_id),
        request_id=request_id,
        failure="approvals.expiry_failed",
    )
