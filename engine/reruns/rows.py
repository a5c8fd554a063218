"""The only writer of lineages and rerunners. Raw SQL, one statement each."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import connection

from engine.reruns.models import Lineage

_NOTE_RERUNNERS = """
    INSERT INTO engine_rerunner (run_id, person_id)
    SELECT %s::uuid, person_id FROM engine_rerunner WHERE run_id = %s::uuid
    UNION SELECT %s::uuid, unnest(%s::uuid[])"""

_NOTE_MOVERS = """
    INSERT INTO engine_rerunner (run_id, person_id) SELECT %s::uuid, unnest(%s::uuid[])
    ON CONFLICT DO NOTHING"""

# A completion that can be undone is handed over once: see decision 31.
_HAND_OVER = """
    INSERT INTO engine_dedupe (run_id, key) SELECT %s::uuid, 'handed:' || unnest(%s::text[])"""

_HANDED = """
    SELECT substr(key, 8) FROM engine_dedupe WHERE run_id = %s AND key LIKE 'handed:%%'"""

# Every run that the calls of a run led to, whatever it goes on as; `top` is the calling step's key.
_CALLED = """
    WITH RECURSIVE line AS (
        SELECT r.id, r.version_id, c.top
        FROM unnest(%s::uuid[], %s::text[]) AS c (id, top) JOIN engine_run r ON r.id = c.id
        UNION
        SELECT r.id, r.version_id, line.top
        FROM line JOIN engine_run r ON r.parent_id = line.id OR r.predecessor_id = line.id)
    SELECT DISTINCT top, version_id FROM line"""


def note_lineage(
    *, run_id: UUID, origin_id: UUID, origin_seq: int, from_key: str, is_fork: bool
) -> None:
    """Keep where a run comes from. Transaction: that of its insert."""
    Lineage.objects.create(
        run_id=run_id,
        origin_id=origin_id,
        origin_seq=origin_seq,
        from_key=from_key,
        is_fork=is_fork,
    )


def note_rerunners(*, run_id: UUID, before_id: UUID, persons: Collection[UUID] = ()) -> None:
    """Keep that these persons, and those who had an earlier run run again, led to a run.

    `before_id` is that earlier run: the origin, the one that called it, the one it goes on from.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_RERUNNERS, (run_id, before_id, run_id, list(persons)))


def note_movers(*, run_id: UUID, persons: Collection[UUID]) -> None:
    """Keep that these persons changed what a run asks about: they count as who has it run again."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_MOVERS, (run_id, list(persons)))


def hand_over(*, run_id: UUID, keys: Sequence[str]) -> None:
    """Keep that another run answers for undoing these steps. The run's row is locked."""
    with connection.cursor() as cursor:
        cursor.execute(_HAND_OVER, (run_id, list(keys)))


def list_handed(*, run_id: UUID) -> frozenset[str]:
    """Return the keys of the outermost steps that another run answers for."""
    with connection.cursor() as cursor:
        cursor.execute(_HANDED, (run_id,))
        return frozenset(row[0] for row in cursor.fetchall())


def list_called(*, children: Collection[tuple[UUID, str]]) -> list[tuple[str, UUID]]:
    """Return which versions ran for a run's calls, however deep: (calling step's key, version).

    `children` are the runs it called itself, each with the key of the step that did.
    """
    if not children:
        return []
    ids, tops = zip(*children, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_CALLED, (list(ids), list(tops)))
        return [(row[0], row[1]) for row in cursor.fetchall()]
