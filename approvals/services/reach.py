"""Keeping `blocked` true of open requests while people come and go. Read `refresh_reach` first."""

from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.db import transaction

from approvals import store
from approvals.drafting import SWEEP_ORIGIN, Kind, draft
from approvals.models import Request
from approvals.selectors.facts import RequestFacts, read_facts
from approvals.selectors.reach import can_be_reached, find_deciders
from approvals.services.isolating import attempt_alone
from approvals.services.locking import LockedRequest, lock
from approvals.services.notifying import announce, tell_owners_blocked
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock

_BEFORE_ALL = UUID(int=0)


def refresh_reach(*, request_id: UUID) -> bool:
    """Note that too few people may decide a request now, or that enough may again.

    It is on record, and owners are told that a request is blocked, once for each of its stages.
    Nothing is decided by it: a blocked request stays open and never passes by itself.

    Returns:
        Whether something changed. Transaction: opens one if it seems so. Idempotent.
    """
    row = Request.objects.filter(pk=request_id).first()
    if row is None or not _is_outdated(RequestFacts(**read_facts(row))):
        return False
    with transaction.atomic():
        locked = lock(request_id=request_id, run_id=row.run_id)
        if locked is None or not _is_outdated(locked):
            return False
        _note(locked)
    return True


@dataclass(slots=True, kw_only=True)
class ReachSweep:
    """Looks at open requests again, some in each round, the oldest first and then from the start.

    One per process, called each round of the sweep. Several processes do the same work, which is
    harmless. The first round comes some time after the start.
    """

    clock: Clock = field(default=SYSTEM_CLOCK)
    after: UUID = _BEFORE_ALL
    swept_at: float | None = None

    def __call__(self) -> int:
        """Look at some requests if it is time to; return how many changed."""
        now = self.clock.monotonic()
        if self.swept_at is None:
            self.swept_at = now
        if now - self.swept_at < limits.REACH_SECONDS:
            return 0
        self.swept_at = now
        found = store.list_staged(after=self.after, limit=limits.REACH_ROW_COUNT_MAX)
        is_last = len(found) < limits.REACH_ROW_COUNT_MAX
        self.after = _BEFORE_ALL if is_last else found[-1]
        return sum(_try_refresh(request_id) for request_id in found)


def _try_refresh(request_id: UUID) -> bool:
    return attempt_alone(
        act=partial(refresh_reach, request_id=request_id),
        request_id=request_id,
        failure="approvals.reach_failed",
    )


def _is_outdated(facts: RequestFacts) -> bool:
    """Say whether an open request is blocked and should not be, or the other way round."""
    if facts.row.closed_at is not None or facts.open_stage is None:
        return False
    return facts.row.blocked == can_be_reached(facts=facts, deciders=find_deciders(facts=facts))


def _note(locked: LockedRequest) -> None:
    stage = locked.open_stage
    assert stage is not None, "only an open stage is judged"
    blocked = not locked.row.blocked
    kind = Kind.REQUEST_BLOCKED if blocked else Kind.REQUEST_UNBLOCKED
    entry = draft(
        kind, request=locked.row, at=locked.at, origin=SWEEP_ORIGIN, data={"stage": stage.key}
    )
    store.append(request=locked.row, drafts=[entry], changes={"blocked": blocked})
    if blocked:
        tell_owners_blocked(request=locked.row, stage=stage.key, at=locked.at)
    announce(request=locked.row, event=kind.value, keys=stage.approver_keys)
