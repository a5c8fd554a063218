"""What the address of the ledger's page narrows it to. Read `read_filters`.

The address is the whole search, so that it can be shared, kept and linked to from elsewhere: `kind`
(several, or `group:<key>`), `actor`, `subject`, `project`, `stream`, `leaf`, `when` (a preset), or
`since` and `until` (instants, UTC where nothing else is said).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils.dateparse import parse_datetime

from audit import wording
from audit.narrowing import EntryFilters
from core.toolkit.portal.address import Query

GROUP: Final = "group:"
PRESETS: Final[Mapping[str, tuple[str, timedelta]]] = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 30 days", timedelta(days=30)),
}
NAMES: Final = ("actor", "subject", "kind", "project", "stream", "leaf", "when", "since", "until")
_CHARS_MAX: Final = 200  # of one filter; the subjects of entries may be longer, people type less


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for, and in words what of the address makes no sense."""

    filters: EntryFilters
    problems: tuple[str, ...]


def read_filters(query: Query, *, now: datetime) -> Search:
    """Return what the address asks for; nonsense is left out and said."""
    problems: list[str] = []
    since = read_instant(query.get("since"), problems)
    until = read_instant(query.get("until"), problems)
    preset = PRESETS.get(query.get("when"))
    if preset is not None and since is None and until is None:
        since = now - preset[1]
    kind = query.get("kind")
    filters = EntryFilters(
        stream=_text(query, "stream"),
        kinds=_read_kinds(kind, problems),
        actor=_text(query, "actor"),
        subject=_text(query, "subject"),
        project=_text(query, "project"),
        leaf=_text(query, "leaf"),
        since=since,
        until=until,
    )
    return Search(filters=filters, problems=tuple(problems))


def read_instant(text: str, problems: list[str]) -> datetime | None:
    """Return an instant as people type it, in UTC where they say nothing; nonsense is a problem."""
    if not text:
        return None
    try:
        # A plus sign that nobody escaped arrives as a space; a day alone begins at its midnight.
        found = parse_datetime(text.strip().replace(" ", "+") if "T" in text else f"{text}T00:00")
    except ValueError:
        found = None
    if found is None:
        problems.append(f"“{text[:40]}” is no time. Write 2026-11-22 or 2026-11-22T14:30.")
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _text(query: Query, name: str) -> str | None:
    return query.get(name).strip()[:_CHARS_MAX] or None


def _read_kinds(text: str, problems: list[str]) -> tuple[str, ...] | None:
    """Return the kinds of "vote.cast", "a.one,b.two" or "group:runs", `None` for any."""
    if not text:
        return None
    if text.startswith(GROUP):
        group = wording.find_group(text.removeprefix(GROUP))
        if group is None:
            problems.append(f"There is no group of kinds “{text.removeprefix(GROUP)[:40]}”.")
            return None
        return tuple(item.kind for item in group.kinds)
    return tuple(part.strip()[:_CHARS_MAX] for part in text.split(",")[:50])
