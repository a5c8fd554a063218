"""The only writer of endpoints, and the only reader of their secrets. Read `find`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import ids
from core.toolkit.db import fetch_rows, require_transaction
from core.toolkit.sealing import seal, unseal

# Every delivery asks this. An endpoint without its live trigger is none.
_FIND = """
    SELECT t.id, t.version_id, t.workflow_id, t.position, t.name, t.paused_at IS NOT NULL,
        v.digest, e.id, e.made_by_id, e.sealed, e.previous_made_by_id,
        CASE WHEN e.previous_ends_at > clock_timestamp() THEN e.previous_sealed ELSE '' END,
        clock_timestamp()
    FROM identity_project p
    JOIN engine_workflow w ON w.project_id = p.id
    JOIN engine_trigger t ON t.workflow_id = w.id
    JOIN engine_version v ON v.id = t.version_id
    JOIN engine_endpoint e ON e.workflow_id = w.id AND e.name = t.name
    WHERE p.slug = %s AND w.slug = %s AND w.archived_at IS NULL
      AND t.kind = 'webhook' AND t.name = %s AND t.ended_at IS NULL"""

# Locked by `FOR UPDATE`: two who make a secret at once make one after the other.
_LOCK = """
    SELECT id, sealed, made_by_id FROM engine_endpoint
    WHERE workflow_id = %s AND name = %s FOR UPDATE"""

_INSERT = """
    INSERT INTO engine_endpoint (id, workflow_id, name, sealed, made_by_id, made_at)
    VALUES (%s, %s, %s, %s, %s, clock_timestamp())"""

_ROTATE = """
    UPDATE engine_endpoint SET sealed = %s, made_by_id = %s, made_at = clock_timestamp(),
        previous_sealed = %s, previous_made_by_id = %s,
        previous_ends_at = clock_timestamp() + make_interval(secs => %s)
    WHERE id = %s RETURNING previous_ends_at"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret that holds now, and the account that made it."""

    text: str
    made_by_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEndpoint:
    """A live webhook with the secrets of its address, the newer first, and the database's clock."""

    trigger_id: UUID
    version_id: UUID
    version_digest: str
    workflow_id: UUID
    position: int
    name: str
    is_paused: bool
    secrets: tuple[Secret, ...]
    now: datetime


def about(endpoint_id: UUID) -> str:
    """Return what an endpoint's secrets are sealed to: its row, not a column of it."""
    return f"engine_endpoint:{endpoint_id}"


def find(*, project_slug: str, workflow_slug: str, name: str) -> FoundEndpoint | None:
    """Return the webhook at an address, `None` if there is none or it has no secret yet.

    Raises:
        UnsealError: the platform's key is not the one its secret was sealed with.
    """
    rows = fetch_rows(_FIND, (project_slug, workflow_slug, name))
    if not rows:
        return None
    row = rows[0]
    return FoundEndpoint(
        trigger_id=row[0],
        version_id=row[1],
        workflow_id=row[2],
        position=row[3],
        name=row[4],
        is_paused=row[5],
        version_digest=bytes(row[6]).hex(),
        secrets=tuple(_open(row)),
        now=row[12],
    )


def put_secret(
    *, workflow_id: UUID, name: str, secret: str, made_by_id: UUID, overlap_seconds: float
) -> datetime | None:
    """Keep a new secret of an address. Transaction: needs one.

    Returns:
        Until when the secret before holds, `None` if there was none.
    """
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, (workflow_id, name))
        row = cursor.fetchone()
        endpoint_id = row[0] if row else ids.uuid7()
        sealed = seal(secret.encode(), about=about(endpoint_id))
        if row is None:
            cursor.execute(_INSERT, (endpoint_id, workflow_id, name, sealed, made_by_id))
            return None
        params = (sealed, made_by_id, row[1], row[2], overlap_seconds, endpoint_id)
        cursor.execute(_ROTATE, params)
        ends_at: datetime = cursor.fetchone()[0]
    return ends_at


def _open(row: tuple[Any, ...]) -> Iterator[Secret]:
    place = about(row[7])
    for sealed, maker in ((row[9], row[8]), (row[11], row[10])):
        if sealed:
            yield Secret(text=unseal(sealed, about=place).decode(), made_by_id=maker)
