"""How backfills go. Read `list_backfills`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core.identity.domain.principal import Principal
from engine.domain.errors import BackfillMissingError
from engine.selectors.targets import get_workflow_target

BACKFILL_PAGE_COUNT = 20  # the newest; older ones are on the workflow's record

_LIST = """
    SELECT b.id, b.since, b.until, b.again, b.run_count_max, b.skipped_count, u.username,
        b.created_at, b.ended_at, b.is_cancelled, n.*
    FROM engine_backfill b JOIN identity_user u ON u.id = b.requested_by_id
    CROSS JOIN LATERAL (
        SELECT count(*),
            count(*) FILTER (WHERE o.status IN ('waiting', 'pulled')),
            count(*) FILTER (WHERE o.status = 'started' AND r.status <> 'CLOSED'),
            count(*) FILTER (WHERE r.status = 'CLOSED' AND r.outcome = 'succeeded'),
            count(*) FILTER (WHERE r.status = 'CLOSED' AND r.outcome <> 'succeeded'),
            count(*) FILTER (WHERE o.status = 'refused'),
            count(*) FILTER (WHERE o.status = 'cancelled')
        FROM engine_occurrence o LEFT JOIN engine_run r ON r.id = o.run_id
        WHERE o.backfill_id = b.id) n
    WHERE b.workflow_id = %s AND b.name = %s AND (%s::uuid IS NULL OR b.id = %s)
    ORDER BY b.id DESC LIMIT %s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillView:
    """A backfill and how far it has come. Of `total_count` instants each is in one other count."""

    id: UUID
    since: datetime
    until: datetime
    again: bool
    run_count_max: int
    skipped_count: int
    requested_by: str
    created_at: datetime
    ended_at: datetime | None
    is_cancelled: bool
    total_count: int
    waiting_count: int
    open_count: int
    succeeded_count: int
    failed_count: int
    refused_count: int
    cancelled_count: int


def list_backfills(
    *, principal: Principal, project_slug: str, workflow_slug: str, name: str
) -> list[BackfillView]:
    """Return the newest backfills of a trigger, newest first. Raises: WorkflowMissingError."""
    return _list(principal, project_slug, workflow_slug, name, None)


def get_backfill(
    *, principal: Principal, project_slug: str, workflow_slug: str, name: str, backfill_id: UUID
) -> BackfillView:
    """Return one backfill. Raises: WorkflowMissingError, BackfillMissingError."""
    found = _list(principal, project_slug, workflow_slug, name, backfill_id)
    if not found:
        raise BackfillMissingError(backfill=str(backfill_id))
    return found[0]


def _list(
    principal: Principal, project: str, workflow: str, name: str, backfill_id: UUID | None
) -> list[BackfillView]:
    target = get_workflow_target(principal=principal, project_slug=project, workflow_slug=workflow)
    place = (target.workflow_id, name, backfill_id, backfill_id, BACKFILL_PAGE_COUNT)
    with connection.cursor() as cursor:
        cursor.execute(_LIST, place)
        names = BackfillView.__dataclass_fields__
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [BackfillView(**dict(zip(names, row, strict=True))) for row in rows]
