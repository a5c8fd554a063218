"""Checking stored streams against what their hashes promise. Read `verify_chains` first.

Nothing here reads the database: rows and heads come as iterables in stream order, so that a ledger
of any size is checked in memory of one stream's entry at a time. The first discrepancy ends it,
because after one that is not what it was nothing that follows can be judged.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from audit.domain import document
from audit.domain.entry import EMPTY_HEAD, SOURCE_PAYLOAD, commitment, leaf_hash, stream_id_of
from audit.domain.errors import EntryInvalidError, StreamNameError

StoredPayload: TypeAlias = tuple[str, bytes | None, bytes | None]  # name, salt, value

# What an entry's hashed bytes and its columns both say, in the order of comparison.
_COMPARED = ("prev", "stream", "seq", "kind", "at", "actor", "subject", "scope")


class StoredRow(NamedTuple):
    """An entry as stored. A tuple, because a verification makes one for each entry there is.

    `stream` and `scope` are UUIDs in their usual text form; `payloads` are in no order.
    """

    id: int
    stream: str
    seq: int
    kind: str
    at: datetime
    actor: str
    subject: str
    scope: str | None
    leaf: bytes
    body: bytes
    payloads: Sequence[StoredPayload]


class HeadRow(NamedTuple):
    """A guard row: where a stream ends. `name` is "" for rows that know no name."""

    stream: str
    seq: int
    head: bytes
    name: str = ""


class PayloadPlace(NamedTuple):
    """Where a payload is."""

    stream: str
    seq: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """Something stored that is not what it must be.

    `stream` is "" and `seq` 0 where it is not about one.
    """

    stream: str
    seq: int
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = f"stream {self.stream}, entry {self.seq}, " if self.stream else ""
        return f"{place}{self.field}: expected {self.expected}, found {self.found}"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was checked so far."""

    entry_count: int = 0
    stream_count: int = 0
    payload_count: int = 0
    erased_count: int = 0


def verify_chains(
    *,
    rows: Iterable[StoredRow],
    heads: Iterable[HeadRow],
    tally: Tally,
    redacted: Container[PayloadPlace] = frozenset(),
    nouns: Container[str] | None = None,
) -> Discrepancy | None:
    """Check every stream: numbers, links, leaves, columns, commitments, and the guard row.

    Args:
        rows: every entry, by stream and `seq`.
        heads: every guard row, by stream.
        tally: counts what was checked, also while it goes on.
        redacted: payloads whose erasure is on record; any other erased one is a discrepancy.
        nouns: words before the colon in names of guard rows; `None` for any.

    Returns:
        The first discrepancy, or `None`.
    """
    remaining = _Heads(heads, nouns=nouns)
    for stream, group in groupby(rows, key=attrgetter("stream")):
        tally.stream_count += 1
        head = remaining.take(stream)
        if isinstance(head, Discrepancy):
            return head
        found = _verify_stream(group, head=head, tally=tally, redacted=redacted)
        if found is not None:
            return found
    return remaining.finish()


class _Heads:
    """Guard rows, walked in step with the entries."""

    def __init__(self, heads: Iterable[HeadRow], *, nouns: Container[str] | None) -> None:
        self._heads = iter(heads)
        self._nouns = nouns
        self._next = next(self._heads, None)

    def take(self, stream: str) -> HeadRow | Discrepancy:
        """Return a stream's guard row, having checked that every row before it is empty."""
        found = self._skip(before=stream)
        if found is not None:
            return found
        head = self._next
        if head is None or head.stream != stream:
            return _about(stream, 0, "head", expected="a guard row", found="none")
        self._next = next(self._heads, None)
        if self._next is not None and self._next.stream == stream:
            return _about(stream, head.seq, "head", expected="one guard row", found="two")
        return _check_name(head, nouns=self._nouns) or head

    def finish(self) -> Discrepancy | None:
        """Check that every row left is empty."""
        return self._skip(before=None)

    def _skip(self, *, before: str | None) -> Discrepancy | None:
        while self._next is not None and (before is None or self._next.stream < before):
            head = self._next
            if (head.seq, head.head) != (0, EMPTY_HEAD):
                return _about(
                    head.stream, head.seq, "entry", expected=f"entry {head.seq}", found="none"
                )
            wrong = _check_name(head, nouns=self._nouns)
            if wrong is not None:
                return wrong
            self._next = next(self._heads, None)
        return None


def _check_name(head: HeadRow, *, nouns: Container[str] | None) -> Discrepancy | None:
    if not head.name:
        return None
    noun, colon, _ = head.name.partition(":")
    if colon and nouns is not None and noun not in nouns:  # the id says nothing about the noun
        return _about(head.stream, head.seq, "name", expected="a known noun", found=head.name)
    try:
        expected = str(stream_id_of(head.name))
    except StreamNameError:
        expected = "the name of a stream"
    if expected == head.stream:
        return None
    return _about(head.stream, head.seq, "name", expected=expected, found=head.name)


def _verify_stream(
    rows: Iterator[StoredRow],
    *,
    head: HeadRow,
    tally: Tally,
    redacted: Container[PayloadPlace],
) -> Discrepancy | None:
    seq, leaf, entry_id = 0, EMPTY_HEAD, 0
    for row in rows:
        seq += 1
        if row.seq != seq:
            return _about(row.stream, row.seq, "seq", expected=str(seq), found=str(row.seq))
        if leaf_hash(row.body) != row.leaf:
            return _blame(row, following=next(rows, None), head=head)
        found = _verify_row(row, prev=leaf, entry_id=entry_id, tally=tally, redacted=redacted)
        if found is not None:
            return found
        leaf, entry_id = row.leaf, row.id
        tally.entry_count += 1
    return _verify_end(head, seq=seq, leaf=leaf)


def _verify_row(
    row: StoredRow,
    *,
    prev: bytes,
    entry_id: int,
    tally: Tally,
    redacted: Container[PayloadPlace],
) -> Discrepancy | None:
    try:
        literals = document.parse(row.body)
    except EntryInvalidError as error:
        return _about(row.stream, row.seq, "body", expected="an entry", found=error.message)
    stored = (
        f'"{prev.hex()}"',
        f'"{row.stream}"',
        str(row.seq),
        f'"{row.kind}"',
        row.at,
        row.actor,
        row.subject,
        row.scope or "",
    )
    hashed = (
        literals["prev"],
        literals["stream"],
        literals["seq"],
        literals["kind"],
        document.read_instant(literals["at"]),
        document.read_actor_id(literals["actor"]),
        document.read_text(literals["subject"]),
        document.read_text(literals["scope"]),
    )
    if stored != hashed:
        return _name_column(row, stored=stored, hashed=hashed)
    if row.id <= entry_id:
        return _about(row.stream, row.seq, "id", expected=f"over {entry_id}", found=str(row.id))
    committed = document.read_commitments(literals["payloads"])
    if literals["source"] != "null":
        committed[SOURCE_PAYLOAD] = document.read_text(literals["source"])
    if not committed and not row.payloads:
        return None
    return _verify_payloads(row, committed=committed, tally=tally, redacted=redacted)


def _name_column(
    row: StoredRow, *, stored: tuple[object, ...], hashed: tuple[object, ...]
) -> Discrepancy:
    index = next(place for place, value in enumerate(stored) if value != hashed[place])
    expected, found = str(hashed[index]).strip('"'), str(stored[index]).strip('"')
    if _COMPARED[index] == "prev":  # the link is hashed; what changed is the entry before
        expected, found = found, expected
    return _about(row.stream, row.seq, _COMPARED[index], expected=expected, found=found)


def _verify_payloads(
    row: StoredRow,
    *,
    committed: dict[str, str],
    tally: Tally,
    redacted: Container[PayloadPlace],
) -> Discrepancy | None:
    for name, salt, value in row.payloads:
        field = f"payload {name}"
        expected = committed.pop(name, None)
        if expected is None:
            return _about(row.stream, row.seq, field, expected="no such payload", found="one")
        if salt is None or value is None:
            if PayloadPlace(row.stream, row.seq, name) not in redacted:
                return _about(
                    row.stream, row.seq, field, expected="its redaction on record", found="none"
                )
            tally.erased_count += 1
            continue
        opened = commitment(
            stream=row.stream, seq=row.seq, name=name, value_bytes=value, salt=salt
        ).hex()
        if opened != expected:
            return _about(row.stream, row.seq, field, expected=expected, found=opened)
        tally.payload_count += 1
    if committed:
        field = f"payload {min(committed)}"
        return _about(row.stream, row.seq, field, expected="the payload", found="none")
    return None


def _blame(row: StoredRow, *, following: StoredRow | None, head: HeadRow) -> Discrepancy:
    """Say which of an entry's bytes and its leaf changed, by what comes after them."""
    computed = leaf_hash(row.body)
    if following is None:
        witness = head.head.hex()
    else:
        # The key comes last in the bytes where it is not quoted inside a text.
        witness = following.body.rpartition(b'"prev":"')[2][:64].decode(errors="replace")
    if witness == row.leaf.hex():
        return _about(
            row.stream,
            row.seq,
            "body",
            expected=f"bytes whose leaf is {row.leaf.hex()}",
            found=f"bytes whose leaf is {computed.hex()}",
        )
    return _about(row.stream, row.seq, "leaf", expected=computed.hex(), found=row.leaf.hex())


def _verify_end(head: HeadRow, *, seq: int, leaf: bytes) -> Discrepancy | None:
    if seq < head.seq:
        return _about(head.stream, seq + 1, "entry", expected=f"entry {seq + 1}", found="none")
    if seq > head.seq:
        return _about(
            head.stream, seq, "head", expected=f"{seq} entries", found=f"{head.seq} entries"
        )
    if leaf != head.head:
        return _about(head.stream, seq, "head", expected=leaf.hex(), found=head.head.hex())
    return None


def _about(stream: str, seq: int, field: str, *, expected: str, found: str) -> Discrepancy:
    return Discrepancy(stream=stream, seq=seq, field=field, expected=expected, found=found)
