"""The page of a compliance report. Read `make_report_context`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from audit import registry, wording
from audit.domain.meanings import Meaning
from audit.domain.report import Bucket, Report, Section, Times
from audit.domain.report_notes import RERUN
from audit.portal.charts import Chart, draw_bars, draw_lines
from audit.portal.context.report_parts import ELSEWHERE, REFUSED, Figure, TableView
from audit.services.reporting import MadeReport
from core.toolkit.portal.address import Query
from core.toolkit.portal.words import say_count, say_duration, say_instant

_OUTCOMES: Final = ("succeeded", "rejected", "failed", "expired", "cancelled", "continued")
_MINUTE_MS: Final = 60_000
_UNITS: Final = (("s", 1_000), ("min", _MINUTE_MS), ("h", 3_600_000), ("d", 86_400_000))
_OWN: Final = {"engine": "The engine", "system": "The platform"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """Everything the page shows."""

    period: str
    project: str
    made_at: datetime
    made_by: str
    digest: str
    entry_href: str
    entry_id: int
    is_sound: bool
    check: str
    bad_href: str
    tree_size: int
    root: str
    note: str
    sealed_at: datetime | None
    figures: tuple[Figure, ...]
    charts: tuple[Chart, ...]
    tables: tuple[TableView, ...]
    csv_href: str
    json_href: str


def make_report_context(made: MadeReport, *, query: Query) -> ReportContext:
    """Return what the page of a report shows; `query` is its address."""
    writer = _Writer(made)
    report, seal = made.report, made.seal
    return ReportContext(
        period=f"{say_instant(report.since)[:-4]} to {say_instant(report.until)}",
        project=made.project,
        made_at=made.made_at,
        made_by=made.made_by_name,
        digest=made.digest_hex,
        entry_href=reverse("audit_portal:entry", args=(made.entry_id,)),
        entry_id=made.entry_id,
        is_sound=seal.is_sound,
        check=writer.say_check(),
        bad_href="" if seal.bad is None else reverse("audit_portal:entry", args=(seal.bad,)),
        tree_size=seal.tree_size,
        root=seal.root,
        note=seal.note,
        sealed_at=seal.sealed_at,
        figures=writer.figures(),
        charts=writer.charts(),
        tables=writer.tables(),
        csv_href=query.change(form="csv"),
        json_href=query.change(form="json"),
    )


class _Writer:
    """Puts one report into figures, charts and tables."""

    def __init__(self, made: MadeReport) -> None:
        self._made = made
        self._report = made.report
        self._subjects = _name_subjects(made.report)

    def say_check(self) -> str:
        """Return what checking the period's entries found, in a sentence."""
        seal = self._made.seal
        count = say_count(seal.entry_count, "entry", "entries")
        if seal.bad is not None:
            return (
                f"Entry {seal.bad} does not hold: what it says, its hash or its link was changed."
            )
        if seal.head_fault:
            return seal.head_fault
        which = "" if seal.is_complete else "the first "
        held = f"The hash, the link and the columns of {which}{count} of this period hold"
        if not seal.tree_size:
            return f"{held}; nothing is sealed yet."
        under = f"{seal.sealed_count:,} of them are under the tree head below"
        return f"{held}; {under}, whose signature holds."

    def figures(self) -> tuple[Figure, ...]:
        """Return the first line: what the period came to."""
        runs, asked, eyes = self._report.runs, self._report.approvals, self._report.four_eyes
        return (
            Figure(
                label="Runs begun",
                value=f"{runs.begun:,}",
                more=f"{runs.ended:,} ended, {runs.open:,} open",
                href=self._explore(Meaning.RUN_BEGUN),
            ),
            Figure(
                label="Four eyes",
                value=_percent(eyes.share) if eyes.ended else "none",
                more=f"{eyes.covered:,} of {eyes.ended:,} runs that ended",
                href=self._explore(Meaning.RUN_ENDED),
            ),
            Figure(
                label="Approvals",
                value=f"{asked.closed:,}",
                more=f"{asked.outcomes.get('approved', 0):,} approved, "
                f"{asked.outcomes.get('rejected', 0):,} rejected",
                href=self._explore(Meaning.REQUEST_CLOSED),
            ),
            Figure(
                label="Time to decide",
                value=_span(asked.times.p50_ms) if asked.times.count else "none",
                more=f"95 of 100 within {_span(asked.times.p95_ms)}" if asked.times.count else "",
                href=self._explore(Meaning.VOTE),
            ),
            Figure(
                label="Operators acted",
                value=f"{self._report.operator.count:,}",
                href=self._explore(Meaning.OPERATOR),
            ),
            Figure(
                label="Refused",
                value=f"{self._report.refused.count:,}",
                more=f"{self._report.late.count:,} decided too late",
                href=self._explore(Meaning.REFUSED),
            ),
        )

    def charts(self) -> tuple[Chart, ...]:
        """Return the drawings of the period."""
        buckets = self._report.buckets
        days = [_say_day(item.day) for item in buckets]
        each = "day" if self._report.bucket_days == 1 else "week"
        return (
            self._draw_requests(buckets, days, each=each),
            self._draw_runs(buckets, days, each=each),
            self._draw_times(buckets, days, each=each),
        )

    def _draw_requests(self, buckets: Sequence[Bucket], days: Sequence[str], *, each: str) -> Chart:
        series = {
            "approved": ("Approved", [item.approved for item in buckets]),
            "rejected": ("Rejected", [item.rejected for item in buckets]),
            "expired": ("Expired", [item.expired for item in buckets]),
        }
        sums = {name: sum(counts) for name, (_, counts) in series.items()}
        return draw_bars(
            title=f"Approvals per {each}",
            sentence=f"Approvals per {each}: {sums['approved']} approved, "
            f"{sums['rejected']} rejected, {sums['expired']} expired.",
            days=days,
            series=series,
            href=self._explore(Meaning.REQUEST_CLOSED),
        )

    def _draw_runs(self, buckets: Sequence[Bucket], days: Sequence[str], *, each: str) -> Chart:
        present = [item for item in _OUTCOMES if item in self._report.runs.outcomes]
        series = {
            outcome: (outcome.capitalize(), [item.runs.get(outcome, 0) for item in buckets])
            for outcome in present
        }
        said = ", ".join(f"{self._report.runs.outcomes[outcome]} {outcome}" for outcome in present)
        return draw_bars(
            title=f"Runs that ended per {each}",
            sentence=f"Runs that ended per {each}: {said or 'none'}.",
            days=days,
            series=series,
            href=self._explore(Meaning.RUN_ENDED),
        )

    def _draw_times(self, buckets: Sequence[Bucket], days: Sequence[str], *, each: str) -> Chart:
        times = [item.times for item in buckets]
        longest = max((item.p95_ms for item in times), default=0)
        unit = next(
            (item for item in reversed(_UNITS) if longest >= item[1]), (_UNITS[0][0], 1_000)
        )
        total = self._report.approvals.times
        return draw_lines(
            title=f"Time to decide per {each}",
            sentence=f"Time to decide: half within {_span(total.p50_ms)}, "
            f"95 of 100 within {_span(total.p95_ms)}.",
            days=days,
            series={
                "p50": ("Half within", [_known(item, item.p50_ms) for item in times]),
                "p95": ("95 of 100 within", [_known(item, item.p95_ms) for item in times]),
            },
            unit=unit,
            href=self._explore(Meaning.VOTE),
        )

    def tables(self) -> tuple[TableView, ...]:
        """Return the tables, in the order in which an auditor asks."""
        return (
            self._workflows(),
            self._uncovered(),
            self._deciders(),
            self._quick(),
            self._list(
                "operator",
                "What operators did",
                self._report.operator,
                meaning=Meaning.OPERATOR,
                empty="Nobody moved a run beside what its definition says.",
            ),
            self._publishes(),
            self._list(
                "refused",
                "Refused attempts",
                self._report.refused,
                meaning=Meaning.REFUSED,
                empty="Nothing was refused.",
            ),
            self._list(
                "late",
                "Decisions that came too late",
                self._report.late,
                meaning=Meaning.LATE,
                empty="None.",
            ),
            self._list(
                "access",
                "Changes of access",
                self._report.access,
                meaning=Meaning.ACCESS,
                empty="Nobody's rights changed.",
            ),
            self._list(
                "upkeep",
                "The ledger itself",
                self._report.upkeep,
                meaning=Meaning.UPKEEP,
                empty="No redaction, export, key or report.",
            ),
            self._starters(),
        )

    def _workflows(self) -> TableView:
        rows = tuple(
            (
                self._explore(Meaning.RUN_ENDED, project=row.project),
                (
                    f"{row.project}/{row.workflow}",
                    f"{row.begun:,}",
                    f"{row.ended:,}",
                    *(f"{row.outcomes.get(name, 0):,}" for name in _OUTCOMES[:5]),
                    f"{row.covered:,}",
                ),
            )
            for row in self._report.runs.workflows
        )
        heads = ("Begun", "Ended", *(name.capitalize() for name in _OUTCOMES[:5]), "Four eyes")
        return TableView(
            id="workflows",
            title="Runs by workflow",
            columns=("Workflow", *heads),
            lines=rows,
            empty="No run began or ended.",
            note=_say_times("A run took", self._report.runs.times),
            href=self._explore(Meaning.RUN_ENDED),
        )

    def _uncovered(self) -> TableView:
        eyes = self._report.four_eyes
        rows = tuple(
            (
                self._explore(Meaning.RUN_ENDED, subject=f"run:{item.run}"),
                (
                    f"Run {item.number}" if item.number else "A run",
                    f"{item.project}/{item.workflow}",
                    self._name(item.asked_by),
                    item.outcome.capitalize(),
                    say_instant(item.ended_at),
                ),
            )
            for item in eyes.uncovered
        )
        missing = eyes.ended - eyes.covered
        return TableView(
            id="uncovered",
            title="Runs without a second pair of eyes",
            columns=("Run", "Workflow", "Asked by", "Ended as", "When"),
            lines=rows,
            empty="Every run that ended passed an approval by somebody else than who asked.",
            more=_say_more(missing, len(rows)),
        )

    def _deciders(self) -> TableView:
        asked = self._report.approvals
        rows = tuple(
            (
                self._explore(Meaning.VOTE, actor=item.actor),
                (self._name(item.actor), f"{item.approved:,}", f"{item.rejected:,}"),
            )
            for item in asked.deciders
        )
        several = say_count(asked.by_several, "request")
        return TableView(
            id="deciders",
            title="Who decided",
            columns=("Person", "Approved", "Rejected"),
            lines=rows,
            empty="Nobody decided anything.",
            note=f"{_say_times('A decision took', asked.times)} {several} approved by two persons"
            " or more.",
        )

    def _quick(self) -> TableView:
        asked = self._report.approvals
        rows = tuple(
            (
                reverse("audit_portal:entry", args=(item.id,)),
                (
                    f"A-{item.number}",
                    self._name(item.actor),
                    item.decision.capitalize(),
                    f"{item.ms / 1000:.1f} s",
                ),
            )
            for item in asked.quick
        )
        return TableView(
            id="quick",
            title="Decided in under five seconds",
            columns=("Request", "Who", "Decision", "After"),
            lines=rows,
            empty="Nobody decided faster than one can read.",
            more=_say_more(asked.quick_count, len(rows)),
        )

    def _publishes(self) -> TableView:
        report = self._report
        rows = tuple(
            (
                reverse("audit_portal:entry", args=(item.id,)),
                (
                    self._about(f"version:{item.version}") or f"Version {item.rev}",
                    self._name(item.author) if item.author else "not on record here",
                    self._name(item.publisher),
                    "the same person" if item.is_own else "another person",
                    say_instant(item.at),
                ),
            )
            for item in report.publishes
        )
        return TableView(
            id="publishes",
            title="Versions published",
            columns=("Version", "Written by", "Published by", "That is", "When"),
            lines=rows,
            empty="No version was published.",
            more=_say_more(report.publish_count, len(rows)),
            href=self._explore(Meaning.PUBLISHED),
        )

    def _list(
        self, key: str, title: str, section: Section, *, meaning: Meaning, empty: str
    ) -> TableView:
        rows = tuple(
            (
                # Only readers of the whole ledger may open the entry of a refused attempt.
                ""
                if self._made.project and item.kind == REFUSED
                else reverse("audit_portal:entry", args=(item.id,)),
                (
                    wording.say_label(item.kind),
                    self._name(item.actor),
                    self._about(item.subject) or item.what.replace("_", " "),
                    item.why.replace("_", " "),
                    say_instant(item.at),
                ),
            )
            for item in section.items
        )
        counts = ", ".join(f"{_label(kind)} {count:,}" for kind, count in section.counts.items())
        where = ELSEWHERE if self._made.project and meaning is Meaning.REFUSED else ""
        return TableView(
            id=key,
            title=title,
            columns=("What", "Who", "Of what", "Why", "When"),
            lines=rows,
            empty=empty,
            note=f"{counts}. {where}".strip() if counts else where,
            more=_say_more(section.count, len(rows)),
            href=self._explore(meaning),
        )

    def _starters(self) -> TableView:
        runs = self._report.runs
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in runs.begun_by_kind.items())
        return TableView(
            id="starters",
            title="Who began runs",
            columns=("Account", "Runs"),
            lines=tuple(
                (
                    self._explore(Meaning.RUN_BEGUN, actor=actor),
                    (self._name(actor), f"{count:,}"),
                )
                for actor, count in runs.begun_by
            ),
            empty="Nobody began a run.",
            note=f"By kind of account: {kinds}." if kinds else "",
        )

    def _name(self, actor: str) -> str:
        return _OWN.get(actor) or self._made.names.get(actor) or actor

    def _about(self, subject: str) -> str:
        """Return what people call what an entry is about, "" if nobody here knows."""
        return self._subjects.get(subject, "")

    def _explore(self, meaning: Meaning, **more: str) -> str:
        """Return where the entries of a meaning are listed, of this period and project."""
        kinds = [kind for kind, known in registry.meanings().items() if known is meaning]
        query = {
            "kind": ",".join(kinds),
            "project": self._made.project,
            "since": self._report.since.isoformat(),
            "until": self._report.until.isoformat(),
            **more,
        }
        if meaning is Meaning.UPKEEP:
            query |= {"kind": "", "stream": "ledger"}
        kept = {name: value for name, value in query.items() if value}
        return f"{reverse('audit_portal:explorer')}?{urlencode(kept)}"


def _name_subjects(report: Report) -> dict[str, str]:
    """Return what people call the subjects of the listed items; a query for each noun."""
    sections = (report.operator, report.refused, report.late, report.access, report.upkeep)
    subjects = [item.subject for section in sections for item in section.items]
    subjects += [f"version:{item.version}" for item in report.publishes]
    ids: dict[str, set[UUID]] = {}
    for subject in subjects:
        noun, _, key = subject.partition(":")
        try:
            ids.setdefault(noun, set()).add(UUID(key))
        except ValueError:
            continue  # of something without an id
    return {
        f"{noun}:{key}": name.words
        for noun, keys in ids.items()
        for key, name in wording.name_subjects(noun, keys).items()
    }


def _label(kind: str) -> str:
    return "Run again" if kind == RERUN else wording.say_label(kind)


def _known(times: Times, value: int) -> int | None:
    return value if times.count else None


def _say_times(what: str, times: Times) -> str:
    if not times.count:
        return ""
    return (
        f"{what} {_span(times.p50_ms)} in the middle, {_span(times.p95_ms)} for 95 of 100,"
        f" {_span(times.max_ms)} at the longest."
    )


def _say_more(count: int, shown: int) -> str:
    return f"The first {shown:,} of {count:,}." if count > shown else ""


def _span(milliseconds: int) -> str:
    return say_duration(timedelta(milliseconds=milliseconds))


def _percent(per_mille: int) -> str:
    return f"{per_mille // 10} %" if per_mille % 10 == 0 else f"{per_mille / 10:.1f} %"


def _say_day(day: date) -> str:
    return f"{day.day} {day:%b}"
