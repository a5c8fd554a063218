"""What lists of entries are narrowed to, and how. Read `EntryFilters`, then `narrow`."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import BinaryField, Q, QuerySet
from django.db.models.functions import Substr

from audit import wording
from audit.domain.entry import stream_id_of
from audit.domain.errors import LeafInvalidError
from audit.models import Entry
from audit.selectors.instants import find_id_after, find_id_before
from core.identity.models import Scope, User
from core.identity.selectors.access import ScopeSet
from core.kernel import limits

_LEAF_CHARS: Final = 64
_LEAF: Final = re.compile(f"[0-9a-f]{{{limits.LEAF_DIGITS_MIN},{_LEAF_CHARS}}}")
_INDEXED_BYTES: Final = 8  # of a leaf; the index `audit_entry_leaf_start_idx` holds as many
_OWN_ACTORS: Final = {"the engine": "engine", "the platform": "system"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilters:
    """What a list of entries may be narrowed to; `None` means any.

    `stream` is a stream's id or its name, such as `run:<uuid>` or `access`. `actor` is an actor's
    id, an account's username, or part of a name. `subject` is a subject as entries have it, the id
    alone, or what people call it ("A-12"). `project` is a slug, and covers its workflows. `leaf` is
    a hash in hex, or its beginning. `kinds` are several at once. `since` and `until` (aware) bound
    when it happened; the period is half-open.
    """

    stream: str | None = None
    kind: str | None = None
    actor: str | None = None
    subject: str | None = None
    scope_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    project: str | None = None
    leaf: str | None = None
    kinds: tuple[str, ...] | None = None


def narrow(rows: QuerySet[Entry], filters: EntryFilters) -> QuerySet[Entry]:
    """Return those of the entries that the filters let through; at most 6 queries.

    Raises:
        StreamNameError: if the filter's stream is neither an id nor a name.
        LeafInvalidError: if the filter's leaf is not the beginning of a hash.
    """
    named = {
        "stream": None if filters.stream is None else _read_stream(filters.stream),
        "kind": filters.kind,
        "kind__in": filters.kinds,
        "actor__in": None if filters.actor is None else _list_actors(filters.actor),
        "subject__in": None if filters.subject is None else _list_subjects(filters.subject),
        "scope": filters.scope_id,
        "scope__in": None if filters.project is None else _list_scopes(filters.project),
    }
    wanted = {name: value for name, value in named.items() if value is not None}
    rows = rows.filter(**wanted)
    # Few entries are of one stream or about one thing: there every instant is looked at.
    is_few = bool(filters.stream or filters.subject or filters.leaf)
    rows = rows.filter(_period(since=filters.since, until=filters.until, is_few=is_few))
    return rows if filters.leaf is None else _with_leaf(rows, filters.leaf)


def visible_to(scopes: ScopeSet) -> Q:
    """Return the condition for entries that somebody who reads these scopes may see."""
    if scopes.everything:
        return Q()
    covered = list(scopes.scope_ids)
    inside = Scope.objects.filter(parent_id__in=covered).values("pk")
    return Q(scope__in=covered) | Q(scope__in=inside)


def _period(*, since: datetime | None, until: datetime | None, is_few: bool) -> Q:
    condition = Q()
    if since is not None:
        condition &= Q(at__gte=since)
        first = None if is_few else find_id_before(instant=since)
        condition &= Q() if first is None else Q(pk__gte=first)
    if until is not None:
        condition &= Q(at__lt=until)
        end = None if is_few else find_id_after(instant=until)
        condition &= Q() if end is None else Q(pk__lt=end)
    return condition


def _with_leaf(rows: QuerySet[Entry], text: str) -> QuerySet[Entry]:
    digits = text.strip().lower()
    if not _LEAF.fullmatch(digits):
        raise LeafInvalidError(
            f"Give {limits.LEAF_DIGITS_MIN} to {_LEAF_CHARS} hex digits of a hash.", leaf=text[:80]
        )
    low = bytes.fromhex(digits.ljust(_LEAF_CHARS, "0"))
    high = bytes.fromhex(digits.ljust(_LEAF_CHARS, "f"))
    # The index holds the first bytes of a hash: random keys cost an append most, so they are short.
    start = Substr("leaf", 1, _INDEXED_BYTES, output_field=BinaryField())
    return rows.alias(leaf_start=start).filter(
        leaf_start__gte=low[:_INDEXED_BYTES],
        leaf_start__lte=high[:_INDEXED_BYTES],
        leaf__gte=low,
        leaf__lte=high,
    )


def _read_stream(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return stream_id_of(text)


def _list_actors(text: str) -> list[str]:
    """Return the ids a text may mean: itself, or the accounts of that name, the nearest only."""
    own = _OWN_ACTORS.get(text.strip().lower())
    if own is not None:
        return [own]
    named = User.objects.filter(username=text.strip().lower()).values_list("pk", flat=True)
    like = User.objects.filter(
        Q(name__icontains=text.strip()) | Q(username__icontains=text.strip())
    ).values_list("pk", flat=True)
    exact = list(named)
    found = exact or list(like.order_by("username")[: limits.ACTOR_NAME_COUNT_MAX])
    return [text, *(str(key) for key in found)]


def _list_subjects(text: str) -> list[str]:
    """Return the subjects a text may mean: itself, what has that id, what people call so."""
    try:
        key = UUID(text.strip())
    except ValueError:
        return [text, *wording.find_subjects(text)]
    return [text, str(key), *(f"{noun}:{key}" for noun in wording.subject_nouns())]


def _list_scopes(slug: str) -> list[UUID]:
    """Return the scopes of a project and of its workflows; nothing for one that is not there."""
    inside = Scope.objects.filter(Q(project__slug=slug) | Q(parent__project__slug=slug))
    return list(inside.values_list("pk", flat=True))
