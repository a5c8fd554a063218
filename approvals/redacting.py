"""What a request's values were copied to, and how the copies go. Read `RequestHolder`.

Votes stay as they are: who decided what, when and under which name is why they are kept. So does
the digest of what was shown, which every vote and entry names.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from audit.domain.redaction import PERSONAL_NAMES, REDACTED_TITLE, Member, Part
from core.toolkit import realtime
from core.toolkit.db import fetch_rows

_COLUMNS = """q.id, q.number, q.status, q.scope_id, p.id, w.id, q.run_id, q.requester_person_id"""
_FROM = """
    FROM approvals_request q JOIN identity_project p ON p.scope_id = q.project_scope_id
    LEFT JOIN engine_workflow w ON w.scope_id = q.scope_id"""

_BY_ID = f"SELECT {_COLUMNS} {_FROM} WHERE q.id = %s::uuid"
_BY_RUN = f"SELECT {_COLUMNS} {_FROM} WHERE q.run_id = ANY(%s::uuid[]) ORDER BY q.id"

_LOCK_RUN = """
    SELECT r.id FROM engine_run r JOIN approvals_request q ON q.run_id = r.id
    WHERE q.id = %s::uuid FOR NO KEY UPDATE OF r"""
_LOCK = "SELECT id FROM approvals_request WHERE id = %s::uuid FOR NO KEY UPDATE"

_DUE = """
    SELECT q.id FROM approvals_request q JOIN identity_project p ON p.scope_id = q.project_scope_id
    LEFT JOIN engine_run r ON r.id = q.run_id
    WHERE p.id = %s::uuid AND q.status = 'closed' AND q.closed_at < %s::timestamptz
      AND (r.id IS NULL OR r.closed_at < %s::timestamptz)
      AND (%s::uuid IS NULL OR q.id > %s::uuid)
      AND NOT EXISTS (SELECT 1 FROM audit_redacted_stream s
                      WHERE s.stream = q.id AND s.part = %s::text)
    ORDER BY q.id LIMIT %s"""

_PERSONS = """
    SELECT DISTINCT person_id FROM approvals_vote WHERE request_id = %s::uuid"""

_COMMENT_AT = """
    DELETE FROM approvals_comment c USING approvals_vote v
    WHERE v.id = c.vote_id AND v.request_id = %s::uuid AND (%s::bigint = 0 OR v.seq = %s::bigint)"""

# But for those that a legal hold keeps: the same holds as those of `_member`.
_COMMENTS_OF = """
    DELETE FROM approvals_comment c USING approvals_vote v, approvals_request q
    WHERE v.id = c.vote_id AND q.id = v.request_id AND q.status = 'closed'
      AND v.person_id = %s::uuid
      AND NOT EXISTS (
        SELECT 1 FROM audit_hold h
        LEFT JOIN identity_project p ON h.kind = 'project' AND p.id = h.target_id
        LEFT JOIN engine_workflow w ON h.kind = 'workflow' AND w.id = h.target_id
        WHERE h.released_at IS NULL AND (
            p.scope_id = q.project_scope_id OR w.scope_id = q.scope_id
            OR (h.kind = 'run' AND h.target_id = q.run_id)
            OR (h.kind = 'person' AND (h.target_id = q.requester_person_id OR EXISTS (
                SELECT 1 FROM approvals_vote o
                WHERE o.request_id = q.id AND o.person_id = h.target_id)))))"""

_COPIES: Mapping[str, str] = {
    "approvals_comment": """
        DELETE FROM approvals_comment c USING approvals_vote v
        WHERE v.id = c.vote_id AND v.request_id = %(request)s::uuid""",
    "approvals_exclusion": """
        UPDATE approvals_exclusion SET error = ''
        WHERE request_id = %(request)s::uuid AND error <> ''""",
    "approvals_outbox": """
        UPDATE approvals_outbox SET facts = '{}'::jsonb, last_error = '',
            status = CASE status WHEN 'pending' THEN 'dropped' ELSE status END
        WHERE (facts <> '{}'::jsonb OR last_error <> '' OR status = 'pending')
          AND (request_id = %(request)s::uuid
               OR run_id = (SELECT run_id FROM approvals_request WHERE id = %(request)s::uuid))""",
    "approvals_request": """
        UPDATE approvals_request SET title = %(title)s, run_title = '', variables = '{}'::jsonb,
            notes = '[]'::jsonb, subject = '{}'::jsonb, form_schema = NULL, form_values = NULL,
            amount_value = NULL, amount_currency = '', if_approved = '', if_rejected = '',
            confirm = '', redacted_at = coalesce(redacted_at, clock_timestamp())
        WHERE id = %(request)s::uuid AND (redacted_at IS NULL OR title <> %(title)s)""",
}


class RequestHolder:
    """What holds copies of requests' values; see `audit.registry.Holder`."""

    def find_members(self, *, stream: UUID) -> Sequence[Member] | None:
        """Return a request, or `None`. Its form values went to its run: order that as well."""
        return self._read(stream) or None

    def find_family(self, *, stream: UUID) -> Sequence[Member]:
        """Return a request."""
        return self._read(stream)

    def list_related(self, *, run_ids: Collection[UUID]) -> Sequence[Member]:
        """Return the requests of runs."""
        return [_member(row) for row in fetch_rows(_BY_RUN, (list(run_ids),))]

    def lock(self, *, stream: UUID) -> Member | None:
        """Return a request as it is now, locked after its run. Transaction: needs one."""
        assert connection.in_atomic_block, "a lock outside a transaction holds nothing"
        fetch_rows(_LOCK_RUN, (stream,))
        fetch_rows(_LOCK, (stream,))
        return next(iter(self._read(stream)), None)

    def erase(
        self, *, stream: UUID, seq: int = 0, names: Collection[str] = ()
    ) -> Mapping[str, int]:
        """Erase every copy of what a request showed and was told; open pages ask again.

        Of what a person wrote with a vote only that goes.
        """
        if names and set(names) <= set(PERSONAL_NAMES):
            with connection.cursor() as cursor:
                cursor.execute(_COMMENT_AT, (stream, seq, seq))
                count = int(cursor.rowcount)
            return {"approvals_comment": count} if count else {}
        counts = {}
        params = {"request": str(stream), "title": REDACTED_TITLE}
        with connection.cursor() as cursor:
            for table, statement in _COPIES.items():
                cursor.execute(statement, params)
                counts[table] = int(cursor.rowcount)
        member = next(iter(self._read(stream)), None)
        if member is not None and member.run_id is not None:
            signal: dict[str, str | int] = {"request": str(stream)}
            realtime.publish_on_commit(groups=[f"run.{member.run_id.hex}"], signal=signal)
        return {table: count for table, count in counts.items() if count}

    def erase_person(self, *, person_id: UUID) -> Mapping[str, int]:
        """Erase the comments of a person on requests that are closed and that no hold keeps."""
        with connection.cursor() as cursor:
            cursor.execute(_COMMENTS_OF, (person_id,))
            count = int(cursor.rowcount)
        return {"approvals_comment": count} if count else {}

    def list_due(
        self, *, project_id: UUID, part: Part, before: datetime, after: UUID | None, limit: int
    ) -> Sequence[UUID]:
        """Return requests of a project that closed before an instant, by id, after one."""
        if part is Part.RUNS:
            return ()
        params = (project_id, before, before, after, after, part.value, limit)
        return [row[0] for row in fetch_rows(_DUE, params)]

    def _read(self, request_id: UUID) -> list[Member]:
        return [_member(row) for row in fetch_rows(_BY_ID, (request_id,))]


def _member(row: Sequence[Any]) -> Member:
    request_id, number, status, scope_id, project_id, workflow_id, run_id, person_id = row
    voters = {item[0] for item in fetch_rows(_PERSONS, (request_id,))}
    return Member(
        noun="request",
        stream=request_id,
        label=f"request A-{number}",
        open_words="" if status == "closed" else f"request A-{number} is not closed",
        scope_id=scope_id,
        project_id=project_id,
        workflow_id=workflow_id,
        run_id=run_id,
        person_ids=frozenset({person_id, *voters}),
    )
