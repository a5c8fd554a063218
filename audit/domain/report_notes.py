"""What a report keeps of the entries it reads, and how notes of two parts become one.

Read `Notes` first. Notes are small: a few values a run and a request, and of everything that is
listed one by one at most `limits.REPORT_LIST_COUNT_MAX`, those with the lowest entry ids; counts
are always exact. Noting a ledger in parts and merging them gives what noting it whole gives,
whatever the parts.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime

from audit.domain.meanings import Meaning
from core.kernel import limits
from core.kernel.types import Json

RERUN = "run.rerun"  # what a run that was run again counts as among what operators did


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """An entry as a report reads it. `actor` and `asked_for` are opaque ids, "" for nobody."""

    id: int
    kind: str
    at: datetime
    actor: str
    actor_kind: str
    asked_for: str
    subject: str
    reason: str
    policy: str
    data: Mapping[str, Json]


@dataclass(slots=True, kw_only=True)
class RunNote:
    """What is known of a run; `None` and "" where its entry was not read."""

    number: int = 0
    project: str = ""
    workflow: str = ""
    asked_by: str = ""
    asked_for: str = ""
    initiator_kind: str = ""
    parent: str = ""
    began_at: datetime | None = None
    began_inside: bool = False  # of the period
    ended_at: datetime | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteNote:
    """A vote: `person` is the human behind the account `actor`."""

    id: int
    at: datetime
    actor: str
    person: str
    decision: str
    stage: str
    is_inside: bool


@dataclass(slots=True, kw_only=True)
class RequestNote:
    """What is known of a request. `stages` says when each opened, of those after the first."""

    number: int = 0
    run: str = ""
    four_eyes: bool = False
    opened_at: datetime | None = None
    opened_inside: bool = False
    closed_at: datetime | None = None
    closed_inside: bool = False
    outcome: str = ""
    closure: str = ""
    stages: dict[str, datetime] = field(default_factory=dict)
    votes: dict[int, VoteNote] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An entry that is listed by itself. `what` is what was tried, wanted or changed."""

    id: int
    at: datetime
    kind: str
    actor: str
    subject: str
    what: str = ""
    why: str = ""


@dataclass(slots=True, kw_only=True)
class Listing:
    """Items of one section: all counted by kind, the first ones kept."""

    counts: Counter[str] = field(default_factory=Counter)
    items: dict[int, Item] = field(default_factory=dict)

    def add(self, item: Item, *, name: str = "") -> None:
        """Count an item, by its kind or another name, and keep it if it is among the first."""
        self.counts[name or item.kind] += 1
        self.items[item.id] = item
        self._cut(limits.REPORT_LIST_COUNT_MAX * 2)

    def first(self) -> tuple[Item, ...]:
        """Return the items that are kept, in the order of their ids."""
        kept = sorted(self.items)[: limits.REPORT_LIST_COUNT_MAX]
        return tuple(self.items[key] for key in kept)

    def absorb(self, other: "Listing") -> None:
        """Take over another part's."""
        self.counts += other.counts
        self.items |= other.items
        self._cut(limits.REPORT_LIST_COUNT_MAX)

    def _cut(self, over: int) -> None:
        if len(self.items) > over:
            self.items = {item.id: item for item in self.first()}


@dataclass(slots=True, kw_only=True)
class Notes:
    """All that a report keeps. Runs, requests and versions are by id, in text."""

    runs: dict[str, RunNote] = field(default_factory=dict)
    requests: dict[str, RequestNote] = field(default_factory=dict)
    authors: dict[str, str] = field(default_factory=dict)  # of versions
    operator: Listing = field(default_factory=Listing)
    refused: Listing = field(default_factory=Listing)
    late: Listing = field(default_factory=Listing)
    access: Listing = field(default_factory=Listing)
    upkeep: Listing = field(default_factory=Listing)
    published: Listing = field(default_factory=Listing)
    entry_count: int = 0


def note(notes: Notes, fact: Fact, meaning: Meaning, *, is_inside: bool = True) -> None:
    """Note one entry. Entries of before the period (`is_inside` false) only say who and when."""
    if is_inside:
        notes.entry_count += 1
    match meaning:
        case Meaning.RUN_BEGUN | Meaning.RUN_ENDED:
            _note_run(notes, fact, meaning, is_inside=is_inside)
        case Meaning.REQUEST_OPENED | Meaning.STAGE_OPENED | Meaning.VOTE | Meaning.REQUEST_CLOSED:
            _note_request(notes, fact, meaning, is_inside=is_inside)
        case Meaning.RUN_ANSWERED:
            if request := _text(fact.data, "request"):  # none, if it was taken back
                notes.requests.setdefault(request, RequestNote())
        case Meaning.SAVED:
            notes.authors[_id_of(fact.subject)] = fact.actor
        case _:
            if is_inside:
                _listing(notes, meaning).add(_item(fact))


def merge(first: Notes, second: Notes) -> Notes:
    """Return the notes of two parts of a ledger as one; neither may be used any more."""
    for key, run in second.runs.items():
        _absorb(first.runs.setdefault(key, RunNote()), run)
    for key, request in second.requests.items():
        _absorb(first.requests.setdefault(key, RequestNote()), request)
    first.authors |= second.authors
    for name in ("operator", "refused", "late", "access", "upkeep", "published"):
        listing: Listing = getattr(first, name)
        listing.absorb(getattr(second, name))
    first.entry_count += second.entry_count
    return first


def _note_run(notes: Notes, fact: Fact, meaning: Meaning, *, is_inside: bool) -> None:
    key = _id_of(fact.subject)
    run = notes.runs.setdefault(key, RunNote())
    if meaning is Meaning.RUN_ENDED:
        if is_inside:
            run.ended_at, run.outcome = fact.at, _text(fact.data, "outcome")
        return
    facts, parent, again = fact.data.get("run"), fact.data.get("parent"), fact.data.get("rerun")
    if isinstance(facts, Mapping):
        number = facts.get("number")
        run.number = number if isinstance(number, int) else 0
        run.project, run.workflow = _text(facts, "project"), _text(facts, "workflow")
    run.parent = _text(parent, "run") if isinstance(parent, Mapping) else ""
    run.asked_by, run.asked_for = fact.actor, fact.asked_for
    run.initiator_kind = fact.actor_kind
    run.began_at, run.began_inside = fact.at, is_inside
    if isinstance(again, Mapping) and is_inside:
        notes.operator.add(_item(fact), name=RERUN)


def _note_request(notes: Notes, fact: Fact, meaning: Meaning, *, is_inside: bool) -> None:
    data = fact.data
    request = notes.requests.setdefault(_id_of(fact.subject), RequestNote())
    number = data.get("number")
    request.number = number if isinstance(number, int) else request.number
    if meaning is Meaning.REQUEST_OPENED:
        request.run, request.four_eyes = _text(data, "run"), data.get("four_eyes") is True
        request.opened_at, request.opened_inside = fact.at, is_inside
    elif meaning is Meaning.STAGE_OPENED:
        request.stages[_text(data, "stage")] = fact.at
    elif meaning is Meaning.REQUEST_CLOSED:
        request.closed_at, request.closed_inside = fact.at, is_inside
        request.outcome, request.closure = _text(data, "outcome"), _text(data, "closure")
    else:
        request.votes[fact.id] = VoteNote(
            id=fact.id,
            at=fact.at,
            actor=fact.actor,
            person=_text(data, "person"),
            decision=_text(data, "decision"),
            stage=_text(data, "stage"),
            is_inside=is_inside,
        )


def _listing(notes: Notes, meaning: Meaning) -> Listing:
    listings = {
        Meaning.OPERATOR: notes.operator,
        Meaning.REFUSED: notes.refused,
        Meaning.LATE: notes.late,
        Meaning.ACCESS: notes.access,
        Meaning.UPKEEP: notes.upkeep,
        Meaning.PUBLISHED: notes.published,
    }
    return listings[meaning]


def _item(fact: Fact) -> Item:
    data = fact.data
    what = next(
        (found for name in _WHATS if (found := _text(data, name))),
        "",
    )
    return Item(
        id=fact.id,
        at=fact.at,
        kind=fact.kind,
        actor=fact.actor,
        subject=fact.subject,
        what=what,
        why=fact.reason or fact.policy,
    )


# What an item is about, in the first of these that its data holds.
_WHATS = ("permission", "decision", "role", "key", "name", "basis", "subject", "kind", "rev")


def _absorb(kept: RunNote | RequestNote, other: RunNote | RequestNote) -> None:
    """Take over what the other part knows; no two parts know the same thing differently."""
    for item in fields(kept):
        value = getattr(other, item.name)
        own = getattr(kept, item.name)
        if isinstance(own, dict):
            own.update(value)
        elif value:
            setattr(kept, item.name, value)


def _id_of(subject: str) -> str:
    return subject.partition(":")[2] or subject


def _text(data: Mapping[str, Json], name: str) -> str:
    value = data.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
