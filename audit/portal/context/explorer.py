"""The page of the ledger: filters, chips and rows. Read `make_explorer`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.urls import reverse

from audit import wording
from audit.portal.filters import GROUP, NAMES, PRESETS
from audit.selectors.entries import LedgerEntry
from audit.selectors.explorer import ExplorerPage
from audit.selectors.naming import ActorName
from core.toolkit.portal.address import Query
from core.toolkit.portal.words import say_exactly

PAGE_COUNT: Final = 50
_LABELS: Final = {
    "actor": "Who",
    "subject": "About",
    "kind": "What",
    "project": "Project",
    "stream": "Stream",
    "leaf": "Hash",
    "when": "When",
    "since": "From",
    "until": "Before",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A choice of a filter."""

    value: str
    words: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceGroup:
    """Kinds under their heading; the first choice is all of them."""

    label: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChip:
    """A filter that holds, and the address without it."""

    label: str
    words: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """An entry as one line. `about_href` and `project` may be ""."""

    id: int
    href: str
    at: datetime
    exact: str
    actor: ActorName
    actor_href: str
    behalf: str
    says: str
    label: str
    icon: str
    about: str
    about_href: str
    project: str
    is_sealed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerContext:
    """Everything the page shows."""

    rows: tuple[EntryRow, ...]
    chips: tuple[FilterChip, ...]
    kinds: tuple[ChoiceGroup, ...]
    presets: tuple[Choice, ...]
    projects: tuple[Choice, ...]
    values: dict[str, str]
    problems: tuple[str, ...]
    is_narrow: bool
    sees_everything: bool
    older_href: str
    newest_href: str


def make_explorer(
    page: ExplorerPage, *, query: Query, problems: tuple[str, ...]
) -> ExplorerContext:
    """Return the page; one entry more than are shown tells that others follow."""
    shown = page.entries[:PAGE_COUNT]
    older = shown[-1].id if len(page.entries) > PAGE_COUNT else None
    rows = tuple(_row(entry, page=page, query=query) for entry in shown)
    return ExplorerContext(
        rows=rows,
        chips=tuple(_chip(name, query=query, rows=rows) for name in NAMES if query.get(name)),
        kinds=_kinds(query.get("kind")),
        presets=tuple(
            Choice(value=key, words=words, is_chosen=query.get("when") == key)
            for key, (words, _) in PRESETS.items()
        ),
        projects=_projects(page.projects, query.get("project")),
        values={name: query.get(name) for name in NAMES},
        problems=problems,
        is_narrow=any(query.get(name) for name in NAMES),
        sees_everything=page.sees_everything,
        older_href=query.change(after=older) if older else "",
        newest_href=query.change(after="") if query.get("after") else "",
    )


def make_problem(problem: str, *, query: Query) -> ExplorerContext:
    """Return the page for a search that makes no sense: the filters, and why nothing is shown."""
    return ExplorerContext(
        rows=(),
        chips=tuple(_chip(name, query=query, rows=()) for name in NAMES if query.get(name)),
        kinds=_kinds(query.get("kind")),
        presets=tuple(
            Choice(value=key, words=words, is_chosen=query.get("when") == key)
            for key, (words, _) in PRESETS.items()
        ),
        projects=_projects((), query.get("project")),
        values={name: query.get(name) for name in NAMES},
        problems=(problem,),
        is_narrow=True,
        sees_everything=True,
        older_href="",
        newest_href="",
    )


def _row(entry: LedgerEntry, *, page: ExplorerPage, query: Query) -> EntryRow:
    view, names = entry.view, page.names
    actor = names.actor(view.actor)
    behalf = view.on_behalf_of
    subject = names.subject(view)
    place = names.place(view)
    return EntryRow(
        id=entry.id,
        href=reverse("audit_portal:entry", args=(entry.id,)),
        at=view.at,
        exact=say_exactly(view.at),
        actor=actor,
        actor_href=query.change(actor=actor.username or actor.id, after=""),
        behalf=names.actor(behalf).name if behalf is not None else "",
        says=wording.say(view.kind, view.data),
        label=wording.say_label(view.kind),
        icon=wording.find_icon(view.kind),
        about=subject.words if subject is not None else "",
        about_href=subject.href if subject is not None else "",
        project=place.project if place is not None else "",
        is_sealed=entry.id in page.sealed,
    )


def _chip(name: str, *, query: Query, rows: tuple[EntryRow, ...]) -> FilterChip:
    value = query.get(name)
    return FilterChip(
        label=_LABELS[name],
        words=_say_value(name, value, rows=rows),
        href=query.change(**{name: "", "after": ""}),
    )


def _say_value(name: str, value: str, *, rows: tuple[EntryRow, ...]) -> str:
    """Return a filter's value in words.

    Names come from the rows only: an address must not tell who or what there is.
    """
    if name == "kind":
        group = wording.find_group(value.removeprefix(GROUP)) if value.startswith(GROUP) else None
        return group.label if group else ", ".join(map(wording.say_label, value.split(",")[:4]))
    if name == "when":
        return PRESETS[value][0] if value in PRESETS else value
    if name == "actor":
        known = {row.actor.id: row.actor.name for row in rows}
        return known.get(value, value)
    if name == "leaf":
        return f"{value[:12]}…" if len(value) > 12 else value  # noqa: PLR2004  # a beginning
    return value[:80]


def _kinds(chosen: str) -> tuple[ChoiceGroup, ...]:
    groups = []
    for group in wording.list_groups():
        everything = f"{GROUP}{group.key}"
        choices = [
            Choice(
                value=everything,
                words=f"{group.label}: everything",
                is_chosen=chosen == everything,
            )
        ]
        choices += [
            Choice(value=item.kind, words=item.label, is_chosen=chosen == item.kind)
            for item in group.kinds
        ]
        groups.append(ChoiceGroup(label=group.label, choices=tuple(choices)))
    known = {choice.value for group in groups for choice in group.choices}
    if chosen and chosen not in known:  # what an address asks for stays in view
        words = _say_value("kind", chosen, rows=())
        other = Choice(value=chosen, words=words, is_chosen=True)
        groups.append(ChoiceGroup(label="Others", choices=(other,)))
    return tuple(groups)


def _projects(slugs: tuple[str, ...], chosen: str) -> tuple[Choice, ...]:
    names = [*slugs] if not chosen or chosen in slugs else [chosen[:80], *slugs]
    return tuple(Choice(value=slug, words=slug, is_chosen=slug == chosen) for slug in names)
