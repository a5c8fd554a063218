"""Doing one thing to many runs. Read `operate_runs`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from uuid import UUID

from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.errors import PlatformError
from engine.selectors.runs import RunFilters, RunView, list_runs
from engine.selectors.targets import get_project_target
from engine.services.runs import cancel_run
from engine.services.steering import check_reason, pause_run, resume_run


class BulkVerb(StrEnum):
    """What can be done to many runs."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkItem:
    """What became of one run. `code` and `message` say why it was refused, "" if it was not."""

    run_id: UUID
    number: int
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """What became of each run. `next_id`: there are more, older than that one."""

    items: Sequence[BulkItem]
    next_id: UUID | None


def operate_runs(
    *,
    principal: Principal,
    verb: BulkVerb,
    filters: RunFilters,
    reason: str,
    compensate: bool = False,
    after: UUID | None = None,
) -> BulkResult:
    """Pause, resume or cancel the open runs of a project that match, newest first.

    At most `limits.BULK_RUN_COUNT_MAX` in one call; give `next_id` as `after` for the next ones.
    What is refused for one run, for want of a permission too, holds up no other. Idempotent.

    Args:
        principal: who acts; what they may not see is not there.
        verb: what is done.
        filters: which runs; they name a project.
        reason: why, for each run's record.
        compensate: of a cancel, whether what has completed is undone.
        after: a run's id; only older ones are looked at.

    Transaction: one of its own for each run.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
    """
    assert filters.project_slug is not None, "nobody acts on all projects at once"
    get_project_target(principal=principal, project_slug=filters.project_slug)
    check_reason(reason=reason)
    count_max = limits.BULK_RUN_COUNT_MAX
    rows = list_runs(principal=principal, filters=filters, after=after, limit=count_max + 1)
    act = _ACTS[verb]
    if verb is BulkVerb.CANCEL:
        act = partial(act, compensate=compensate)
    items = [_do(act, row, principal=principal, reason=reason) for row in rows[:count_max]]
    return BulkResult(items=items, next_id=items[-1].run_id if len(rows) > count_max else None)


def _do(act: Callable[..., object], row: RunView, *, principal: Principal, reason: str) -> BulkItem:
    try:
        act(principal=principal, run_id=row.id, reason=reason)
    except PlatformError as error:
        return BulkItem(run_id=row.id, number=row.number, code=error.code, message=error.message)
    return BulkItem(run_id=row.id, number=row.number)


_ACTS: dict[BulkVerb, Callable[..., object]] = {
    BulkVerb.PAUSE: pause_run,
    BulkVerb.RESUME: resume_run,
    BulkVerb.CANCEL: cancel_run,
}
