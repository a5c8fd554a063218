"""The only writer of requests and what belongs to them, and raw SQL. Read `append` first.

A request's row is the head of its ledger stream: whatever changes it appends an entry in the same
statement, by compare-and-swap on `seq`. Callers hold the row's lock (and before it the run's).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, Q, Value, When
from psycopg.types.json import Jsonb

from approvals.domain.exclusion import Excluded
from approvals.domain.rule import Asks
from approvals.models import (
    Audience,
    Comment,
    Exclusion,
    Request,
    RequestStatus,
    Round,
    Stage,
    StageStatus,
    Vote,
)
from audit import store as ledger
from audit.domain.entry import BuiltEntry, StreamHead, extend
from core.kernel import ids
from core.kernel.record import Draft

_JSON_COLUMNS = frozenset({"form_values"})

_DUE = """
    SELECT id, run_id FROM approvals_request
    WHERE status = 'open' AND expires_at <= clock_timestamp()
    ORDER BY expires_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"""

# Answered by the constraint that a request has one open stage.
_STAGED = """
    SELECT request_id FROM approvals_stage
    WHERE status = 'open' AND request_id > %s ORDER BY request_id LIMIT %s"""

# The newest of each key from the index, then the newest of those: its cost is that of a page, not
# that of everything that ever was put to a large group.
_ASKED = """
    SELECT DISTINCT a.request_id
    FROM unnest(%s::text[]) AS k (key) CROSS JOIN LATERAL (
        SELECT request_id FROM approvals_audience
        WHERE key = k.key AND is_open AND request_id < %s::uuid
        ORDER BY request_id DESC LIMIT %s::bigint) AS a
    ORDER BY a.request_id DESC LIMIT %s::bigint"""
_AFTER_ALL = UUID(int=2**128 - 1)


def next_number() -> int:
    """Return the next human-readable number of a request."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('approvals_request_number_seq')")
        return int(cursor.fetchone()[0])


def lock_request(*, request_id: UUID) -> Request | None:
    """Return a request, locked until the transaction ends.

    FOR NO KEY UPDATE, because a plain FOR UPDATE would block rows that refer to it.
    Transaction: needs one; lock the request's run first.
    """
    return Request.objects.select_for_update(no_key=True).filter(pk=request_id).first()


def lock_open_requests(
    *, run_id: UUID, asks: Asks, keys: Collection[str] | None = None
) -> list[Request]:
    """Return the open requests of a run in the order of their ids, locked. Lock the run first.

    Args:
        run_id: whose.
        asks: approvals or questions.
        keys: of which steps, `None` for all.
    """
    rows = Request.objects.select_for_update(no_key=True).filter(
        make_asking(asks), run_id=run_id, status=RequestStatus.OPEN
    )
    if keys is not None:
        rows = rows.filter(step_key__in=list(keys))
    return list(rows.order_by("pk"))


def make_asking(asks: Asks) -> Q:
    """Return the condition that a request asks for an approval, or is a question."""
    is_question = Q(kind=Asks.QUESTION.value)
    return is_question if asks is Asks.QUESTION else ~is_question


def list_due(*, limit: int) -> list[tuple[UUID, UUID | None]]:
    """Return requests whose time is up and that nobody holds: (request, run), longest over first.

    One statement of its own, so its locks end with it: they only tell who is busy. Holding them
    while locking a run would turn the lock order around.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE, (limit,))
        return [(row[0], row[1]) for row in cursor.fetchall()]


def list_staged(*, after: UUID, limit: int) -> list[UUID]:
    """Return requests with an open stage after a request, oldest first. One index scan."""
    with connection.cursor() as cursor:
        cursor.execute(_STAGED, (after, limit))
        return [row[0] for row in cursor.fetchall()]


def list_asked(*, keys: Sequence[str], before: UUID | None, limit: int) -> list[UUID]:
    """Return the open requests that are put to one of the keys, newest first, before a cursor.

    Fewer than `limit`: there are no more. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ASKED, (list(keys), before or _AFTER_ALL, limit, limit))
        return [row[0] for row in cursor.fetchall()]


def insert_request(
    *,
    request: Request,
    stages: Sequence[Stage],
    exclusions: Iterable[Excluded],
) -> None:
    """Insert a request with its first round, stages and exclusions. Transaction: needs one."""
    request.save(force_insert=True)
    Round.objects.create(
        request=request,
        number=request.round,
        shown_digest=request.shown_digest,
        opened_at=request.opened_at,
    )
    Stage.objects.bulk_create(stages)
    for stage in stages:
        if stage.status == StageStatus.OPEN:
            _insert_audience(stage)
    add_exclusions(request=request, exclusions=exclusions)


def append(
    *, request: Request, drafts: Sequence[Draft], changes: Mapping[str, Any]
) -> tuple[BuiltEntry, ...]:
    """Append entries to a request's stream and change its row, in one statement.

    Args:
        request: the row as locked; it is brought up to date.
        drafts: what happened, at least one.
        changes: new values by column.
    """
    head = StreamHead(stream=request.pk, seq=request.seq, head=bytes(request.head))
    after, entries = extend(head=head, drafts=drafts, salts=ids.salt)
    columns = tuple(changes)
    params = (
        after.seq,
        after.head,
        *(_adapt(column, changes[column]) for column in columns),
        request.pk,
        head.seq,
    )
    count = ledger.append_guarded(guard=_guard(columns), guard_params=params, entries=entries)
    assert count == len(entries), "the request changed although its row is locked"
    request.seq, request.head = after.seq, after.head
    for column, value in changes.items():
        setattr(request, column, value)
    return entries


def insert_vote(*, vote: Vote, comment: str) -> None:
    """Insert a vote, and its comment if there is one. Transaction: needs one."""
    vote.save(force_insert=True)
    if comment.strip():
        Comment.objects.create(vote=vote, text=comment)


def close_stage(*, stage: Stage, status: StageStatus, at: datetime) -> None:
    """Close an open stage: it leaves every inbox. Transaction: needs one."""
    stage.status, stage.closed_at = status, at
    stage.save(update_fields=["status", "closed_at"])
    Audience.objects.filter(stage=stage).update(is_open=False)


def open_stage(*, stage: Stage, at: datetime) -> None:
    """Open a stage: it enters the inboxes of its audience. Transaction: needs one."""
    stage.status, stage.opened_at = StageStatus.OPEN, at
    stage.save(update_fields=["status", "opened_at"])
    _insert_audience(stage)


def end_stages(*, request: Request, open_status: StageStatus, at: datetime) -> None:
    """Close the current round's stages: the open one as given, waiting ones as never opened.

    Transaction: needs one.
    """
    left = Stage.objects.filter(
        request=request,
        round=request.round,
        status__in=[StageStatus.OPEN, StageStatus.WAITING],
    )
    left.update(
        status=Case(
            When(status=StageStatus.OPEN, then=Value(open_status.value)),
            default=Value(StageStatus.ENDED.value),
        ),
        closed_at=Case(When(status=StageStatus.OPEN, then=Value(at)), default=None),
    )
    Audience.objects.filter(stage__in=Stage.objects.filter(request=request), is_open=True).update(
        is_open=False
    )


def close_round(*, request: Request, outcome: str, at: datetime) -> None:
    """Close the current round. Transaction: needs one."""
    current = Round.objects.filter(request=request, number=request.round)
    current.update(closed_at=at, outcome=outcome)


def add_exclusions(*, request: Request, exclusions: Iterable[Excluded]) -> None:
    """Freeze persons who may not decide in the current round; known pairs stay as they are."""
    rows = [
        Exclusion(
            request=request,
            round=request.round,
            person_id=excluded.person_id,
            reason=excluded.reason,
            expression=excluded.expression,
            error=excluded.error,
        )
        for excluded in exclusions
    ]
    if rows:
        Exclusion.objects.bulk_create(rows, ignore_conflicts=True)


def _insert_audience(stage: Stage) -> None:
    Audience.objects.bulk_create(
        Audience(request_id=stage.request_id, stage=stage, key=key, is_open=True)
        for key in stage.approver_keys
    )


@lru_cache(maxsize=32)
def _guard(columns: tuple[str, ...]) -> str:
    """Return the compare-and-swap on a request's row; columns come from this package only."""
    assignments = "".join(f", {column} = %s" for column in columns)
    return (
        f"UPDATE approvals_request SET seq = %s, head = %s{assignments}"  # noqa: S608 - our columns
        " WHERE id = %s AND seq = %s RETURNING id"
    )


def _adapt(column: str, value: Any) -> Any:
    if column in _JSON_COLUMNS and value is not None:
        return Jsonb(value)
    return value
