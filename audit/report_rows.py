"""The entries a report reads, from the database. Read `walk_facts` first.

Entries are walked in the order of their ids, some thousands at a time, so memory does not grow with
the ledger; nothing but what means something to a report is read. An entry's body is what counts,
and `check_entries` says whether the columns it was found by say the same.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

from django.db import DataError, connection, transaction

from audit.domain.entry import read_entry, stream_id_of
from audit.domain.errors import EntryInvalidError
from audit.domain.report_notes import Fact
from audit.selectors.instants import find_id_before

_CHUNK: Final = 5_000  # entries, or ids, of one statement
_CHECK_CHUNK: Final = 50_000  # entries whose hashes one statement checks: a second or so
UPKEEP_STREAM: Final = stream_id_of("ledger")

_LAST = "SELECT COALESCE(max(id), 0) FROM audit_entry"

# What a report is of: a period, and one project's scopes or everything. A refused attempt has no
# scope of its own; its subject is the scope in which it was refused.
_PERIOD = """
  e.id > %(after)s AND e.id <= %(last)s AND e.at >= %(since)s AND e.at < %(until)s
  AND (%(scopes)s::uuid[] IS NULL OR e.scope = ANY (%(scopes)s::uuid[])
    OR (e.scope IS NULL AND e.kind = 'access.refused' AND e.subject = ANY (%(scopes)s::text[])))"""

_WALK = """
SELECT e.id, e.kind, e.at, e.body FROM audit_entry e
WHERE {period} AND (e.kind = ANY (%(kinds)s::text[]) OR e.stream = %(upkeep)s::uuid)
ORDER BY e.id LIMIT %(limit)s"""

_OF_STREAMS = """
SELECT e.id, e.kind, e.at, e.body FROM audit_entry e
WHERE e.stream = ANY (%(streams)s::uuid[]) AND e.kind = ANY (%(kinds)s::text[]) AND e.at < %(until)s
ORDER BY e.id"""

_OF_SUBJECTS = """
SELECT e.id, e.kind, e.at, e.body FROM audit_entry e
WHERE e.subject = ANY (%(subjects)s::text[]) AND e.kind = ANY (%(kinds)s::text[])
  AND e.at < %(until)s
ORDER BY e.id"""

# Every entry of the period: its hash, its link to the one before, its columns, and its leaf. `json`
# and not `jsonb`: a text may hold NUL, which only the first can pass over.
_CHECK = """
SELECT count(*), max(id), min(id) FILTER (WHERE NOT holds), count(*) FILTER (WHERE sealed)
FROM (
  SELECT e.id, l.leaf_index IS NOT NULL AND l.leaf_index < %(tree_size)s AS sealed,
    CASE WHEN sha256('\\x00'::bytea || e.body) <> e.leaf THEN false ELSE COALESCE(
      b.said ->> 'prev' = encode(COALESCE(p.leaf, decode(repeat('00', 32), 'hex')), 'hex')
      AND (p.leaf IS NOT NULL) = (e.seq > 1)
      AND b.said ->> 'stream' = e.stream::text AND b.said ->> 'seq' = e.seq::text
      AND b.said ->> 'kind' = e.kind AND COALESCE(b.said ->> 'subject', '') = e.subject
      AND b.said -> 'actor' ->> 'id' = e.actor
      AND COALESCE(b.said ->> 'scope', '') = COALESCE(e.scope::text, '')
      AND b.said ->> 'at' = to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
      false) END AS holds
  FROM audit_entry e
  CROSS JOIN LATERAL (
    SELECT CASE WHEN sha256('\\x00'::bytea || e.body) = e.leaf
           THEN convert_from(e.body, 'UTF8')::json END AS said) AS b
  LEFT JOIN audit_entry p ON p.stream = e.stream AND p.seq = e.seq - 1
  LEFT JOIN audit_leaf l ON l.entry_id = e.id
  WHERE {period} ORDER BY e.id LIMIT %(limit)s) AS checked"""


# Only where what was hashed is no JSON at all, which the statement above cannot read.
_BODIES = """
SELECT e.id, e.body FROM audit_entry e WHERE {period} ORDER BY e.id LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Which entries: of [`since`, `until`) and of these scopes (`None`: all), up to id `last`."""

    since: datetime
    until: datetime
    scopes: tuple[UUID, ...] | None
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What checking entries found. `bad` is the id of the first that does not hold, or `None`."""

    entry_count: int
    sealed_count: int
    bad: int | None
    is_complete: bool


def find_extent(*, since: datetime, until: datetime, scopes: tuple[UUID, ...] | None) -> Extent:
    """Return which entries a period has now. Two queries."""
    ((last,),) = _fetch(_LAST, {})
    first = find_id_before(instant=since) or 0
    return Extent(since=since, until=until, scopes=scopes, first=first, last=last)


def walk_facts(extent: Extent, *, kinds: Collection[str]) -> Iterator[Fact]:
    """Yield the facts of an extent in order: of these kinds, and all of the ledger's upkeep."""
    after = extent.first - 1
    while True:
        asked = {"kinds": list(kinds), "upkeep": UPKEEP_STREAM, "limit": _CHUNK}
        rows = _fetch(_WALK, {**_bounds(extent, after), **asked})
        yield from map(_fact, rows)
        if len(rows) < _CHUNK:
            return
        after = rows[-1][0]


def list_of_streams(
    *, streams: Collection[str], kinds: Collection[str], until: datetime
) -> Iterator[Fact]:
    """Yield earlier facts of streams, by their ids in text, each stream's in order."""
    for chunk in _chunks(streams):
        yield from map(
            _fact,
            _fetch(_OF_STREAMS, {"streams": chunk, "kinds": list(kinds), "until": until}),
        )


def list_of_subjects(
    *, subjects: Collection[str], kinds: Collection[str], until: datetime
) -> Iterator[Fact]:
    """Yield earlier facts about subjects."""
    for chunk in _chunks(subjects):
        yield from map(
            _fact,
            _fetch(_OF_SUBJECTS, {"subjects": chunk, "kinds": list(kinds), "until": until}),
        )


def check_entries(extent: Extent, *, tree_size: int, limit: int) -> Check:
    """Check the hash, link and columns of every entry of an extent, `limit` of them at most."""
    after, count, sealed = extent.first - 1, 0, 0
    while count < limit:
        size = min(_CHECK_CHUNK, limit - count)
        asked = {**_bounds(extent, after), "tree_size": tree_size, "limit": size}
        try:
            with transaction.atomic():
                ((found, newest, bad, leaves),) = _fetch(_CHECK, asked)
        except DataError:
            bad = _find_unreadable(asked)
            return Check(entry_count=count, sealed_count=sealed, bad=bad, is_complete=True)
        count, sealed = count + found, sealed + leaves
        if bad is not None or found < size:
            return Check(entry_count=count, sealed_count=sealed, bad=bad, is_complete=True)
        after = newest
    return Check(entry_count=count, sealed_count=sealed, bad=None, is_complete=False)


def _find_unreadable(asked: dict[str, Any]) -> int:
    """Return the id of the first entry that is none, in whatever it was hashed."""
    newest = 0
    for newest, body in _fetch(_BODIES, asked):
        try:
            read_entry(bytes(body))
        except EntryInvalidError:
            return int(newest)
    return int(newest)


def _fetch(sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.format(period=_PERIOD), params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _bounds(extent: Extent, after: int) -> dict[str, Any]:
    return {
        "after": after,
        "last": extent.last,
        "since": extent.since,
        "until": extent.until,
        "scopes": None if extent.scopes is None else list(extent.scopes),
    }


def _fact(row: Sequence[Any]) -> Fact:
    entry_id, kind, at, body = row
    said: dict[str, Any] = json.loads(bytes(body))
    asked_for = said["on_behalf_of"]
    return Fact(
        id=entry_id,
        kind=kind,
        at=at,
        actor=said["actor"]["id"],
        actor_kind=said["actor"]["kind"],
        asked_for=asked_for["id"] if asked_for else "",
        subject=said["subject"] or "",
        reason=said["reason"] or "",
        policy=said["policy"] or "",
        data=said["data"],
    )


def _chunks(values: Collection[str]) -> Iterator[list[str]]:
    remaining = iter(sorted(values))
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
