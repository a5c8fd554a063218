"""A ledger sink that only remembers. It passes the contract suite of the real one."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel.canonical import canonical_bytes, entry_bytes
from core.kernel.record import Draft
from core.toolkit.ledger import RecordedEntry

PATH = f"{__name__}.RecordingSink"
# A temporary table takes part in transactions, savepoints and rollbacks by itself. It belongs to
# one connection, so threads do not see each other's entries.
_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS remembered_entry
    (stream uuid, seq int, kind text, body jsonb, PRIMARY KEY (stream, seq))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One entry as the fake keeps it."""

    seq: int
    kind: str
    actor: str
    via: str
    subject: str
    policy: str
    reason: str
    data: dict[str, Any]
    payloads: dict[str, Any]


class RecordingSink:
    """Keeps entries in a temporary table."""

    def record(self, *, stream: str, draft: Draft) -> RecordedEntry:
        """Append one entry."""
        stream_id = stream_id_of(stream)
        body = {
            "actor": draft.origin.actor.id,
            "via": draft.origin.via.value,
            "subject": draft.subject,
            "policy": draft.policy,
            "reason": draft.reason,
            "data": dict(draft.data),
            "payloads": dict(draft.payloads),
        }
        entry_bytes(body["data"])
        with connection.cursor() as cursor:
            cursor.execute(_TABLE)
            cursor.execute(
                "INSERT INTO remembered_entry"
                " SELECT %s::uuid, coalesce(max(seq), 0) + 1, %s, %s::jsonb"
                " FROM remembered_entry WHERE stream = %s::uuid RETURNING seq",
                [stream_id, draft.kind, json.dumps(body), stream_id],
            )
            (seq,) = cursor.fetchone()
        leaf = hashlib.sha256(canonical_bytes([str(stream_id), seq, body])).digest()
        return RecordedEntry(stream_id=stream_id, seq=seq, leaf=leaf)


def stream_id_of(name: str) -> UUID:
    """Return the id of a stream."""
    _, colon, own = name.partition(":")
    return UUID(own) if colon else UUID(bytes=hashlib.sha256(name.encode()).digest()[:16])


def recall(stream: str) -> list[Remembered]:
    """Return the entries of a stream, in order."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        cursor.execute(
            "SELECT seq, kind, body FROM remembered_entry WHERE stream = %s ORDER BY seq",
            [stream_id_of(stream)],
        )
        return [
            Remembered(seq=seq, kind=kind, **json.loads(body))
            for seq, kind, body in cursor.fetchall()
        ]


def forget() -> None:
    """Forget every entry of this connection."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS remembered_entry")
