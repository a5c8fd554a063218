"""Making up for the instants of backfills, a few at a time. Read `advance_backfills`."""

from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction

from core.kernel import limits
from core.kernel.errors import PlatformError
from core.kernel.types import Json
from core.toolkit.db import after_commit_once
from engine import starting
from engine.domain.triggers import ScheduleTrigger
from engine.models import Workflow
from engine.triggers import occurrences, rows, scheduling
from engine.triggers.firing import hint_firings
from engine.triggers.occurrences import OpenBackfill
from engine.triggers.recording import record
from engine.triggers.rows import LiveTrigger

log = structlog.get_logger(__name__)


def advance_backfills() -> int:
    """Pull the next instants of every backfill that goes on; return how many were pulled.

    So many that as many runs are open as may be. One that has come to its end, or whose schedule is
    gone, is ended and on record.
    Transaction: one for each backfill; locks the workflow, then the backfill.
    """
    found = occurrences.list_open(limit=limits.SWEEP_ROW_COUNT_MAX)
    return sum(_advance_safely(backfill_id, workflow_id) for backfill_id, workflow_id in found)


def _advance_safely(backfill_id: UUID, workflow_id: UUID) -> int:
    """Advance one; what is wrong with it keeps no other from its turn."""
    try:
        with transaction.atomic():
            Workflow.objects.select_for_update(no_key=True).get(pk=workflow_id)
            backfill = occurrences.lock(backfill_id=backfill_id)
            return 0 if backfill is None else _advance(backfill, workflow_id)
    except (PlatformError, DatabaseError):
        log.exception("engine.backfill_failed", backfill=str(backfill_id))
        connection.close_if_unusable_or_obsolete()
        return 0


def _advance(backfill: OpenBackfill, workflow_id: UUID) -> int:
    live = rows.lock_live(workflow_id=workflow_id, name=backfill.name)
    trigger = _schedule_of(live)
    if live is None or trigger is None:
        _end(backfill, workflow_id, why="trigger_gone")
        return 0
    open_count = occurrences.count_open(backfill_id=backfill.id)
    free = max(0, backfill.run_count_max - open_count)
    pulled = occurrences.take(backfill_id=backfill.id, limit=free)
    for item in pulled:
        heard = scheduling.heard_of(trigger, due_at=item.due_at, backfill_id=backfill.id)
        source: dict[str, Json] = {**backfill.source, "occurrence": str(item.id)}
        rows.add(trigger_id=live.id, heard=[heard], source=source)
    if pulled:
        after_commit_once(hint_firings)
    elif free and not open_count:
        _end(backfill, workflow_id, why="done")
    return len(pulled)


def _schedule_of(live: LiveTrigger | None) -> ScheduleTrigger | None:
    if live is None:
        return None
    chosen = starting.find_chosen(version_id=live.version_id)
    assert chosen is not None, "versions are never deleted"
    trigger = chosen.plan().automatic[live.position]
    return trigger if isinstance(trigger, ScheduleTrigger) else None


def _end(backfill: OpenBackfill, workflow_id: UUID, *, why: str) -> None:
    cancelled = occurrences.end(backfill_id=backfill.id, is_cancelled=why != "done")
    record(
        workflow_id=workflow_id,
        version="",
        kind="backfill.ended",
        data={
            "backfill": str(backfill.id),
            "name": backfill.name,
            "why": why,
            "cancelled_count": cancelled,
        },
    )
