"""The only writer of triggers, firings and windows. Raw SQL where it is hot."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import ids, limits
from core.kernel.types import Json
from engine.inbox import read_column

# One statement finds the triggers of an event and pulls them.
_PULL = """
    INSERT INTO engine_firing (id, trigger_id, heard, source, due_at, created_at, attempt_count)
    SELECT gen_random_uuid(), t.id, %s::jsonb, %s::jsonb, clock_timestamp(), clock_timestamp(), 0
    FROM engine_trigger t
    WHERE t.project_id = %s AND t.type = %s AND t.kind = 'event' AND t.ended_at IS NULL
      AND t.paused_at IS NULL"""

_ADD = """
    INSERT INTO engine_firing (id, trigger_id, heard, source, due_at, created_at, attempt_count)
    SELECT f.id, %s::uuid, f.heard::jsonb, %s::jsonb, clock_timestamp(), clock_timestamp(), 0
    FROM unnest(%s::uuid[], %s::text[]) AS f (id, heard)"""

# The workflow may be archived meanwhile; then nothing starts.
_TAKE = """
    SELECT f.id, f.trigger_id, t.version_id, t.workflow_id, t.position, f.heard, f.source,
        f.attempt_count, v.published_by_id, w.archived_at IS NULL, t.name
    FROM engine_firing f
    JOIN engine_trigger t ON t.id = f.trigger_id
    JOIN engine_version v ON v.id = t.version_id
    JOIN engine_workflow w ON w.id = t.workflow_id
    WHERE f.due_at <= clock_timestamp()
    ORDER BY f.due_at, f.id LIMIT 1
    FOR UPDATE OF f SKIP LOCKED"""

_OPEN_WINDOW = """
    INSERT INTO engine_window AS w (workflow_id, value, ends_at)
    VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s))
    ON CONFLICT (workflow_id, value) DO UPDATE SET ends_at = excluded.ends_at
    WHERE w.ends_at <= clock_timestamp()
    RETURNING 1"""

# A schedule of what is paused stays due: its `catch-up` says what becomes of that later.
_TAKE_SCHEDULES = """
    SELECT t.id, t.version_id, t.workflow_id, t.position, t.next_at, clock_timestamp()
    FROM engine_trigger t
    WHERE t.next_at <= clock_timestamp()
      AND NOT EXISTS (SELECT 1 FROM engine_pause p WHERE p.project_id = t.project_id
                      AND (p.workflow_id IS NULL OR p.workflow_id = t.workflow_id))
    ORDER BY t.next_at LIMIT %s
    FOR UPDATE OF t SKIP LOCKED"""

_INSTALL = """
    INSERT INTO engine_trigger
        (id, workflow_id, version_id, project_id, position, kind, type, next_at, name, paused_at,
         created_at, fired_count)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp(), 0)"""

_END = """
    UPDATE engine_trigger SET ended_at = clock_timestamp(), next_at = NULL
    WHERE workflow_id = %s AND ended_at IS NULL"""

_HAS_DUE = "SELECT EXISTS (SELECT 1 FROM engine_firing WHERE due_at <= clock_timestamp())"

_HAS_LIVE = """
    SELECT EXISTS (SELECT 1 FROM engine_trigger WHERE workflow_id = %s AND ended_at IS NULL)"""

_CLEAN = """
    DELETE FROM engine_trigger WHERE id IN (
        SELECT t.id FROM engine_trigger t
        WHERE t.ended_at < clock_timestamp() - make_interval(secs => %s)
          AND NOT EXISTS (SELECT 1 FROM engine_firing f WHERE f.trigger_id = t.id)
        LIMIT %s FOR UPDATE SKIP LOCKED)"""

_CLOSE_WINDOWS = """
    DELETE FROM engine_window WHERE (workflow_id, value) IN (
        SELECT workflow_id, value FROM engine_window WHERE ends_at < clock_timestamp()
        LIMIT %s FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrigger:
    """An automatic trigger to be stored; `next_at` is there for a schedule."""

    position: int
    kind: str
    type: str
    name: str
    next_at: datetime | None
    paused_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFiring:
    """A firing whose row this transaction has locked.

    `source` says who sent the event; it is empty for the clock. `is_live`: the workflow is not
    archived.
    """

    id: UUID
    trigger_id: UUID
    version_id: UUID
    workflow_id: UUID
    position: int
    heard: Json
    source: Mapping[str, Any]
    attempt_count: int
    publisher_id: UUID
    is_live: bool
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSchedule:
    """A schedule whose row this transaction has locked; `now` is the database's clock."""

    trigger_id: UUID
    version_id: UUID
    workflow_id: UUID
    position: int
    next_at: datetime
    now: datetime


def replace(
    *, workflow_id: UUID, version_id: UUID, project_id: UUID, triggers: Sequence[NewTrigger]
) -> None:
    """End a workflow's triggers and store those of another version. Transaction: needs one."""
    with connection.cursor() as cursor:
        cursor.execute(_END, (workflow_id,))
        for item in triggers:
            key = (ids.uuid7(), workflow_id, version_id, project_id)
            place = (item.position, item.kind, item.type, item.next_at, item.name, item.paused_at)
            cursor.execute(_INSTALL, (*key, *place))


def pull(*, project_id: UUID, event_type: str, heard: Json, source: Mapping[str, Json]) -> int:
    """Pull the triggers of a type of event; return how many. Transaction: the event's."""
    with connection.cursor() as cursor:
        cursor.execute(_PULL, (json.dumps(heard), json.dumps(dict(source)), project_id, event_type))
        return int(cursor.rowcount)


def add(
    *, trigger_id: UUID, heard: Sequence[Json], source: Mapping[str, Json] = MappingProxyType({})
) -> None:
    """Pull a trigger once for each thing heard. Transaction: needs one."""
    with connection.cursor() as cursor:
        keys = sorted(ids.uuid7() for _ in heard)  # they are taken in this order
        texts = [json.dumps(item) for item in heard]
        cursor.execute(_ADD, (trigger_id, json.dumps(dict(source)), keys, texts))


def take_next() -> TakenFiring | None:
    """Return the oldest firing that is due, locked, or `None`. Transaction: needs one."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE)
        row = cursor.fetchone()
    if row is None:
        return None
    return TakenFiring(
        id=row[0],
        trigger_id=row[1],
        version_id=row[2],
        workflow_id=row[3],
        position=row[4],
        heard=read_column(row[5]),
        source=read_column(row[6]),
        attempt_count=row[7],
        publisher_id=row[8],
        is_live=row[9],
        name=row[10],
    )


def has_due() -> bool:
    """Say whether a firing is due."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_DUE)
        return bool(cursor.fetchone()[0])


def take_schedules(*, limit: int) -> list[DueSchedule]:
    """Return schedules that are due, locked, the most overdue first. Transaction: needs one."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_SCHEDULES, (limit,))
        return [
            DueSchedule(
                trigger_id=row[0],
                version_id=row[1],
                workflow_id=row[2],
                position=row[3],
                next_at=row[4],
                now=row[5],
            )
            for row in cursor.fetchall()
        ]


def set_next(*, trigger_id: UUID, next_at: datetime | None) -> None:
    """Say when a schedule is due again."""
    _execute("UPDATE engine_trigger SET next_at = %s WHERE id = %s", (next_at, trigger_id))


def open_window(*, workflow_id: UUID, value: bytes, seconds: float) -> bool:
    """Keep events with a value out for a while. `False`: one does already. Transaction: needs one.

    Two that come at once wait for each other here.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_WINDOW, (workflow_id, value, seconds))
        return cursor.fetchone() is not None


def note_fired(*, trigger_id: UUID, run_id: UUID) -> None:
    """Count a run that a trigger started."""
    _execute(
        "UPDATE engine_trigger SET fired_at = clock_timestamp(), fired_count = fired_count + 1, "
        "last_run_id = %s WHERE id = %s",
        (run_id, trigger_id),
    )


def note_refused(*, trigger_id: UUID, seq: int) -> None:
    """Say when a trigger last started nothing, and where its workflow's record says why."""
    _execute(
        "UPDATE engine_trigger SET refused_at = clock_timestamp(), refused_seq = %s WHERE id = %s",
        (seq, trigger_id),
    )


def list_paused(*, workflow_id: UUID) -> dict[tuple[str, str], datetime]:
    """Return since when a workflow's live triggers are paused, by kind and name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, name, paused_at FROM engine_trigger "
            "WHERE workflow_id = %s AND ended_at IS NULL AND paused_at IS NOT NULL",
            (workflow_id,),
        )
        return {(row[0], row[1]): row[2] for row in cursor.fetchall()}


def delete(*, firing_id: UUID) -> bool:
    """Delete a firing that was looked at. `False`: somebody else has."""
    return _execute("DELETE FROM engine_firing WHERE id = %s", (firing_id,)) == 1


def postpone(*, firing_id: UUID, seconds: float, counts: bool) -> None:
    """Try a firing again later; `counts`: this try was one of those it has."""
    _execute(
        "UPDATE engine_firing SET attempt_count = attempt_count + %s, "
        "due_at = clock_timestamp() + make_interval(secs => %s) WHERE id = %s",
        (int(counts), seconds, firing_id),
    )


def hold_back(*, firing_id: UUID) -> None:
    """Try a firing again later that may not start its run now: the later, the older it is."""
    _execute(
        "UPDATE engine_firing SET due_at = clock_timestamp() + least("
        "make_interval(secs => %s), greatest(make_interval(secs => %s), "
        "(clock_timestamp() - created_at) / 4)) WHERE id = %s",
        (limits.HELD_BACK_SECONDS_MAX, limits.HELD_BACK_SECONDS, firing_id),
    )


def bring_forward(*, project_id: UUID, workflow_id: UUID | None) -> int:
    """Let what was held back in a workflow, or (`None`) in its project, be looked at now."""
    return _execute(
        "UPDATE engine_firing f SET due_at = clock_timestamp() FROM engine_trigger t "
        "WHERE t.id = f.trigger_id AND t.project_id = %s AND f.due_at > clock_timestamp() "
        "AND (%s::uuid IS NULL OR t.workflow_id = %s::uuid)",
        (project_id, workflow_id, workflow_id),
    )


def clean() -> int:
    """Delete windows that are over and triggers nobody needs; return how many."""
    limit = limits.SWEEP_ROW_COUNT_MAX
    grace = limits.TRIGGER_GRACE.total_seconds()
    return _execute(_CLOSE_WINDOWS, (limit,)) + _execute(_CLEAN, (grace, limit))


def list_schedules(*, workflow_id: UUID) -> list[tuple[UUID, int, datetime]]:
    """Return version, position and next instant of a workflow's live schedules, locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version_id, position, next_at FROM engine_trigger "
            "WHERE workflow_id = %s AND ended_at IS NULL AND next_at IS NOT NULL FOR UPDATE",
            (workflow_id,),
        )
        return [(row[0], row[1], row[2]) for row in cursor.fetchall()]


def has_live(*, workflow_id: UUID) -> bool:
    """Say whether a workflow has triggers."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_LIVE, (workflow_id,))
        return bool(cursor.fetchone()[0])


def _execute(statement: str, params: tuple[Any, ...]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.rowcount)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTrigger:
    """A live trigger of a workflow, whose row this transaction has locked."""

    id: UUID
    version_id: UUID
    position: int
    kind: str
    paused_at: datetime | None


def lock_live(*, workflow_id: UUID, name: str) -> LiveTrigger | None:
    """Return a workflow's live trigger of a name, locked, or `None`. Transaction: needs one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, version_id, position, kind, paused_at FROM engine_trigger "
            "WHERE workflow_id = %s AND name = %s AND ended_at IS NULL FOR UPDATE",
            (workflow_id, name),
        )
        row = cursor.fetchone()
    if row is None:
        return None
    return LiveTrigger(id=row[0], version_id=row[1], position=row[2], kind=row[3], paused_at=row[4])


def pause(*, trigger_id: UUID) -> None:
    """Let a trigger start nothing from now on."""
    _execute(
        "UPDATE engine_trigger SET paused_at = clock_timestamp(), next_at = NULL WHERE id = %s",
        (trigger_id,),
    )


def resume(*, trigger_id: UUID, next_at: datetime | None) -> None:
    """Let a trigger start runs again; `next_at` is there for a schedule."""
    _execute(
        "UPDATE engine_trigger SET paused_at = NULL, next_at = %s WHERE id = %s",
        (next_at, trigger_id),
    )
