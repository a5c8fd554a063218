"""What the ledger must know of the tables above it, filled in each app's `ready()`.

Read `register_stream_head` first. Registering the same thing twice is harmless.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import connection

from audit.domain.meanings import Meaning
from audit.domain.redaction import Member, Part
from audit.domain.rights import APPEND, DatabaseRole
from audit.immutability import trigger_names

# The words of streams whose guard row is a row of their own, above this package.
_heads: dict[str, str] = {}
_nouns: set[str] = set()
_tables: dict[str, "AppendOnlyTable"] = {}
_meanings: dict[str, Meaning] = {}
_holders: dict[str, "Holder"] = {}
_related: dict[str, list[str]] = {}  # noun of a stream → queries of streams that belong to it


_RIGHTS = dict.fromkeys((DatabaseRole.APP, DatabaseRole.REDACTOR), APPEND)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOnlyTable:
    """A table whose triggers verification looks for: each enabled ALWAYS.

    Triggers named as by `MakeAppendOnly` must also be what it makes; those in `conditional` may
    let something through. `rights` is what each database role may do with it; see
    `audit.domain.rights` for a role that is not named there.
    """

    name: str
    triggers: tuple[str, ...]
    conditional: frozenset[str] = frozenset()
    rights: Mapping[DatabaseRole, frozenset[str]] = field(default_factory=dict)


class Holder(Protocol):
    """What holds copies of the values of streams `<noun>:<uuid>`, and can erase them."""

    def find_members(self, *, stream: UUID) -> Sequence[Member] | None:
        """Return the stream with every other that took values from it; `None`: no such stream.

        Raises: RedactionTooLargeError.
        """
        ...

    def find_family(self, *, stream: UUID) -> Sequence[Member]:
        """Return the stream with those that cannot be read without it: a smaller set."""
        ...

    def list_related(self, *, run_ids: Collection[UUID]) -> Sequence[Member]:
        """Return the streams of this noun that belong to runs."""
        ...

    def lock(self, *, stream: UUID) -> Member | None:
        """Return a stream as it is now, locked until the transaction ends; `None`: no such."""
        ...

    def erase(
        self, *, stream: UUID, seq: int = 0, names: Collection[str] = ()
    ) -> Mapping[str, int]:
        """Erase every copy outside the ledger; return how many rows of each table changed.

        With `seq` or `names` only that entry, or these payloads, are erased from the ledger; what
        may be derived from them still goes. Again it changes nothing. Transaction: needs one that
        has locked the stream.
        """
        ...

    def erase_person(self, *, person_id: UUID) -> Mapping[str, int]:
        """Erase what a person wrote, outside the ledger, of what is closed; return the counts."""
        ...

    def list_due(
        self,
        *,
        project_id: UUID,
        part: Part,
        before: datetime,
        after: UUID | None,
        limit: int,
    ) -> Sequence[UUID]:
        """Return streams of a project that closed before an instant, by id, after one.

        Left out are those of which the part is on record as erased.
        """
        ...


def register_copies(noun: str, holder: Holder) -> None:
    """Say who holds copies of what streams `<noun>:<uuid>` record, so that they can be erased."""
    _holders[noun] = holder


def holders() -> dict[str, Holder]:
    """Return who holds copies, by noun."""
    return dict(_holders)


def register_stream_head(noun: str, query: str) -> None:
    """Say which rows are the heads of the streams `<noun>:<uuid>`.

    Nothing else may then append to them without moving that row: `audit.store.append` refuses.

    Args:
        noun: the word before the colon, such as `run`.
        query: SQL without parameters that gives (id, seq, head) of every such row.
    """
    _heads[noun] = query


def register_stream_noun(noun: str) -> None:
    """Say that streams `<noun>:<uuid>` may have their guard row in `audit_stream`.

    A row's id says nothing about its noun; verification reports one that nobody registered.
    """
    _nouns.add(noun)


def register_append_only(
    table: str,
    *,
    triggers: Iterable[str] = (),
    conditional: Iterable[str] = (),
    rights: Mapping[DatabaseRole, Iterable[str]] | None = None,
) -> None:
    """Say that a table is append-only, so that verification looks for its triggers.

    Args:
        table: its name.
        triggers: their names, if they are not just those of `MakeAppendOnly`.
        conditional: the names of those that `MakeAppendOnly` was told to let something through.
        rights: what a database role may do beside reading, such as `INSERT` or `UPDATE (salt)`;
            without it, all that append but the sealer may append.
    """
    given = _RIGHTS if rights is None else rights
    _tables[table] = AppendOnlyTable(
        name=table,
        triggers=tuple(triggers) or trigger_names(table),
        conditional=frozenset(conditional),
        rights={role: frozenset(rights) for role, rights in given.items()},
    )


def register_meanings(kinds: Mapping[str, Meaning]) -> None:
    """Say what kinds of entries mean to a report; all others are left out of it."""
    _meanings.update(kinds)


def meanings() -> dict[str, Meaning]:
    """Return what each registered kind means."""
    return dict(_meanings)


def register_related(noun: str, query: str) -> None:
    """Say which streams belong to a stream `<noun>:<uuid>` and are exported with it.

    Args:
        noun: the word before the colon, such as `run`.
        query: SQL with one placeholder, for that UUID, that gives the ids of streams.
    """
    queries = _related.setdefault(noun, [])
    if query not in queries:
        queries.append(query)


def list_related(*, noun: str, row_id: UUID) -> list[UUID]:
    """Return the ids of the streams that belong to `<noun>:<row_id>`; one query a registration."""
    found: list[UUID] = []
    with connection.cursor() as cursor:
        for query in _related.get(noun, ()):
            cursor.execute(query, (row_id,))
            found += [row[0] for row in cursor.fetchall()]
    return found


def stream_heads() -> dict[str, str]:
    """Return the query of each registered noun."""
    return dict(_heads)


def stream_nouns() -> frozenset[str]:
    """Return the registered nouns of streams without a guard row of their own."""
    return frozenset(_nouns)


def append_only_tables() -> tuple[AppendOnlyTable, ...]:
    """Return the registered tables by name."""
    return tuple(_tables[name] for name in sorted(_tables))
