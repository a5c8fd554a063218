"""What programs tell of the attempts they have. Read `end_task`, then `extend_claim`."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from core.identity.authorize import authorize, refuse, require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel.canonical import digest
from core.kernel.types import Json
from engine import remote
from engine.actions.contract import ActionError, one_line, recordable
from engine.domain.errors import (
    TaskCancelledError,
    TaskEndedError,
    TaskGoneError,
    TaskMissingError,
    TaskResultInvalidError,
)
from engine.domain.external import ClaimStatus
from engine.executing import Ended
from engine.external import rows
from engine.external.rows import ClaimRow
from engine.services import late

_NOT_YOURS = "The task was claimed by somebody else, or with another token."
STOPPED = "cancelled"  # the error kind of who stops because nobody needs the result
_ENDED = frozenset({ClaimStatus.COMPLETED, ClaimStatus.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedClaim:
    """Until when a claim holds now."""

    lease_until: datetime
    deadline_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTask:
    """How a task ended; `replayed` if it was told before."""

    id: UUID
    status: ClaimStatus
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """That an attempt has done its work."""

    result: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an attempt failed: an error kind that `retry.errors` may name, and what happened."""

    kind: str
    message: str


def extend_claim(*, principal: Principal, task_id: UUID, token: UUID) -> ExtendedClaim:
    """Say that a program still executes an attempt.

    Transaction: one; locks the claim.

    Raises:
        TaskMissingError, AccessForbiddenError, TaskEndedError: as `end_task`.
        TaskGoneError: the lease or the attempt's time is over.
        TaskCancelledError: nobody needs the result. Tell how far it came; the lease runs on.
    """
    with transaction.atomic():
        claim = _lock(principal, task_id, token)
        if claim.status in _ENDED:
            raise TaskEndedError(task=str(task_id), status=claim.status.value)
        if claim.status is not ClaimStatus.HELD or claim.is_overdue:
            raise TaskGoneError(task=str(task_id))
        if not claim.is_wanted:
            raise TaskCancelledError(task=str(task_id), run=str(claim.run_id))
        lease_until, deadline_at = rows.extend(claim_id=claim.id)
    return ExtendedClaim(lease_until=lease_until, deadline_at=deadline_at)


def end_task(
    *, principal: Principal, task_id: UUID, token: UUID, told: Completion | Failure
) -> EndedTask:
    """Tell how an attempt ended: a result, or how it failed. Idempotent on what is told.

    An end that comes too late is kept on the run's record, and nothing follows from it.
    Transaction: one, which locks the claim; the run is woken after the commit.

    Raises:
        TaskMissingError: no such task, or the caller may not know of it.
        AccessForbiddenError: the caller may execute no tasks here any more, or has not this one.
        TaskResultInvalidError: the result cannot be recorded. The task is still the caller's.
        TaskEndedError: another end was told before.
        TaskGoneError: the lease or the attempt's time was over.
    """
    with transaction.atomic():
        claim = _lock(principal, task_id, token)
        ended = _read_end(claim, principal, told)
        answer = digest(_as_json(ended))
        if claim.status in _ENDED:
            return _replay(claim, answer)
        status = ClaimStatus.FAILED if ended.error else ClaimStatus.COMPLETED
        is_in_time = claim.status is ClaimStatus.HELD and not (claim.is_overdue or claim.is_closed)
        # Who stops because it was told to has not failed, and neither has the run.
        is_stopped = ended.error == STOPPED and not claim.is_wanted
        is_counted = is_in_time and remote.end_claim(
            task_id=claim.id, token=token, ended=None if is_stopped else ended
        )
        if is_counted:
            rows.end(claim_id=claim.id, status=status, answer=answer)
    # Not before the claim is let go: whoever locks a run and a claim begins with the run.
    if not is_counted:
        late.note_late(run_id=claim.run_id, ended=(ended,))
        raise TaskGoneError(task=str(task_id))
    remote.wake([claim.run_id])  # what this misses, the sweep finds
    return EndedTask(id=claim.id, status=status, replayed=False)


def sweep_claims() -> int:
    """Give up attempts whose program is silent, end those whose time is over; return how many.

    Also forgets claims that ended long ago. Transaction: one; runs are woken after it.
    """
    with transaction.atomic():
        silent = rows.take_silent()
        for claim in silent:
            ended = None
            status = ClaimStatus.LOST
            if claim.is_overdue:
                status = ClaimStatus.OVERDUE
                ended = Ended(
                    key=claim.key,
                    attempt=claim.attempt,
                    error="timeout",
                    message=f"no result within {claim.seconds:g} s of its claim",
                )
            remote.end_claim(task_id=claim.id, token=claim.token, ended=ended)
            rows.end(claim_id=claim.id, status=status)
    remote.wake(list({claim.run_id for claim in silent}))
    return len(silent) + rows.clean()


def _lock(principal: Principal, task_id: UUID, token: UUID) -> ClaimRow:
    """Return a claim of the caller's, locked."""
    claim = rows.lock_claim(claim_id=task_id)
    if claim is None or not _may_know(principal, claim.scope_id):
        raise TaskMissingError(task=str(task_id))
    require(principal=principal, permission=Permission.EXECUTE_TASK, scope_id=claim.scope_id)
    if claim.account_id != principal.user_id or claim.token != token:
        refuse(
            principal=principal,
            permission=Permission.EXECUTE_TASK,
            scope_id=claim.scope_id,
            reason=_NOT_YOURS,
        )
    return claim


def _may_know(principal: Principal, scope_id: UUID) -> bool:
    return authorize(
        principal=principal, permission=Permission.VIEW_PROJECT, scope_id=scope_id
    ).allowed


def _read_end(claim: ClaimRow, principal: Principal, told: Completion | Failure) -> Ended:
    ended = Ended(
        key=claim.key,
        attempt=claim.attempt,
        round=claim.round,
        worker=claim.worker,
        account=str(principal.user_id),
    )
    if isinstance(told, Failure):
        return replace(ended, error=told.kind, message=one_line(told.message))
    try:
        return replace(ended, result=recordable(told.result))
    except ActionError as error:
        raise TaskResultInvalidError(error.message) from error


def _replay(claim: ClaimRow, answer: bytes) -> EndedTask:
    if claim.answer != answer:
        raise TaskEndedError(task=str(claim.id), status=claim.status.value)
    return EndedTask(id=claim.id, status=claim.status, replayed=True)


def _as_json(ended: Ended) -> Json:
    if ended.error:
        return {"error": ended.error, "message": ended.message}
    return {"result": ended.result}
