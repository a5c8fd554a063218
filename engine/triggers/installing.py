"""Which triggers of a workflow are live: those of the version published last. Read `install`."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import connection

from core.kernel.errors import PlatformError
from core.toolkit.db import read_database_clock, require_transaction
from engine import loading
from engine.domain.plan import Plan
from engine.domain.schedules import Schedule, next_due
from engine.domain.triggers import (
    AutomaticTrigger,
    EventTrigger,
    FinishTrigger,
    ScheduleTrigger,
    name_triggers,
)
from engine.triggers import rows

log = structlog.get_logger(__name__)

_IS_NEWEST = """
    SELECT NOT EXISTS (SELECT 1 FROM engine_version
                       WHERE workflow_id = %s AND status = 'published' AND rev > %s)"""


def install(*, workflow_id: UUID, project_id: UUID, version_id: UUID, rev: int, plan: Plan) -> None:
    """Let the triggers of a version that is being published start its runs from now on.

    Runs start from the newest published version, and so do triggers: publishing an older one
    changes none. A schedule that stays the same keeps its next instant, so that what it missed is
    not forgotten. What has been pulled already is looked at with the version it was pulled for.
    Transaction: that of publishing, which has locked the workflow.
    """
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute(_IS_NEWEST, (workflow_id, rev))
        if not cursor.fetchone()[0]:
            return
    now = read_database_clock()
    known = _known_schedules(workflow_id)
    paused = rows.list_paused(workflow_id=workflow_id)
    new = [
        _make(
            trigger,
            position=position,
            now=now,
            known=known,
            name=name,
            paused_at=paused.get((trigger.kind.value, name)),
        )
        for position, (trigger, name) in enumerate(
            zip(plan.automatic, name_triggers(plan.automatic), strict=True)
        )
    ]
    if new or known or rows.has_live(workflow_id=workflow_id):
        rows.replace(
            workflow_id=workflow_id, version_id=version_id, project_id=project_id, triggers=new
        )


def _make(
    trigger: AutomaticTrigger,
    *,
    position: int,
    now: datetime,
    known: dict[tuple[str, str], datetime],
    name: str,
    paused_at: datetime | None,
) -> rows.NewTrigger:
    next_at: datetime | None = None
    if isinstance(trigger, ScheduleTrigger) and paused_at is None:
        kept = known.get(_key(trigger.schedule))
        next_at = kept if kept is not None else next_due(trigger.schedule, after=now)
    return rows.NewTrigger(
        position=position,
        kind=trigger.kind.value,
        type=_type_of(trigger),
        name=name,
        next_at=next_at,
        paused_at=paused_at,
    )


def _type_of(trigger: AutomaticTrigger) -> str:
    """Return by what a trigger is found when something happens."""
    if isinstance(trigger, FinishTrigger):
        return trigger.workflow
    return trigger.type if isinstance(trigger, EventTrigger) else ""


def _known_schedules(workflow_id: UUID) -> dict[tuple[str, str], datetime]:
    found: dict[tuple[str, str], datetime] = {}
    for version_id, position, next_at in rows.list_schedules(workflow_id=workflow_id):
        try:
            plan = loading.get_rules(version_id=version_id).decider.plan
        except (PlatformError, LookupError, TypeError, ValueError):
            # A version that cannot be read any more must not keep the one that mends it out.
            log.exception("engine.triggers_unreadable", version=str(version_id))
            continue
        trigger = plan.automatic[position]
        assert isinstance(trigger, ScheduleTrigger), "only schedules have a next instant"
        found[_key(trigger.schedule)] = next_at
    return found


def _key(schedule: Schedule) -> tuple[str, str]:
    return schedule.cron, schedule.timezone
