"""What a period comes to, for auditors: figures from notes. Pure. Read `make_report` first.

Everything is a count, a share in per mille, a time in milliseconds or an item of a bounded list:
no floats, so that the report has one canonical form and a digest. Single people are not ranked by
how fast they decide: it teaches approving without reading.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from audit.domain.report_notes import Item, Notes, RequestNote, RunNote, VoteNote
from core.kernel import limits

APPROVED: Final = "approved"
APPROVE: Final = "approve"
QUICK: Final = timedelta(seconds=5)  # too short to read what is decided
_ANSWERS: Final = frozenset({"retry", "skip", "fail"})  # of questions about errors, no approvals
_DECIDED: Final = frozenset({"approved", "rejected", "overridden"})
_DEPTH_MAX: Final = 50  # runs that called one another

PersonOf = Callable[[str], str]  # an account's id → the id of the person behind it, or itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long things took, milliseconds: the middle one, the 95th of a hundred, the longest."""

    count: int = 0
    p50_ms: int = 0
    p95_ms: int = 0
    max_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRow:
    """The runs of one workflow. `covered` of the `ended` ones passed four eyes."""

    project: str
    workflow: str
    begun: int
    ended: int
    outcomes: Mapping[str, int]
    covered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs of the period. `open`: begun in it and not ended by its end."""

    begun: int
    ended: int
    open: int
    outcomes: Mapping[str, int]
    begun_by_kind: Mapping[str, int]
    begun_by: tuple[tuple[str, int], ...]
    workflows: tuple[WorkflowRow, ...]
    times: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """How one person decided, by the account's id."""

    actor: str
    approved: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickVote:
    """A vote less than five seconds after it could be cast, by the id of its entry."""

    id: int
    request: str
    number: int
    actor: str
    decision: str
    ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """The requests of the period. `by_several`: approved by two persons or more."""

    opened: int
    closed: int
    outcomes: Mapping[str, int]
    closures: Mapping[str, int]
    by_several: int
    under_four_eyes: int
    votes: int
    deciders: tuple[Decider, ...]
    times: Times
    quick_count: int
    quick: tuple[QuickVote, ...]
    late_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UncoveredRun:
    """A run that ended without an approval by somebody else than who asked for it."""

    run: str
    number: int
    project: str
    workflow: str
    asked_by: str
    ended_at: datetime
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FourEyes:
    """How many of the runs that ended passed an approval by another person than who asked.

    A run that another one called counts with that one. `share` is per mille.
    """

    ended: int
    covered: int
    share: int
    uncovered: tuple[UncoveredRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A version that was published. `author` is "" if who saved it is not on record here."""

    id: int
    at: datetime
    version: str
    rev: str
    author: str
    publisher: str
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Things that are listed one by one: how many of each kind, and the first of them."""

    count: int
    counts: Mapping[str, int]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A day, or a week from its first day: requests and runs that ended, and how fast."""

    day: date
    approved: int
    rejected: int
    expired: int
    runs: Mapping[str, int]
    times: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A period: from `since` (included) to `until` (not included)."""

    since: datetime
    until: datetime
    entries: int
    bucket_days: int
    runs: Runs
    approvals: Approvals
    four_eyes: FourEyes
    operator: Section
    publishes: tuple[Publication, ...]
    publish_count: int
    own_publish_count: int
    refused: Section
    late: Section
    access: Section
    upkeep: Section
    buckets: tuple[Bucket, ...]


def make_report(
    notes: Notes, *, since: datetime, until: datetime, person_of: PersonOf = str
) -> Report:
    """Return the figures of a period from the notes of its entries.

    Args:
        notes: of every entry that means something, and of earlier ones of the runs, requests and
            versions that these are about.
        since: the first instant of the period.
        until: the first instant after it.
        person_of: who is behind an account: two accounts of one person are one pair of eyes.
    """
    approvals = {key: item for key, item in notes.requests.items() if item.outcome not in _ANSWERS}
    asked = {key: item for key, item in approvals.items() if not _is_question(item)}
    covered = _Coverage(notes.runs, asked, person_of)
    days = 1 if until - since <= timedelta(days=limits.REPORT_DAY_BUCKET_COUNT_MAX) else 7
    publishes = tuple(
        _publication(item, notes.authors, person_of) for item in notes.published.first()
    )
    return Report(
        since=since,
        until=until,
        entries=notes.entry_count,
        bucket_days=days,
        runs=_runs(notes.runs, covered),
        approvals=_approvals(asked, late_count=sum(notes.late.counts.values())),
        four_eyes=_four_eyes(notes.runs, covered),
        operator=_section(notes.operator.counts, notes.operator.first()),
        publishes=publishes,
        publish_count=sum(notes.published.counts.values()),
        own_publish_count=sum(item.is_own for item in publishes),
        refused=_section(notes.refused.counts, notes.refused.first()),
        late=_section(notes.late.counts, notes.late.first()),
        access=_section(notes.access.counts, notes.access.first()),
        upkeep=_section(notes.upkeep.counts, notes.upkeep.first()),
        buckets=tuple(_buckets(notes.runs, asked, since=since, until=until, days=days)),
    )


def say_times(spans: Iterable[timedelta]) -> Times:
    """Return how long things took; percentiles by the nearest rank."""
    found = sorted(max(0, span // timedelta(milliseconds=1)) for span in spans)
    if not found:
        return Times()
    return Times(
        count=len(found),
        p50_ms=found[_rank(50, len(found))],
        p95_ms=found[_rank(95, len(found))],
        max_ms=found[-1],
    )


def per_mille(part: int, whole: int) -> int:
    """Return a share in per mille, rounded down; 0 of nothing."""
    return part * 1000 // whole if whole else 0


class _Coverage:
    """Which runs passed an approval by another person than who asked."""

    def __init__(
        self, runs: Mapping[str, RunNote], asked: Mapping[str, RequestNote], person_of: PersonOf
    ) -> None:
        self._runs = runs
        self._person_of = person_of
        self._approvers: dict[str, set[str]] = {}
        for request in asked.values():
            if request.outcome == APPROVED:
                self._approvers.setdefault(request.run, set()).update(_approvers(request))

    def covers(self, key: str) -> bool:
        """Say it of one run, by its own approvals or those of the run that called it."""
        asked: set[str] = set()
        approvers: set[str] = set()
        run: RunNote | None = self._runs.get(key)
        for _ in range(_DEPTH_MAX):
            if run is None:
                break
            # Whoever asked for the run that called this one asked for this one too.
            asked |= {self._person_of(item) for item in (run.asked_by, run.asked_for) if item}
            approvers |= self._approvers.get(key, set())
            key, run = run.parent, self._runs.get(run.parent)
        return bool(approvers - asked)


def _runs(runs: Mapping[str, RunNote], covered: _Coverage) -> Runs:
    begun = [run for run in runs.values() if run.began_inside]
    ended = [run for run in runs.values() if run.ended_at is not None]
    by = Counter(run.asked_by for run in begun)
    spans = [
        run.ended_at - run.began_at
        for run in ended
        if run.ended_at is not None and run.began_at is not None
    ]
    return Runs(
        begun=len(begun),
        ended=len(ended),
        open=sum(run.ended_at is None for run in begun),
        outcomes=_sorted(Counter(run.outcome for run in ended)),
        begun_by_kind=_sorted(Counter(run.initiator_kind for run in begun)),
        begun_by=tuple(_most(by)[: limits.REPORT_PEOPLE_COUNT_MAX]),
        workflows=_workflows(runs, covered),
        times=say_times(spans),
    )


def _workflows(runs: Mapping[str, RunNote], covered: _Coverage) -> tuple[WorkflowRow, ...]:
    rows: dict[tuple[str, str], list[tuple[str, RunNote]]] = {}
    for key, run in runs.items():
        if run.began_inside or run.ended_at is not None:
            rows.setdefault((run.project, run.workflow), []).append((key, run))
    return tuple(
        WorkflowRow(
            project=project,
            workflow=workflow,
            begun=sum(run.began_inside for _, run in members),
            ended=sum(run.ended_at is not None for _, run in members),
            outcomes=_sorted(
                Counter(run.outcome for _, run in members if run.ended_at is not None)
            ),
            covered=sum(run.ended_at is not None and covered.covers(key) for key, run in members),
        )
        for (project, workflow), members in sorted(rows.items())
    )


def _approvals(asked: Mapping[str, RequestNote], *, late_count: int) -> Approvals:
    closed = [item for item in asked.values() if item.closed_inside]
    votes = [
        (key, request, vote)
        for key, request in asked.items()
        for vote in request.votes.values()
        if vote.is_inside
    ]
    quick = sorted(_quick(votes), key=lambda item: item.id)
    given = Counter((vote.actor, vote.decision) for _, _, vote in votes)
    people = _most(Counter(vote.actor for _, _, vote in votes))
    return Approvals(
        opened=sum(item.opened_inside for item in asked.values()),
        closed=len(closed),
        outcomes=_sorted(Counter(item.outcome for item in closed)),
        closures=_sorted(Counter(item.closure for item in closed)),
        by_several=sum(item.outcome == APPROVED and len(_approvers(item)) > 1 for item in closed),
        under_four_eyes=sum(item.four_eyes for item in closed),
        votes=len(votes),
        deciders=tuple(
            Decider(actor=actor, approved=given[actor, APPROVE], rejected=given[actor, "reject"])
            for actor, _ in people[: limits.REPORT_PEOPLE_COUNT_MAX]
        ),
        times=say_times(_decision_spans(closed)),
        quick_count=len(quick),
        quick=tuple(quick[: limits.REPORT_LIST_COUNT_MAX]),
        late_count=late_count,
    )


def _quick(votes: Iterable[tuple[str, RequestNote, VoteNote]]) -> Iterable[QuickVote]:
    """Yield the votes that were cast less than five seconds after they could be."""
    for key, request, vote in votes:
        possible = request.stages.get(vote.stage) or request.opened_at
        if possible is not None and vote.at - possible < QUICK:
            yield QuickVote(
                id=vote.id,
                request=key,
                number=request.number,
                actor=vote.actor,
                decision=vote.decision,
                ms=max(0, (vote.at - possible) // timedelta(milliseconds=1)),
            )


def _decision_spans(closed: Iterable[RequestNote]) -> list[timedelta]:
    return [
        item.closed_at - item.opened_at
        for item in closed
        if item.outcome in _DECIDED and item.closed_at is not None and item.opened_at is not None
    ]


def _four_eyes(runs: Mapping[str, RunNote], covered: _Coverage) -> FourEyes:
    ended = [(key, run) for key, run in runs.items() if run.ended_at is not None]
    without = [(key, run) for key, run in ended if not covered.covers(key)]
    without.sort(key=lambda item: (item[1].number, item[0]))
    count = len(ended) - len(without)
    return FourEyes(
        ended=len(ended),
        covered=count,
        share=per_mille(count, len(ended)),
        uncovered=tuple(
            UncoveredRun(
                run=key,
                number=run.number,
                project=run.project,
                workflow=run.workflow,
                asked_by=run.asked_by,
                ended_at=run.ended_at,
                outcome=run.outcome,
            )
            for key, run in without[: limits.REPORT_LIST_COUNT_MAX]
            if run.ended_at is not None
        ),
    )


def _publication(item: Item, authors: Mapping[str, str], person_of: PersonOf) -> Publication:
    version = item.subject.partition(":")[2] or item.subject
    author = authors.get(version, "")
    return Publication(
        id=item.id,
        at=item.at,
        version=version,
        rev=item.what,
        author=author,
        publisher=item.actor,
        is_own=bool(author) and person_of(author) == person_of(item.actor),
    )


def _section(counts: Mapping[str, int], items: tuple[Item, ...]) -> Section:
    return Section(count=sum(counts.values()), counts=_sorted(counts), items=items)


def _buckets(
    runs: Mapping[str, RunNote],
    asked: Mapping[str, RequestNote],
    *,
    since: datetime,
    until: datetime,
    days: int,
) -> Iterable[Bucket]:
    """Yield the days, or weeks, of a period in order, those without anything too."""
    first = since.date()
    last = (until - timedelta(microseconds=1)).date()
    count = (last - first).days // days + 1
    closed: list[list[RequestNote]] = [[] for _ in range(count)]
    ended: list[Counter[str]] = [Counter() for _ in range(count)]
    for request in asked.values():
        if request.closed_inside and request.closed_at is not None:
            closed[(request.closed_at.date() - first).days // days].append(request)
    for run in runs.values():
        if run.ended_at is not None:
            ended[(run.ended_at.date() - first).days // days][run.outcome] += 1
    for place in range(count):
        outcomes = Counter(item.outcome for item in closed[place])
        yield Bucket(
            day=first + timedelta(days=place * days),
            approved=outcomes[APPROVED],
            rejected=outcomes["rejected"],
            expired=outcomes["expired"],
            runs=_sorted(ended[place]),
            times=say_times(_decision_spans(closed[place])),
        )


def _is_question(request: RequestNote) -> bool:
    """Say whether a request asks what becomes of an error: its votes are no approvals."""
    return any(vote.decision in _ANSWERS for vote in request.votes.values())


def _approvers(request: RequestNote) -> set[str]:
    """Return the persons whose last word on a request was to approve it."""
    last: dict[tuple[str, str], str] = {}
    for vote in sorted(request.votes.values(), key=lambda item: item.id):
        last[vote.person, vote.stage] = vote.decision
    return {person for (person, _), decision in last.items() if decision == APPROVE}


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: counts[key] for key in sorted(counts) if counts[key]}


def _rank(percent: int, count: int) -> int:
    return max(0, -(-percent * count // 100) - 1)
