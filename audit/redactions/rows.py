"""Raw SQL of redaction: what is erased, and what says so. Read `erase_places`.

The only writer of `audit_redaction`, `audit_redacted_stream`, `audit_hold` and `audit_retention`,
and, beside `audit.store`, of `audit_payload`: values and salts go, and never anything else.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from audit.domain.entry import read_entry
from audit.domain.redaction import LEDGER_STREAM_ID, PERSONAL_NAMES, HoldKind, Place
from core.toolkit.db import fetch_rows

# Whoever erases shares it, whoever places a hold has it alone: a hold that stands is never late.
_HOLDS_LOCK = 7_201_402_001

# Of one stream, in order. The body comes along, because it says what each payload is committed as.
_LIST = """
    SELECT e.id, e.seq, p.name, e.body
    FROM audit_entry e JOIN audit_payload p ON p.entry_id = e.id
    WHERE e.stream = %s::uuid AND p.value IS NOT NULL
      AND (%s::bigint = 0 OR e.seq = %s::bigint)
      AND (cardinality(%s::text[]) = 0 OR p.name = ANY(%s::text[]))
    ORDER BY e.seq, p.name LIMIT %s::bigint"""

_COUNT = """
    SELECT count(*) FROM audit_entry e JOIN audit_payload p ON p.entry_id = e.id
    WHERE e.stream = ANY(%s::uuid[]) AND p.value IS NOT NULL
      AND (%s::bigint = 0 OR e.seq = %s::bigint)
      AND (cardinality(%s::text[]) = 0 OR p.name = ANY(%s::text[]))"""

_ERASE = """
    UPDATE audit_payload p SET salt = NULL, value = NULL
    FROM unnest(%s::bigint[], %s::text[]) AS n (entry_id, name)
    WHERE p.entry_id = n.entry_id AND p.name = n.name AND p.value IS NOT NULL"""

_NOTE = """
    INSERT INTO audit_redacted_stream (stream, part, redaction_id, at, entry_seq)
    VALUES (%s, %s, %s, clock_timestamp(), %s)
    ON CONFLICT (stream, part) DO UPDATE SET redaction_id = EXCLUDED.redaction_id,
        at = EXCLUDED.at, entry_seq = EXCLUDED.entry_seq"""

_SHARE_HOLDS = "SELECT pg_advisory_xact_lock_shared(%s)"
_TAKE_HOLDS = "SELECT pg_advisory_xact_lock(%s)"

_FIND_HOLD = """
    SELECT h.id, h.label FROM audit_hold h
    JOIN unnest(%s::text[], %s::uuid[]) AS n (kind, target_id)
        ON h.kind = n.kind AND h.target_id = n.target_id
    WHERE h.released_at IS NULL ORDER BY h.id LIMIT 1"""

# What a person wrote or gave, and what identity says of them; open runs and requests come later.
_OF_PERSON = """
    FROM audit_entry e JOIN audit_payload p ON p.entry_id = e.id
    WHERE p.value IS NOT NULL AND e.stream <> ALL(%s::uuid[])
      AND (e.actor = ANY(%s::text[]) AND p.name = ANY(%s::text[])
           OR e.subject = ANY(%s::text[]))"""

_LIST_OF_PERSON = f"SELECT e.stream, e.id, e.seq, p.name, e.body {_OF_PERSON} LIMIT %s"
_COUNT_OF_PERSON = f"SELECT count(*) {_OF_PERSON}"

_ACCOUNTS = "SELECT id::text FROM identity_user WHERE person_id = %s::uuid"

_LAST_AT = "SELECT at FROM audit_entry WHERE stream = %s::uuid ORDER BY seq DESC LIMIT 1"

# What holds keep entries by: their project, and the persons who acted or whom they are about.
_BELONGING = """
    SELECT DISTINCT p.id, array_remove(ARRAY[a.person_id, s.person_id, o.id], NULL)
    FROM audit_entry e
    LEFT JOIN identity_scope c ON c.id = e.scope
    LEFT JOIN identity_project p ON p.scope_id IN (c.id, c.parent_id)
    LEFT JOIN identity_user a ON a.id::text = e.actor
    LEFT JOIN identity_user s ON s.id::text = e.subject
    LEFT JOIN identity_person o ON o.id::text = e.subject
    WHERE e.stream = %s::uuid AND e.seq = ANY(%s::bigint[])"""

_STREAM_NAME = "SELECT name FROM audit_stream WHERE id = %s"
_HAS_ENTRY = "SELECT kind FROM audit_entry WHERE stream = %s AND seq = %s"


def list_places(
    *, stream: UUID, seq: int = 0, names: Collection[str] = (), limit: int
) -> list[Place]:
    """Return payloads of a stream that are not erased yet, in order.

    Args:
        stream: whose.
        seq: of this entry only; 0 for all.
        names: of these names only; none for all.
        limit: the most to return.
    """
    wanted = list(names)
    rows = fetch_rows(_LIST, (stream, seq, seq, wanted, wanted, limit))
    return [
        Place(
            entry_id=entry_id,
            seq=number,
            name=name,
            commitment=read_entry(bytes(body)).commitments[name],
        )
        for entry_id, number, name, body in rows
    ]


def count_places(*, streams: Sequence[UUID], seq: int = 0, names: Collection[str] = ()) -> int:
    """Return how many payloads of streams are not erased yet."""
    wanted = list(names)
    return int(fetch_rows(_COUNT, (list(streams), seq, seq, wanted, wanted))[0][0])


def erase_places(*, places: Sequence[Place]) -> int:
    """Erase payloads with their salts; return how many. Transaction: that of what says so."""
    assert connection.in_atomic_block, "an erasure and its record happen together"
    with connection.cursor() as cursor:
        cursor.execute(
            _ERASE, ([place.entry_id for place in places], [place.name for place in places])
        )
        return int(cursor.rowcount)


def note_stream(*, stream: UUID, part: str, redaction_id: UUID | None, entry_seq: int) -> None:
    """Keep that something of a stream was erased, for pages and for retention."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, (stream, part, redaction_id, entry_seq))


def read_last_at(*, stream: UUID) -> datetime:
    """Return when the last entry of a stream was made: of a closed run, when it closed."""
    found: datetime = fetch_rows(_LAST_AT, (stream,))[0][0]
    return found


def share_holds() -> None:
    """Let no hold be placed until the transaction ends. Call it before any other lock."""
    _lock(_SHARE_HOLDS)


def take_holds() -> None:
    """Let nothing be erased until the transaction ends."""
    _lock(_TAKE_HOLDS)


def find_hold(*, keepings: Collection[tuple[HoldKind, UUID]]) -> tuple[UUID, str] | None:
    """Return the oldest standing hold, and its label, of those that would keep something."""
    kinds = [kind.value for kind, _ in keepings]
    targets = [target for _, target in keepings]
    rows = fetch_rows(_FIND_HOLD, (kinds, targets))
    return (rows[0][0], rows[0][1]) if rows else None


def list_belonging(
    *, stream: UUID, seqs: Collection[int]
) -> list[tuple[UUID | None, frozenset[UUID]]]:
    """Return the (project, persons) that entries of a stream belong to, each pair once."""
    rows = fetch_rows(_BELONGING, (stream, list(seqs)))
    return [(project_id, frozenset(person_ids)) for project_id, person_ids in rows]


def list_places_of_person(
    *, person_id: UUID, skipped: Collection[UUID] = (), limit: int
) -> list[tuple[UUID, Place]]:
    """Return payloads that a person wrote, or that identity says of them, with their streams.

    Those of the streams `skipped` are left out, and those of the ledger's own.
    """
    params = (*_person_params(person_id, skipped), limit)
    return [
        (
            stream,
            Place(
                entry_id=entry_id,
                seq=seq,
                name=name,
                commitment=read_entry(bytes(body)).commitments[name],
            ),
        )
        for stream, entry_id, seq, name, body in fetch_rows(_LIST_OF_PERSON, params)
    ]


def count_of_person(*, person_id: UUID) -> int:
    """Return how many such payloads there are."""
    return int(fetch_rows(_COUNT_OF_PERSON, _person_params(person_id, ()))[0][0])


def _person_params(person_id: UUID, skipped: Collection[UUID]) -> tuple[object, ...]:
    accounts = [row[0] for row in fetch_rows(_ACCOUNTS, (person_id,))]
    written = list(PERSONAL_NAMES)
    return [LEDGER_STREAM_ID, *skipped], accounts, written, [*accounts, str(person_id)]


def find_stream_name(*, stream: UUID) -> str | None:
    """Return the name of a stream without a row elsewhere, such as `identity`."""
    rows = fetch_rows(_STREAM_NAME, (stream,))
    return str(rows[0][0]) if rows else None


def find_entry_kind(*, stream: UUID, seq: int) -> str | None:
    """Return the kind of an entry, `None` if there is none of that number."""
    rows = fetch_rows(_HAS_ENTRY, (stream, seq))
    return str(rows[0][0]) if rows else None


def _lock(statement: str) -> None:
    assert connection.in_atomic_block, "a lock outside a transaction holds nothing"
    with connection.cursor() as cursor:
        cursor.execute(statement, (_HOLDS_LOCK,))
