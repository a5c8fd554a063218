"""The only writer of pauses: of workflows, and of whole projects. Raw SQL, short."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from core.kernel import ids
from core.toolkit.db import fetch_rows, require_transaction

_ADD = """
    INSERT INTO engine_pause (id, project_id, workflow_id, reason, paused_at, paused_by_id)
    VALUES (%s::uuid, %s::uuid, %s::uuid, %s::text, clock_timestamp(), %s::uuid)
    ON CONFLICT (project_id, workflow_id) DO NOTHING"""

_END = """
    DELETE FROM engine_pause
    WHERE project_id = %s::uuid AND workflow_id IS NOT DISTINCT FROM %s::uuid
    RETURNING id"""

# That of the project before that of the workflow: it is what has to end first.
_FIND = """
    SELECT p.workflow_id, p.reason, p.paused_at, u.username
    FROM engine_pause p JOIN identity_user u ON u.id = p.paused_by_id
    WHERE p.project_id = %s::uuid AND (p.workflow_id IS NULL OR p.workflow_id = %s::uuid)
    ORDER BY p.workflow_id NULLS FIRST"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A pause: of a project if there is no `workflow_id`."""

    workflow_id: UUID | None
    reason: str
    paused_at: datetime
    paused_by: str


def begin(
    *,
    project_id: UUID,
    workflow_id: UUID | None,
    reason: str,
    user_id: UUID,
) -> bool:
    """Pause a workflow, or (`None`) its project. `False`: it is paused. Transaction: needs one."""
    require_transaction()
    params = (ids.uuid7(), project_id, workflow_id, reason, user_id)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, params)
        return bool(cursor.rowcount == 1)


def end(*, project_id: UUID, workflow_id: UUID | None) -> bool:
    """End a pause. `False`: there was none. Transaction: needs one."""
    require_transaction()
    return bool(fetch_rows(_END, (project_id, workflow_id)))


def list_pauses(*, project_id: UUID, workflow_id: UUID | None = None) -> list[Paused]:
    """Return what is paused of a project, and of one of its workflows if it is named."""
    return [
        Paused(workflow_id=row[0], reason=row[1], paused_at=row[2], paused_by=row[3])
        for row in fetch_rows(_FIND, (project_id, workflow_id))
    ]
