"""Pulling the triggers of schedules that are due. Read `sweep_triggers`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from core.kernel import limits
from core.kernel.types import Json, JsonLike
from engine import starting
from engine.domain.schedules import find_due, find_zone
from engine.domain.triggers import ScheduleTrigger
from engine.triggers import firing, rows
from engine.triggers.recording import record
from engine.triggers.rows import DueSchedule

log = structlog.get_logger(__name__)

SCHEDULE_TYPE = "schedule"  # `event.type` of what the clock says


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skipped:
    """Instants of a schedule that nobody makes up for."""

    workflow_id: UUID
    version: str
    position: int
    count: int
    since: datetime


def sweep_triggers() -> int:
    """Pull the schedules that are due, and tell workers of what waits; return how many moved."""
    count = pull_due()
    if rows.has_due():
        firing.hint_firings()
    return count


def pull_due() -> int:
    """Pull the schedules that are due, the most overdue first; return how many triggers moved.

    Any number of processes may do this at once; each takes other rows. One that cannot be looked
    at keeps no other from its turn.
    Transaction: one for each batch of `limits.SWEEP_ROW_COUNT_MAX`, until fewer are due, and one
    for each note of instants that are skipped: who publishes locks the workflow first, and then
    its triggers.
    """
    count = 0
    while True:
        notes: list[_Skipped] = []
        with transaction.atomic():
            found = rows.take_schedules(limit=limits.SWEEP_ROW_COUNT_MAX)
            for item in found:
                note = _pull_safely(item)
                notes += [note] if note else []
        for note in sorted(notes, key=lambda item: item.workflow_id):
            _record(note)
        count += len(found)
        if len(found) < limits.SWEEP_ROW_COUNT_MAX:
            return count


def heard_of(
    trigger: ScheduleTrigger, *, due_at: datetime, backfill_id: UUID | None = None
) -> dict[str, Json]:
    """Return what expressions see as `event` when a schedule is due, or was and is made up for."""
    zone = find_zone(trigger.timezone)
    assert zone is not None, "checked when the definition was published"
    data: dict[str, Json] = {
        "due_at": _text(due_at),
        "local": due_at.astimezone(zone).isoformat(),
    }
    if backfill_id is not None:
        data["backfill"] = str(backfill_id)
    return {"type": SCHEDULE_TYPE, "data": data}


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _pull_safely(item: DueSchedule) -> _Skipped | None:
    try:
        with transaction.atomic():
            return _pull(item)
    except Exception:  # the edge between schedules: the others are due as well
        log.exception("engine.schedule_failed", trigger=str(item.trigger_id))
        rows.set_next(trigger_id=item.trigger_id, next_at=item.now + limits.SCHEDULE_RETRY_DELAY)
        return None


def _pull(item: DueSchedule) -> _Skipped | None:
    chosen = starting.find_chosen(version_id=item.version_id)
    assert chosen is not None, "versions are never deleted"
    trigger = chosen.plan().automatic[item.position]
    assert isinstance(trigger, ScheduleTrigger), "only schedules have a next instant"
    due = find_due(trigger.schedule, next_at=item.next_at, now=item.now)
    if due.instants:
        rows.add(
            trigger_id=item.trigger_id,
            heard=[heard_of(trigger, due_at=instant) for instant in due.instants],
        )
    rows.set_next(trigger_id=item.trigger_id, next_at=due.next_at)
    if not due.skipped_count:
        return None
    return _Skipped(
        workflow_id=item.workflow_id,
        version=chosen.version_digest,
        position=item.position,
        count=due.skipped_count,
        since=item.next_at,
    )


def _record(skipped: _Skipped) -> None:
    data: dict[str, JsonLike] = {
        "position": skipped.position,
        "skipped_count": skipped.count,
        "since": _text(skipped.since),
    }
    log.warning("engine.schedule_skipped", workflow=str(skipped.workflow_id), **data)
    with transaction.atomic():
        record(
            workflow_id=skipped.workflow_id,
            version=skipped.version,
            kind="trigger.skipped",
            data=data,
        )
