"""The figures of a report, against a ledger made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.domain.meanings import Meaning
from audit.domain.report import Times, make_report, per_mille, say_times
from audit.domain.report_document import Seal, make_document, write_lines
from audit.domain.report_notes import Fact, Notes, note
from core.kernel import limits
from core.kernel.canonical import entry_bytes

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL = datetime(2026, 3, 31, tzinfo=UTC)


class Book:
    """A ledger of facts: each at a minute of the period, noted in order."""

    def __init__(self):
        self.notes = Notes()
        self.id = 0

    def add(self, meaning, subject, minute, *, actor="mara", inside=True, **facts):
        self.id += 1
        known = {"actor_kind": "person", "asked_for": "", "reason": "", "policy": "", "kind": ""}
        known |= {name: facts.pop(name) for name in list(known) if name in facts}
        fact = Fact(
            id=self.id,
            at=SINCE + timedelta(minutes=minute),
            actor=actor,
            subject=subject,
            data=facts,
            **known,
        )
        note(self.notes, fact, meaning, is_inside=inside)
        return self.id

    def run(self, name, *, at, ends=None, outcome="succeeded", by="mara", number=1, **facts):
        run = {"number": number, "project": "demo", "workflow": "ship"}
        inside = facts.pop("inside", True)
        self.add(Meaning.RUN_BEGUN, f"run:{name}", at, actor=by, inside=inside, run=run, **facts)
        if ends is not None:
            self.add(Meaning.RUN_ENDED, f"run:{name}", ends, actor="engine", outcome=outcome)

    def ask(self, name, run, *, at, votes=(), ends=None, outcome="approved", inside=True):
        subject = f"request:{name}"
        self.add(Meaning.REQUEST_OPENED, subject, at, inside=inside, number=7, run=run)
        for who, minute, decision in votes:
            self.add(
                Meaning.VOTE,
                subject,
                minute,
                actor=who,
                inside=inside,
                stage="one",
                decision=decision,
                person=f"person-{who}",
            )
        if ends is not None:
            self.add(
                Meaning.REQUEST_CLOSED,
                subject,
                ends,
                inside=inside,
                outcome=outcome,
                closure="decision" if votes else "time",
            )

    def report(self, *, until=UNTIL, **options):
        person_of = options.pop("person_of", lambda account: f"person-{account}")
        return make_report(self.notes, since=SINCE, until=until, person_of=person_of)


@pytest.fixture
def book():
    return Book()


def test_an_empty_period_has_zeros_and_a_bucket_for_every_day(book):
    report = book.report()

    assert (report.entries, report.runs.begun, report.approvals.opened) == (0, 0, 0)
    assert report.four_eyes.share == 0
    assert len(report.buckets) == 30
    assert report.buckets[0].day.isoformat() == "2026-03-01"


def test_runs_are_counted_by_how_they_ended_who_began_them_and_where(book):
    book.run("a", at=0, ends=10)
    book.run("b", at=1, ends=21, outcome="failed", by="bot", actor_kind="agent")
    book.run("c", at=2)

    runs = book.report().runs

    assert (runs.begun, runs.ended, runs.open) == (3, 2, 1)
    assert runs.outcomes == {"failed": 1, "succeeded": 1}
    assert runs.begun_by_kind == {"agent": 1, "person": 2}
    assert runs.begun_by == (("mara", 2), ("bot", 1))
    assert runs.times == Times(count=2, p50_ms=600_000, p95_ms=1_200_000, max_ms=1_200_000)
    (row,) = runs.workflows
    assert (row.project, row.workflow, row.begun, row.ended) == ("demo", "ship", 3, 2)


@pytest.mark.parametrize(
    ("votes", "outcome", "covered"),
    [
        ([("ada", 5, "approve")], "approved", 1),
        ([("mara", 5, "approve")], "approved", 0),  # who asked
        ([("ada", 5, "reject")], "rejected", 0),
        ([("ada", 5, "approve")], "voided", 0),  # approved by one, and then came to nothing
        ([("ada", 5, "approve"), ("ada", 6, "reject")], "approved", 0),  # took it back
        ([("mara", 5, "approve"), ("ada", 6, "approve")], "approved", 1),
        ([], "expired", 0),
    ],
)
def test_four_eyes_are_another_person_who_approved(book, votes, outcome, covered):
    book.run("a", at=0, ends=10, number=12)
    book.ask("q", "a", at=1, votes=votes, ends=8, outcome=outcome)

    found = book.report().four_eyes

    assert (found.ended, found.covered, found.share) == (1, covered, 1000 * covered)
    assert [item.number for item in found.uncovered] == [12] * (1 - covered)


def test_a_vote_of_another_account_of_who_asked_is_no_second_pair_of_eyes(book):
    book.run("a", at=0, ends=10)
    book.add(Meaning.REQUEST_OPENED, "request:q", 1, run="a", number=1)
    book.add(
        Meaning.VOTE,
        "request:q",
        5,
        actor="mara2",
        decision="approve",
        stage="one",
        person="person-mara",
    )
    book.add(Meaning.REQUEST_CLOSED, "request:q", 5, outcome="approved", closure="decision")

    assert book.report().four_eyes.covered == 0


def test_whoever_a_run_was_asked_for_is_no_second_pair_of_eyes(book):
    book.run("a", at=0, ends=10, by="bot", actor_kind="agent", asked_for="ada")
    book.ask("q", "a", at=1, votes=[("ada", 5, "approve")], ends=5)

    assert book.report().four_eyes.covered == 0


def test_who_asked_for_the_caller_is_no_second_pair_of_eyes_in_the_called_run(book):
    book.run("a", at=0, ends=30, by="bot", actor_kind="agent", asked_for="ada")
    book.run("b", at=6, ends=20, by="engine", asked_for="bot", parent={"run": "a"})
    book.ask("q", "b", at=7, votes=[("ada", 9, "approve")], ends=9)

    assert book.report().four_eyes.covered == 0


def test_a_called_run_counts_with_its_caller(book):
    book.run("a", at=0, ends=30)
    book.ask("q", "a", at=1, votes=[("ada", 5, "approve")], ends=5)
    book.run("b", at=6, ends=7, parent={"run": "a"})
    book.run("c", at=6, ends=7, parent={"run": "nobody"})

    found = book.report().four_eyes

    assert (found.ended, found.covered, found.share) == (3, 2, 666)
    assert [item.run for item in found.uncovered] == ["c"]


def test_an_approval_of_before_the_period_covers_and_is_not_counted(book):
    book.run("a", at=-50, inside=False)
    book.ask("q", "a", at=-40, votes=[("ada", -30, "approve")], ends=-30, inside=False)
    book.add(Meaning.RUN_ENDED, "run:a", 10, outcome="succeeded")

    report = book.report()

    assert (report.four_eyes.ended, report.four_eyes.covered) == (1, 1)
    assert (report.runs.begun, report.runs.ended) == (0, 1)
    assert (report.approvals.closed, report.approvals.votes, report.entries) == (0, 0, 1)


def test_requests_are_counted_with_who_decided_and_how_long_it_took(book):
    book.ask("a", "r", at=0, votes=[("ada", 10, "approve"), ("noor", 20, "approve")], ends=20)
    book.ask("b", "r", at=0, votes=[("ada", 40, "reject")], ends=40, outcome="rejected")
    book.ask("c", "r", at=0, ends=60, outcome="expired")

    found = book.report().approvals

    assert (found.opened, found.closed, found.by_several, found.votes) == (3, 3, 1, 3)
    assert found.outcomes == {"approved": 1, "expired": 1, "rejected": 1}
    assert found.closures == {"decision": 2, "time": 1}
    assert [(item.actor, item.approved, item.rejected) for item in found.deciders] == [
        ("ada", 1, 1),
        ("noor", 1, 0),
    ]
    assert (found.times.count, found.times.p50_ms, found.times.max_ms) == (2, 1_200_000, 2_400_000)


def test_answers_about_errors_are_no_approvals(book):
    book.run("r", at=0, ends=90)
    book.ask("a", "r", at=0, votes=[("ada", 10, "retry")], ends=10, outcome="retry")

    report = book.report()

    assert (report.approvals.opened, report.four_eyes.covered) == (0, 0)


def test_a_vote_under_five_seconds_is_listed_from_when_its_stage_opened(book):
    book.add(Meaning.REQUEST_OPENED, "request:q", 0, run="r", number=9)
    facts = {"decision": "approve", "person": "p"}
    book.add(Meaning.VOTE, "request:q", 4 / 60, actor="ada", stage="one", **facts)
    book.add(Meaning.STAGE_OPENED, "request:q", 60, stage="two")
    book.add(Meaning.VOTE, "request:q", 60 + 2 / 60, actor="noor", stage="two", **facts)
    book.add(Meaning.VOTE, "request:q", 60 + 6 / 60, actor="lin", stage="two", **facts)

    found = book.report().approvals

    assert found.quick_count == 2
    assert [(item.actor, item.ms, item.number) for item in found.quick] == [
        ("ada", 4_000, 9),
        ("noor", 2_000, 9),
    ]


def test_what_operators_did_is_listed_and_running_again_with_it(book):
    book.add(Meaning.OPERATOR, "run:a", 1, kind="run.paused", actor="ada")
    book.run("b", at=2, rerun={"of": "a"})

    found = book.report().operator

    assert (found.count, found.counts) == (2, {"run.paused": 1, "run.rerun": 1})
    assert [item.actor for item in found.items] == ["ada", "mara"]


def test_who_published_what_they_wrote_is_told(book):
    book.add(Meaning.SAVED, "version:v", 0, actor="mara")
    own = book.add(Meaning.PUBLISHED, "version:v", 1, actor="mara", rev=3)
    book.add(Meaning.SAVED, "version:w", 0, actor="mara", inside=False)
    book.add(Meaning.PUBLISHED, "version:w", 1, actor="ada", rev=4)
    book.add(Meaning.PUBLISHED, "version:x", 1, actor="ada", rev=1)

    report = book.report()

    assert [(item.rev, item.author, item.is_own) for item in report.publishes] == [
        ("3", "mara", True),
        ("4", "mara", False),
        ("1", "", False),
    ]
    assert report.publishes[0].id == own
    assert (report.publish_count, report.own_publish_count) == (3, 1)


def test_refusals_late_decisions_access_and_upkeep_have_their_sections(book):
    book.add(Meaning.REFUSED, "", 1, kind="access.refused", permission="decide", reason="grants")
    book.add(Meaning.LATE, "request:q", 2, kind="decision.late", decision="approve")
    book.add(Meaning.ACCESS, "x", 3, kind="role.assigned", role="approver")
    book.add(Meaning.UPKEEP, "x", 4, kind="payload.redacted", policy="because")

    report = book.report()

    (refused,) = report.refused.items
    assert (refused.what, refused.why) == ("decide", "grants")
    assert report.late.count == report.approvals.late_count == 1
    assert report.access.items[0].what == "approver"
    assert report.upkeep.items[0].why == "because"


def test_lists_are_cut_and_counts_are_not(book):
    most = limits.REPORT_LIST_COUNT_MAX
    for _ in range(3 * most):
        book.add(Meaning.REFUSED, "", 1, kind="access.refused")

    found = book.report().refused

    assert (found.count, len(found.items)) == (3 * most, most)
    assert found.items[-1].id == most


def test_a_long_period_goes_by_weeks_and_every_end_is_in_one(book):
    book.run("a", at=0, ends=70 * 24 * 60)
    book.ask("q", "a", at=0, votes=[("ada", 9, "approve")], ends=9)

    found = book.report(until=SINCE + timedelta(days=71))

    assert (found.bucket_days, len(found.buckets)) == (7, 11)
    assert found.buckets[0].approved == 1
    assert found.buckets[-1].runs == {"succeeded": 1}
    assert sum(sum(item.runs.values()) for item in found.buckets) == 1


@pytest.mark.parametrize(
    ("seconds", "p50", "p95"),
    [([], 0, 0), ([3], 3, 3), ([1, 2], 1, 2), (list(range(1, 101)), 50, 95)],
)
def test_percentiles_are_of_the_nearest_rank(seconds, p50, p95):
    found = say_times([timedelta(seconds=item) for item in seconds])

    assert (found.count, found.p50_ms, found.p95_ms) == (len(seconds), p50 * 1000, p95 * 1000)


def test_shares_are_rounded_down():
    assert (per_mille(2, 3), per_mille(0, 0), per_mille(3, 3)) == (666, 0, 1000)


def test_the_document_is_canonical_without_floats_and_every_figure_has_a_line(book):
    book.run("a", at=0, ends=10, by="=cmd()")
    seal = Seal(
        last_entry=3,
        tree_size=0,
        root="",
        note="",
        head_fault="",
        sealed_at=None,
        entry_count=2,
        sealed_count=0,
        bad=None,
        is_complete=True,
        checked_at=UNTIL,
    )

    document: dict[str, Any] = make_document(
        book.report(),
        project="",
        made_at=UNTIL,
        made_by="mara",
        names={"=cmd()": "=1+1"},
        seal=seal,
    )
    lines = write_lines(document).decode().splitlines()

    assert entry_bytes(document)
    assert document["report"]["since"] == "2026-03-01T00:00:00.000000Z"
    assert lines[0] == "section,name,value,more"
    assert "runs,begun,1," in lines
    assert "runs,outcomes.succeeded,1," in lines
    assert "four_eyes,uncovered[1],," in "\n".join(lines)
    assert not any(line.startswith("=") for line in lines)
