"""What a run's values were copied to, and how the copies go. Read `RunHolder`.

Raw SQL over many tables, each of which has another writer: an erasure is the one thing that touches
them all, in one place, so that a new copy has one place to be added to. What took values from a
run is found in the ledger: who called it, went on from it, ran it again, or heard or used again
what it gave.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from audit.domain.errors import RedactionTooLargeError
from audit.domain.redaction import REDACTED_TITLE, Member, Part
from core.kernel import limits
from core.toolkit import realtime
from core.toolkit.db import fetch_rows
from engine import loading
from engine.domain.events import UNFOLDED_PAYLOADS

# Runs that cannot be read without each other: a child's outputs are in its parent's record, a
# rerun's first entry holds its origin's results. Both ways, however far.
_FAMILY = """
    WITH RECURSIVE family (id) AS (
        SELECT unnest(%s::uuid[])
        UNION
        SELECT n.id FROM family f CROSS JOIN LATERAL (
            SELECT r.id FROM engine_run r WHERE r.parent_id = f.id
            UNION ALL SELECT r.id FROM engine_run r WHERE r.predecessor_id = f.id
            UNION ALL SELECT r.parent_id FROM engine_run r WHERE r.id = f.id
            UNION ALL SELECT r.predecessor_id FROM engine_run r WHERE r.id = f.id
            UNION ALL SELECT l.run_id FROM engine_lineage l WHERE l.origin_id = f.id
            UNION ALL SELECT l.origin_id FROM engine_lineage l WHERE l.run_id = f.id) AS n
        WHERE n.id IS NOT NULL)
    SELECT id FROM family LIMIT %s"""

# What runs sent or heard, by its id.
_EVENTS = """
    SELECT DISTINCT convert_from(body, 'UTF8')::jsonb #>> '{data,event}' FROM audit_entry
    WHERE stream = ANY(%s::uuid[]) AND kind = ANY(%s::text[])"""

# Runs that began with, heard or used again what others gave: their entries name it in the bytes.
_TOLD = """
    SELECT DISTINCT e.stream FROM audit_entry e
    WHERE e.kind = ANY('{run.started,event.received,step.reused}'::text[])
      AND e.id > (SELECT min(id) FROM audit_entry WHERE stream = ANY(%s::uuid[]) AND seq = 1)
      AND EXISTS (SELECT 1 FROM unnest(%s::text[]) AS n (id)
                  WHERE position(convert_to(n.id, 'UTF8') IN e.body) > 0)
    LIMIT %s"""

_MEMBERS = """
    SELECT r.id, r.number, r.status, w.scope_id, w.project_id, w.id, r.on_behalf_of_id, u.person_id,
        r.rerunner_id, r.agent_owner_id
    FROM engine_run r JOIN engine_workflow w ON w.id = r.workflow_id
    JOIN identity_user u ON u.id = r.initiator_id
    WHERE r.id = ANY(%s::uuid[]) ORDER BY r.id"""

_LOCK = "SELECT id FROM engine_run WHERE id = %s::uuid FOR NO KEY UPDATE"

_DUE = """
    SELECT r.id FROM engine_run r JOIN engine_workflow w ON w.id = r.workflow_id
    WHERE w.project_id = %s::uuid AND r.status = 'CLOSED' AND r.closed_at < %s::timestamptz
      AND (%s::uuid IS NULL OR r.id > %s::uuid)
      AND NOT EXISTS (SELECT 1 FROM audit_redacted_stream s
                      WHERE s.stream = r.id AND s.part = %s::text)
    ORDER BY r.id LIMIT %s"""

# Each by the table it changes; `%(run)s` is the run, `%(events)s` what it sent and heard.
_COPIES: Mapping[str, str] = {
    "engine_task": "DELETE FROM engine_task WHERE run_id = %(run)s::uuid",
    "engine_cache": "DELETE FROM engine_cache WHERE run_id = %(run)s::uuid",
    "engine_wait": "DELETE FROM engine_wait WHERE run_id = %(run)s::uuid",
    "engine_delivery": """
        DELETE FROM engine_delivery WHERE run_id = %(run)s::uuid
           OR event_id = ANY(%(events)s::uuid[])
           OR event_id IN (SELECT id FROM engine_inbox WHERE run_id = %(run)s::uuid)""",
    "engine_inbox": """
        DELETE FROM engine_inbox
        WHERE run_id = %(run)s::uuid OR id = ANY(%(events)s::uuid[])""",
    "engine_firing": """
        DELETE FROM engine_firing WHERE source ->> 'run' = %(run)s::text
           OR heard ->> 'id' = ANY(%(events)s::text[])""",
    "engine_worker": """
        UPDATE engine_worker w SET hung = coalesce((
            SELECT jsonb_agg(h) FROM jsonb_array_elements(w.hung) h
            WHERE h ->> 'run' <> %(run)s::text), '[]'::jsonb)
        WHERE w.hung @> jsonb_build_array(jsonb_build_object('run', %(run)s::text))""",
    "engine_run": """
        UPDATE engine_run SET title = %(title)s, snapshot = NULL, snapshot_seq = 0,
            concurrency_key = '', request_digest = sha256(id::text::bytea),
            redacted_at = coalesce(redacted_at, clock_timestamp())
        WHERE id = %(run)s::uuid AND (redacted_at IS NULL OR title <> %(title)s)""",
}


class RunHolder:
    """What holds copies of runs' values; see `audit.registry.Holder`."""

    def find_members(self, *, stream: UUID) -> Sequence[Member] | None:
        """Return a run with every other that took values from it. Raises: RedactionTooLargeError.

        It looks through what began or was heard since the run did: seconds in a large ledger.
        """
        found = _list_family([stream])
        if not _list_members(found):
            return None
        while True:
            names = [str(run_id) for run_id in found] + _list_events(found, ("event.emitted",))
            told = [row[0] for row in fetch_rows(_TOLD, (found, names, _count_max()))]
            after = _list_family([*found, *told])
            if len(after) == len(found):
                return _list_members(found)
            found = after

    def find_family(self, *, stream: UUID) -> Sequence[Member]:
        """Return a run with those that cannot be read without it."""
        return _list_members(_list_family([stream]))

    def list_related(self, *, run_ids: Collection[UUID]) -> Sequence[Member]:
        """Return nothing: runs belong to no run."""
        del run_ids
        return ()

    def lock(self, *, stream: UUID) -> Member | None:
        """Return a run as it is now, locked. Transaction: needs one."""
        assert connection.in_atomic_block, "a lock outside a transaction holds nothing"
        fetch_rows(_LOCK, (stream,))
        return next(iter(_list_members([stream])), None)

    def erase(
        self, *, stream: UUID, seq: int = 0, names: Collection[str] = ()
    ) -> Mapping[str, int]:
        """Erase every copy of a run's values outside the ledger; open pages ask again.

        Of what nothing is made but a line on a page there is none.
        """
        del seq
        if names and set(names) <= UNFOLDED_PAYLOADS:
            return {}
        events = _list_events([stream], ("event.emitted", "event.received", "event.addressed"))
        params: dict[str, Any] = {"run": str(stream), "events": events, "title": REDACTED_TITLE}
        counts = {}
        with connection.cursor() as cursor:
            for table, statement in _COPIES.items():
                cursor.execute(statement, params)
                counts[table] = int(cursor.rowcount)
        loading.forget_state(run_id=stream)
        signal: dict[str, str | int] = {"run": str(stream)}
        realtime.publish_on_commit(groups=[f"run.{stream.hex}"], signal=signal)
        return {table: count for table, count in counts.items() if count}

    def erase_person(self, *, person_id: UUID) -> Mapping[str, int]:
        """Erase nothing: what people wrote about runs is in the ledger only."""
        del person_id
        return {}

    def list_due(
        self, *, project_id: UUID, part: Part, before: datetime, after: UUID | None, limit: int
    ) -> Sequence[UUID]:
        """Return runs of a project that closed before an instant, by id, after one."""
        if part is Part.REQUESTS:
            return ()
        return [
            row[0]
            for row in fetch_rows(_DUE, (project_id, before, after, after, part.value, limit))
        ]


def _list_family(run_ids: Sequence[UUID]) -> list[UUID]:
    rows = fetch_rows(_FAMILY, (list(run_ids), _count_max() + 1))
    if len(rows) > _count_max():
        raise RedactionTooLargeError(
            f"More than {_count_max()} runs took values from each other; erase by entry instead.",
            count_max=_count_max(),
        )
    return sorted(row[0] for row in rows)


def _list_events(run_ids: Sequence[UUID], kinds: Sequence[str]) -> list[str]:
    return [row[0] for row in fetch_rows(_EVENTS, (list(run_ids), list(kinds))) if row[0]]


def _list_members(run_ids: Sequence[UUID]) -> list[Member]:
    return [_member(row) for row in fetch_rows(_MEMBERS, (list(run_ids),))]


def _member(row: Sequence[Any]) -> Member:
    run_id, number, status, scope_id, project_id, workflow_id, behalf_id, person_id, *others = row
    return Member(
        noun="run",
        stream=run_id,
        label=f"run {number}",
        open_words="" if status == "CLOSED" else f"run {number} is not closed",
        scope_id=scope_id,
        project_id=project_id,
        workflow_id=workflow_id,
        run_id=run_id,
        person_ids=frozenset({person_id, behalf_id, *others} - {None}),
    )


def _count_max() -> int:
    return limits.REDACTION_STREAM_COUNT_MAX
