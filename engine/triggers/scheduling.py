"""Pulling the triggers of schedules that are due. Read `sweep_triggers`."""

from datetime import datetime

import structlog
from django.db import transaction

from core.kernel import limits
from core.kernel.types import Json, JsonLike
from engine import starting
from engine.domain.schedules import Due, find_due, find_zone
from engine.domain.triggers import ScheduleTrigger
from engine.triggers import firing, rows
from engine.triggers.rows import DueSchedule

log = structlog.get_logger(__name__)

SCHEDULE_TYPE = "schedule"  # `event.type` of what the clock says


def sweep_triggers() -> int:
    """Pull the schedules that are due, and tell workers of what waits; return how many moved."""
    count = pull_due()
    if rows.has_due():
        firing.hint_firings()
    return count


def pull_due() -> int:
    """Pull the schedules that are due, the most overdue first; return how many triggers moved.

    Any number of processes may do this at once; each takes other rows.
    Transaction: one for each batch of `limits.SWEEP_ROW_COUNT_MAX`, until fewer are due.
    """
    count = 0
    while True:
        with transaction.atomic():
            found = rows.take_schedules(limit=limits.SWEEP_ROW_COUNT_MAX)
            for item in found:
                _pull(item)
        count += len(found)
        if len(found) < limits.SWEEP_ROW_COUNT_MAX:
            return count


def heard_of(trigger: ScheduleTrigger, *, due_at: datetime) -> dict[str, Json]:
    """Return what expressions see as `event` when a schedule is due."""
    zone = find_zone(trigger.timezone)
    assert zone is not None, "checked when the definition was published"
    data: dict[str, Json] = {
        "due_at": _text(due_at),
        "local": due_at.astimezone(zone).isoformat(),
    }
    return {"type": SCHEDULE_TYPE, "data": data}


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _pull(item: DueSchedule) -> None:
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
    if due.skipped_count:
        _note_skipped(item, due, version=chosen.version_digest)


def _note_skipped(item: DueSchedule, due: Due, *, version: str) -> None:
    data: dict[str, JsonLike] = {
        "position": item.position,
        "skipped_count": due.skipped_count,
        "since": _text(item.next_at),
    }
    firing.record(workflow_id=item.workflow_id, version=version, kind="trigger.skipped", data=data)
    log.warning("engine.schedule_skipped", workflow=str(item.workflow_id), **data)
