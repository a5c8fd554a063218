"""The compliance report of a period. Read `get_report` first.

Nothing is written here; `audit.services.reporting` makes a report and puts that on record.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from audit import registry, report_rows
from audit.domain.errors import PeriodInvalidError, ReportMissingError, ReportTooLargeError
from audit.domain.meanings import REMEMBERED, Meaning
from audit.domain.report import Report, make_report
from audit.domain.report_document import Seal
from audit.domain.report_notes import Fact, Notes, RequestNote, note
from audit.report_rows import Extent
from audit.sealing.verifying import find_head_fault
from audit.selectors.proofs import latest_head
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project, Scope, User
from core.kernel import limits

_PROGRESS_EVERY: Final = 5_000
_CALL_DEPTH_MAX: Final = 10  # callers of callers that are looked up


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `since` to `until` (aware, half-open), of one project or, without one, everything."""

    since: datetime
    until: datetime
    project_slug: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """A report, what is known of the ledger it is from, and names of accounts by id."""

    report: Report
    seal: Seal
    names: dict[str, str]
    scope_id: UUID | None


def get_report(
    *,
    principal: Principal,
    period: Period,
    now: datetime,
    entry_count_max: int | None = limits.REPORT_ENTRY_COUNT_MAX,
    on_progress: Callable[[int], None] | None = None,
    guarded: bool = True,
) -> ReadReport:
    """Return the report of a period, as far as it has passed.

    Args:
        principal: who reads: `view_audit` in the project, or everywhere.
        period: what it is of.
        now: an end in the future counts as this.
        entry_count_max: how many entries may be folded; `None` for any number.
        on_progress: told how many were, every few thousand.
        guarded: false for whoever runs `manage.py`, who reads the database anyway.

    Raises:
        ReportMissingError: no such project, or the reader may not report on it.
        PeriodInvalidError: the period is none, is to come, or is too long.
        ReportTooLargeError: it has too many entries.
    """
    scope_id = _require(principal, period.project_slug, guarded=guarded)
    since, until = _bounds(period, now=now)
    extent = report_rows.find_extent(since=since, until=until, scopes=_scopes(scope_id))
    notes = _note(extent, entry_count_max=entry_count_max, on_progress=on_progress)
    _look_back(notes, before=since)
    people = {
        str(pk): (str(person), name)
        for pk, person, name in User.objects.filter(pk__in=_accounts(notes)).values_list(
            "pk", "person_id", "name"
        )
    }
    report = make_report(
        notes,
        since=since,
        until=until,
        person_of=lambda account: people[account][0] if account in people else account,
    )
    return ReadReport(
        report=report,
        seal=_seal(extent, now=now),
        names={key: name for key, (_, name) in people.items()},
        scope_id=scope_id,
    )


def list_projects(*, principal: Principal) -> list[tuple[str, str]]:
    """Return the projects the reader may report on as (slug, title), by slug."""
    rows = Project.objects.order_by("slug").values_list("slug", "title", "scope_id")
    return [
        (slug, title)
        for slug, title, scope_id in rows[: limits.LIST_ITEM_COUNT_MAX]
        if _may(principal, scope_id)
    ]


def can_report_everything(*, principal: Principal) -> bool:
    """Say whether the reader may report on the whole ledger."""
    return _may(principal, None)


def _require(principal: Principal, slug: str, *, guarded: bool) -> UUID | None:
    scope_id = None
    if slug:
        scope_id = Project.objects.filter(slug=slug).values_list("scope_id", flat=True).first()
        if scope_id is None:
            raise ReportMissingError
    if guarded and not _may(principal, scope_id):
        raise ReportMissingError
    return scope_id


def _may(principal: Principal, scope_id: UUID | None) -> bool:
    return authorize(
        principal=principal, permission=Permission.VIEW_AUDIT, scope_id=scope_id
    ).allowed


def _bounds(period: Period, *, now: datetime) -> tuple[datetime, datetime]:
    """Return a period in UTC, ended now if its end is to come."""
    since, until = period.since.astimezone(UTC), min(period.until, now).astimezone(UTC)
    if period.until <= period.since:
        raise PeriodInvalidError("The period ends before it begins.")
    if since >= until:
        raise PeriodInvalidError("The period is still to come.")
    if until - since > timedelta(days=limits.REPORT_DAY_COUNT_MAX):
        raise PeriodInvalidError(
            f"A report is of {limits.REPORT_DAY_COUNT_MAX} days at most; make one for each year."
        )
    return since, until


def _scopes(scope_id: UUID | None) -> tuple[UUID, ...] | None:
    if scope_id is None:
        return None
    inside = Scope.objects.filter(parent_id=scope_id).values_list("pk", flat=True)
    return (scope_id, *inside)


def _note(
    extent: Extent, *, entry_count_max: int | None, on_progress: Callable[[int], None] | None
) -> Notes:
    notes, meanings = Notes(), registry.meanings()
    for fact in report_rows.walk_facts(extent, kinds=meanings):
        note(notes, fact, meanings.get(fact.kind, Meaning.UPKEEP))
        if entry_count_max is not None and notes.entry_count > entry_count_max:
            raise ReportTooLargeError(most=entry_count_max)
        if on_progress is not None and notes.entry_count % _PROGRESS_EVERY == 0:
            on_progress(notes.entry_count)
    return notes


def _look_back(notes: Notes, *, before: datetime) -> None:
    """Note who asked and decided before the period, for what the period is about."""
    _note_beginnings(notes, before=before)
    # Those that called runs of the period too, ended or not: their approvals count for these.
    older = [key for key, run in notes.runs.items() if not run.began_inside]
    _note_earlier(
        notes,
        report_rows.list_of_streams(
            streams=older, kinds=_kinds({Meaning.RUN_ANSWERED}), until=before
        ),
    )
    begun = [key for key, item in notes.requests.items() if _is_older(item)]
    requests = REMEMBERED - {Meaning.RUN_BEGUN, Meaning.SAVED}
    _note_earlier(
        notes,
        report_rows.list_of_streams(streams=begun, kinds=_kinds(requests), until=before),
    )
    missing = {
        item.subject
        for item in notes.published.first()
        if item.subject.partition(":")[2] not in notes.authors
    }
    _note_earlier(
        notes,
        report_rows.list_of_subjects(subjects=missing, kinds=_kinds({Meaning.SAVED}), until=before),
    )


def _note_beginnings(notes: Notes, *, before: datetime) -> None:
    """Note how runs began that ended in the period, and those that called them."""
    asked: set[str] = set()
    for _ in range(_CALL_DEPTH_MAX):
        wanted = {key for key, run in notes.runs.items() if run.began_at is None}
        wanted |= {run.parent for run in notes.runs.values() if run.parent} - notes.runs.keys()
        wanted -= asked
        if not wanted:
            return
        asked |= wanted
        _note_earlier(
            notes,
            report_rows.list_of_streams(
                streams=wanted, kinds=_kinds({Meaning.RUN_BEGUN}), until=before
            ),
        )


def _is_older(request: RequestNote) -> bool:
    """Say whether a request was opened before the period."""
    return request.opened_at is None


def _note_earlier(notes: Notes, facts: Iterable[Fact]) -> None:
    meanings = registry.meanings()
    for fact in facts:
        note(notes, fact, meanings[fact.kind], is_inside=False)


def _kinds(wanted: Collection[Meaning]) -> list[str]:
    return [kind for kind, meaning in registry.meanings().items() if meaning in wanted]


def _accounts(notes: Notes) -> list[UUID]:
    """Return the ids of all accounts that notes mention."""
    listings = (
        notes.operator,
        notes.refused,
        notes.late,
        notes.access,
        notes.upkeep,
        notes.published,
    )
    found = {run.asked_by for run in notes.runs.values()}
    found |= {run.asked_for for run in notes.runs.values()}
    found |= {vote.actor for item in notes.requests.values() for vote in item.votes.values()}
    found |= {item.actor for listing in listings for item in listing.first()}
    found |= set(notes.authors.values())
    return [item for text in found if (item := _read_id(text)) is not None]


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None  # the engine, or the platform


def _seal(extent: Extent, *, now: datetime) -> Seal:
    head = latest_head()
    check = report_rows.check_entries(
        extent,
        tree_size=head.size if head else 0,
        limit=limits.REPORT_CHECK_ENTRY_COUNT_MAX,
    )
    return Seal(
        last_entry=extent.last,
        tree_size=head.size if head else 0,
        root=head.root.hex() if head else "",
        note=head.note if head else "",
        head_fault=find_head_fault(size=head.size, root=head.root, note=head.note) if head else "",
        sealed_at=head.at if head else None,
        entry_count=check.entry_count,
        sealed_count=check.sealed_count,
        bad=check.bad,
        is_complete=check.is_complete,
        checked_at=now,
    )
