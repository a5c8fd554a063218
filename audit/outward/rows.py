"""The only writer of the cursors of anchors and sinks, and of receipts. Read `take_batch` first.

Every move is a compare-and-swap on (position, generation): two keepers at once do no harm, one of
them loses. Times are the database's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from django.db import connection

from core.kernel import limits
from core.toolkit.db import fetch_rows

Role: TypeAlias = Literal["anchor", "sink"]

_COLUMNS = """c.position, c.mark, c.generation, c.state, c.attempt_count,
  c.next_at <= clock_timestamp() AS is_due"""

# The cursor, the leaf before it, and what comes next, of one snapshot; one row without leaves if
# nothing is due. What is being sent already ends at its aim.
_TAKE = f"""
SELECT {_COLUMNS}, before.leaf, l.leaf_index, l.id, l.leaf, l.body
FROM audit_outward_cursor c
LEFT JOIN LATERAL (
  SELECT e.leaf FROM audit_leaf JOIN audit_entry e ON e.id = audit_leaf.entry_id
  WHERE leaf_index = c.position - 1) before ON true
LEFT JOIN LATERAL (
  SELECT leaf_index, e.id, e.leaf, e.body
  FROM audit_leaf JOIN audit_entry e ON e.id = audit_leaf.entry_id
  WHERE leaf_index >= c.position AND (c.aim IS NULL OR leaf_index < c.aim)
  ORDER BY leaf_index LIMIT %s::bigint) l
  ON c.state = 'going' AND c.next_at <= clock_timestamp()
WHERE c.role = 'sink' AND c.name = %s::text AND c.origin = ''
ORDER BY l.leaf_index"""  # noqa: S608 - put together from constants

_OPEN = """
INSERT INTO audit_outward_cursor
  (role, name, origin, position, mark, generation, state, attempt_count, next_at, last_error)
VALUES (%s::text, %s::text, %s::text, %s::bigint, %s::bytea, 0, 'going', 0, clock_timestamp(), '')
ON CONFLICT DO NOTHING"""

# Where the log ends now: its size, and its last leaf.
_END = """
SELECT l.leaf_index + 1, e.leaf FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id
ORDER BY l.leaf_index DESC LIMIT 1"""

_WHERE = """ WHERE role = %s::text AND name = %s::text AND origin = %s::text
  AND position = %s::bigint AND generation = %s::int RETURNING 1"""

# A crash counts as an attempt, and whoever comes meanwhile finds it not due.
_CLAIM = f"""UPDATE audit_outward_cursor SET aim = %s::bigint, attempt_count = attempt_count + 1,
  next_at = clock_timestamp() + %s::interval{_WHERE}"""  # noqa: S608 - as above

_MOVE = f"""UPDATE audit_outward_cursor SET position = %s::bigint, mark = %s::bytea, aim = NULL,
  attempt_count = 0, next_at = clock_timestamp() + %s::interval, moved_at = clock_timestamp(),
  last_error = '', state = 'going', told_size = NULL, told_root = NULL{_WHERE}"""  # noqa: S608 - as above

_FAIL = f"""UPDATE audit_outward_cursor SET state = %s::text, last_error = %s::text,
  error_at = clock_timestamp(), next_at = clock_timestamp() + %s::interval,
  told_size = %s::bigint, told_root = %s::bytea{_WHERE}"""  # noqa: S608 - as above

_RESUME = """UPDATE audit_outward_cursor SET state = 'going', attempt_count = 0,
  next_at = clock_timestamp()
WHERE role = %s::text AND name = %s::text AND state = 'stopped' RETURNING position"""

_REWIND = """UPDATE audit_outward_cursor SET position = %s::bigint, mark = %s::bytea, aim = NULL,
  generation = generation + 1, state = 'going', attempt_count = 0, next_at = clock_timestamp(),
  last_error = ''
WHERE role = 'sink' AND name = %s::text RETURNING 1"""

_LEAF = """
SELECT e.leaf FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id
WHERE l.leaf_index = %s::bigint"""

_LIST = """
SELECT role, name, origin, position, generation, state, attempt_count, next_at, moved_at,
  last_error, error_at, told_size, told_root
FROM audit_outward_cursor ORDER BY role, name, origin"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far an anchor or a sink is, as it was read; see `OutwardCursor`."""

    role: Role
    name: str
    origin: str
    position: int
    mark: bytes | None
    generation: int
    state: str
    attempt_count: int
    is_due: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEntry:
    """An entry with its place in the log."""

    leaf_index: int
    entry_id: int
    leaf: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A sink's cursor, the leaf right before it (`None` if there is none), and what is next."""

    cursor: Cursor
    before: bytes | None
    entries: tuple[SealedEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A cursor's row, for those who look at it."""

    role: Role
    name: str
    origin: str
    position: int
    generation: int
    state: str
    attempt_count: int
    next_at: datetime
    moved_at: datetime | None
    last_error: str
    error_at: datetime | None
    told_size: int | None
    told_root: bytes | None


def take_batch(*, name: str) -> Taken | None:
    """Return a sink's cursor and the entries after it; `None` if it has no cursor yet. One query.

    There are no entries if it is not due, has stopped, or has them all.
    """
    rows = fetch_rows(_TAKE, (limits.FORWARD_ENTRY_COUNT_MAX, name))
    if not rows:
        return None
    first = rows[0]
    width = 6
    cursor = Cursor(
        role="sink",
        name=name,
        origin="",
        position=first[0],
        mark=_bytes(first[1]),
        generation=first[2],
        state=first[3],
        attempt_count=first[4],
        is_due=first[5],
    )
    entries = tuple(
        SealedEntry(leaf_index=index, entry_id=number, leaf=bytes(leaf), body=bytes(body))
        for index, number, leaf, body in (row[width + 1 :] for row in rows)
        if index is not None
    )
    return Taken(cursor=cursor, before=_bytes(first[width]), entries=entries)


def open_sink(*, name: str, starts_now: bool) -> None:
    """Give a new sink its cursor: at the beginning of the log, or at its end."""
    position, mark = find_end() if starts_now else (0, None)
    _execute(_OPEN, ("sink", name, "", position, mark))


def open_anchor(*, name: str, origin: str) -> None:
    """Give an anchor its cursor in a log, before its first tree head."""
    _execute(_OPEN, ("anchor", name, origin, 0, None))


def find_end() -> tuple[int, bytes | None]:
    """Return how many leaves there are, and the last one's hash."""
    rows = fetch_rows(_END, ())
    return (rows[0][0], bytes(rows[0][1])) if rows else (0, None)


def find_leaf(*, leaf_index: int) -> bytes | None:
    """Return a leaf's hash, `None` if there is none."""
    rows = fetch_rows(_LEAF, (leaf_index,))
    return bytes(rows[0][0]) if rows else None


def claim(cursor: Cursor, *, aim: int | None, lease: timedelta) -> bool:
    """Note that an attempt begins, which nobody else repeats during the lease; say if it is ours.

    Args:
        cursor: as it was read.
        aim: where the batch ends; `None` for an anchor.
        lease: how long the attempt may take.
    """
    return _execute(_CLAIM, (aim, lease, *_place(cursor)))


def move(cursor: Cursor, *, position: int, mark: bytes | None, pause: timedelta) -> bool:
    """Move a cursor on after a success; `False` if somebody else has moved it meanwhile."""
    return _execute(_MOVE, (position, mark, pause, *_place(cursor)))


def note_failure(
    cursor: Cursor,
    *,
    reason: str,
    delay: timedelta,
    state: str = "going",
    told: tuple[int, bytes | None] | None = None,
) -> bool:
    """Note why an attempt failed, and when the next is due.

    Args:
        cursor: as it was read.
        reason: for people; cut to its bound.
        delay: until the next attempt, if the state lets there be one.
        state: going, stopped or disputed.
        told: the size and root that an anchor knows and we do not.
    """
    size, root = told or (None, None)
    text = reason[: limits.OUTWARD_ERROR_CHARS_MAX]
    return _execute(_FAIL, (state, text, delay, size, root, *_place(cursor)))


def resume(*, role: Role, name: str) -> bool:
    """Let a stopped one go on; `False` if there is none of that name that has stopped."""
    return _execute(_RESUME, (role, name))


def rewind(*, name: str, position: int, mark: bytes | None) -> bool:
    """Let a sink have everything from a leaf again; `False` if it has no cursor."""
    return _execute(_REWIND, (position, mark, name))


def list_standings() -> list[Standing]:
    """Return every cursor, by role, name and log. One query."""
    return [
        Standing(
            role=row[0],
            name=row[1],
            origin=row[2],
            position=row[3],
            generation=row[4],
            state=row[5],
            attempt_count=row[6],
            next_at=row[7],
            moved_at=row[8],
            last_error=row[9],
            error_at=row[10],
            told_size=row[11],
            told_root=_bytes(row[12]),
        )
        for row in fetch_rows(_LIST, ())
    ]


def _place(cursor: Cursor) -> tuple[Any, ...]:
    return cursor.role, cursor.name, cursor.origin, cursor.position, cursor.generation


def _execute(sql: str, params: Sequence[Any]) -> bool:
    """Execute a statement; say whether it changed a row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return bool(cursor.rowcount > 0)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
