"""Stored streams for tests of verification, without a database."""

from uuid import UUID

from audit.domain.entry import StreamHead, extend
from audit.domain.verification import HeadRow, StoredRow
from tests.fakes.drafts import SCOPE, STREAM, counting_salts, draft

OTHER = UUID("0198c0de-0000-7000-8000-000000000002")


def stored(entry, *, entry_id):
    """Return an entry as the database would give it."""
    return StoredRow(
        id=entry_id,
        stream=str(entry.stream),
        seq=entry.seq,
        kind=entry.kind,
        at=entry.at,
        actor=entry.actor_id,
        subject=entry.subject,
        scope=str(entry.scope) if entry.scope else None,
        leaf=entry.leaf,
        body=entry.body,
        payloads=[(item.name, item.salt, item.value_bytes) for item in entry.payloads],
    )


def a_stream(*, stream=STREAM, count=3, first_id=10):
    """Return the rows and the guard row of a stream."""
    drafts = [
        draft(
            subject="request:1",
            scope=SCOPE,
            data={"n": number},
            payloads={"comment": "ok", "form": {"a": number}},
        )
        for number in range(count)
    ]
    head, entries = extend(head=StreamHead(stream=stream), drafts=drafts, salts=counting_salts())
    rows = [stored(entry, entry_id=first_id + entry.seq) for entry in entries]
    return rows, HeadRow(str(stream), head.seq, head.head)


def every_flip(value):
    """Yield the value with each of its bits changed, one at a time."""
    for index in range(len(value) * 8):
        flipped = bytearray(value)
        flipped[index // 8] ^= 1 << (index % 8)
        yield bytes(flipped)
