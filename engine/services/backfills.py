"""Having the instants of a schedule made up for. Read `start_backfill`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import ids, limits
from core.toolkit.db import read_database_clock
from engine import starting
from engine.domain.errors import (
    BackfillInvalidError,
    BackfillMissingError,
    BackfillOpenError,
    ReasonTooLongError,
    TriggerKindError,
    TriggerMissingError,
)
from engine.domain.schedules import list_between
from engine.domain.triggers import ScheduleTrigger
from engine.models import Workflow
from engine.selectors.targets import WorkflowTarget, get_workflow_target
from engine.senders import describe_sender
from engine.triggers import occurrences, rows
from engine.triggers.models import Backfill
from engine.triggers.occurrences import NewBackfill
from engine.triggers.recording import record


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What is to be made up for: instants from `since` and before `until`.

    With `again` also those that had a run; at most `run_count_max` runs are open at once.
    """

    since: datetime
    until: datetime
    again: bool = False
    run_count_max: int = limits.BACKFILL_OPEN_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedBackfill:
    """What a backfill is to make up for; `id` is `None` if it was only asked what it would be."""

    id: UUID | None
    instants: tuple[datetime, ...]
    skipped_count: int


def start_backfill(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    name: str,
    period: Period,
    reason: str = "",
    is_dry: bool = False,
) -> StartedBackfill:
    """Have a schedule's instants of a period made up for; `is_dry`: only say which.

    The sweep starts their runs, oldest first; they count as started by the caller.
    Transaction: one of its own; locks the workflow.

    Raises:
        WorkflowMissingError, TriggerMissingError: there is no such thing to be seen.
        AccessForbiddenError: the caller may not operate the workflow's runs, or not start them.
        TriggerKindError: it is no schedule.
        BackfillInvalidError: the period is empty, not over yet, or has too many instants.
        BackfillOpenError: another backfill of the schedule goes on.
        ReasonTooLongError: the reason is.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    for permission in (Permission.TRIGGER_WORKFLOW, Permission.OPERATE_RUN):
        require(principal=principal, permission=permission, scope_id=target.scope_id)
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError
    # A long period takes seconds to walk: not while others wait for the workflow.
    with transaction.atomic():
        before, _ = _read_schedule(target, name)
    _check_period(period, now=read_database_clock())
    instants = _list_instants(before, period)
    with transaction.atomic():
        Workflow.objects.select_for_update(no_key=True).get(pk=target.workflow_id)
        trigger, version = _read_schedule(target, name)
        if trigger.schedule != before.schedule:  # another version was published meanwhile
            instants = _list_instants(trigger, period)
        had = occurrences.list_had(
            workflow_id=target.workflow_id, name=name, since=period.since, until=period.until
        )
        wanted = tuple(item for item in instants if period.again or item not in had)
        if len(wanted) > limits.BACKFILL_COUNT_MAX:
            raise _too_many(len(wanted))
        skipped = len(instants) - len(wanted)
        if is_dry:
            return StartedBackfill(id=None, instants=wanted, skipped_count=skipped)
        backfill = NewBackfill(
            id=ids.uuid7(),
            workflow_id=target.workflow_id,
            name=name,
            source=describe_sender(principal.origin),
            requested_by_id=principal.user_id,
            since=period.since,
            until=period.until,
            again=period.again,
            run_count_max=period.run_count_max,
            skipped_count=skipped,
            instants=wanted,
        )
        if not occurrences.insert(backfill=backfill):
            raise BackfillOpenError(trigger=name)
        _record_start(principal, backfill, version=version, reason=reason)
    return StartedBackfill(id=backfill.id, instants=wanted, skipped_count=skipped)


def cancel_backfill(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    name: str,
    backfill_id: UUID,
    reason: str = "",
) -> None:
    """Start no more runs of a backfill; those that are there go on. Idempotent.

    Transaction: one of its own; locks the workflow.

    Raises:
        WorkflowMissingError, BackfillMissingError: there is no such thing to be seen.
        AccessForbiddenError: the caller may not operate the workflow's runs.
        ReasonTooLongError: the reason is.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError
    with transaction.atomic():
        Workflow.objects.select_for_update(no_key=True).get(pk=target.workflow_id)
        known = Backfill.objects.filter(pk=backfill_id, workflow_id=target.workflow_id, name=name)
        if not known.exists():
            raise BackfillMissingError(backfill=str(backfill_id))
        if occurrences.lock(backfill_id=backfill_id) is None:
            return
        count = occurrences.end(backfill_id=backfill_id, is_cancelled=True)
        record(
            workflow_id=target.workflow_id,
            version="",
            kind="backfill.cancelled",
            data={"backfill": str(backfill_id), "name": name, "cancelled_count": count},
            payloads={"reason": reason},
            origin=principal.origin,
        )


def _read_schedule(target: WorkflowTarget, name: str) -> tuple[ScheduleTrigger, str]:
    """Return a live schedule and the digest of its version, hex."""
    live = rows.lock_live(workflow_id=target.workflow_id, name=name)
    if live is None:
        raise TriggerMissingError(trigger=name)
    chosen = starting.find_chosen(version_id=live.version_id)
    assert chosen is not None, "versions are never deleted"
    trigger = chosen.plan().automatic[live.position]
    if not isinstance(trigger, ScheduleTrigger):
        raise TriggerKindError("Only a schedule has instants to make up for.")
    return trigger, chosen.version_digest


def _check_period(period: Period, *, now: datetime) -> None:
    if period.since >= period.until:
        raise BackfillInvalidError("The period is empty: `since` is not before `until`.")
    if period.until > now:
        raise BackfillInvalidError("The period is not over yet: `until` is in the future.")


def _list_instants(trigger: ScheduleTrigger, period: Period) -> Sequence[datetime]:
    most = limits.CATCH_UP_WALK_COUNT_MAX
    found = list_between(trigger.schedule, start=period.since, end=period.until, count_max=most + 1)
    if len(found) > most:
        raise _too_many(len(found))
    return found


def _too_many(count: int) -> BackfillInvalidError:
    most = limits.BACKFILL_COUNT_MAX
    at_least = "more than " if count > limits.CATCH_UP_WALK_COUNT_MAX else ""
    count = min(count, limits.CATCH_UP_WALK_COUNT_MAX)
    return BackfillInvalidError(
        f"The period has {at_least}{count} instants to make up for; at most {most} are at once.",
        count=count,
        count_max=most,
    )


def _record_start(
    principal: Principal, backfill: NewBackfill, *, version: str, reason: str
) -> None:
    record(
        workflow_id=backfill.workflow_id,
        version=version,
        kind="backfill.started",
        data={
            "backfill": str(backfill.id),
            "name": backfill.name,
            "since": backfill.since.isoformat().replace("+00:00", "Z"),
            "until": backfill.until.isoformat().replace("+00:00", "Z"),
            "again": backfill.again,
            "run_count_max": backfill.run_count_max,
            "count": len(backfill.instants),
            "skipped_count": backfill.skipped_count,
        },
        payloads={"reason": reason},
        origin=principal.origin,
    )
