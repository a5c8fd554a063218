"""One person after the other decides, on real PostgreSQL."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from approvals.domain import errors
from approvals.models import Comment, Request, RequestStatus, Stage, Vote
from approvals.services.decide import decide
from approvals.services.expire import expire_due
from audit import store as ledger
from core.toolkit.db import read_database_clock
from engine.driver import DriveEnd
from engine.models import Run
from tests.integration.approvals.conftest import PEER, entries, kinds, stage


def run_of(request):
    return Run.objects.get(pk=request.run_id)


def test_an_approval_moves_the_run_on_and_everything_is_on_record(office):
    request = office.open()

    result = office.decide(request, "ann", comment="looks good")

    assert (result.status, result.outcome, result.replayed) == ("closed", "approved", False)
    assert (result.approval_count, result.needed_count) == (1, 1)
    request.refresh_from_db()
    assert (request.status, request.outcome, request.closure) == ("closed", "approved", "decision")
    assert (request.closed_by_name, request.closed_at) == ("Ann", result.at)
    assert kinds(request) == ["request.opened", "vote.cast", "stage.closed", "request.closed"]
    assert office.hand.drive(request.run_id) is DriveEnd.CLOSED
    run = run_of(request)
    assert (run.status, run.outcome) == ("CLOSED", "succeeded")


def test_the_run_names_the_deciding_vote_and_the_request_names_the_runs_entry(office):
    request = office.open()
    office.decide(request, "ann")

    vote = Vote.objects.get(request=request)
    run_entries = ledger.read_verified(stream=request.run_id, limit=100)
    [asked] = [entry for entry in run_entries if entry.kind == "approval.requested"]
    [resolved] = [entry for entry in run_entries if entry.kind == "approval.resolved"]
    [opened] = entries(request, "request.opened")
    [cast] = entries(request, "vote.cast")
    assert resolved.data["entry_leaf"] == bytes(vote.leaf).hex() == cast.leaf.hex()
    assert resolved.data["request"] == str(request.pk)
    assert (opened.data["run_seq"], opened.data["run_leaf"]) == (asked.seq, asked.leaf.hex())
    assert opened.data["shown"] == bytes(vote.shown_digest).hex()


def test_a_rejection_ends_the_run_as_rejected(office):
    request = office.open()

    result = office.decide(request, "ann", "reject")

    assert (result.status, result.outcome) == ("closed", "rejected")
    office.hand.drive(request.run_id)
    assert run_of(request).outcome == "rejected"
    assert Comment.objects.get().text == "not today"


def test_one_veto_ends_a_stage_that_others_approved(office):
    request = office.open(stage("peer", groups=["board"], count=3))
    office.decide(request, "ann")
    office.decide(request, "bob")

    result = office.decide(request, "cid", "reject")

    assert (result.outcome, result.approval_count) == ("rejected", 2)


def test_a_stage_needs_its_count_of_different_people(office):
    request = office.open(stage("peer", groups=["board"], count=2))

    first = office.decide(request, "ann")
    again = office.decide(request, "ann")
    second = office.decide(request, "bob")

    assert (first.status, first.approval_count) == ("open", 1)
    assert again.replayed
    assert second.outcome == "approved"
    assert Vote.objects.filter(request=request).count() == 2


def test_the_second_account_of_a_person_is_the_same_person(office):
    request = office.open(stage("peer", groups=["board"], count=2))
    office.second_account("ann2", of="ann")
    first = office.decide(request, "ann")

    again = office.decide(request, "ann2")

    assert again.replayed
    assert again.vote_id == first.vote_id
    with pytest.raises(errors.AlreadyDecidedError):
        office.decide(request, "ann2", "reject")
    assert Vote.objects.filter(request=request).count() == 1


def test_two_stages_come_one_after_the_other(office):
    office.user("dan", "approver", groups=("directors",))
    request = office.open(PEER, stage("board", groups=["directors"]))

    with pytest.raises(errors.MayNotDecideError, match="not among the approvers"):
        office.decide(request, "dan")
    first = office.decide(request, "ann")
    last = office.decide(request, "dan")

    assert (first.status, first.stage_status) == ("open", "approved")
    assert (last.stage, last.outcome) == ("board", "approved")
    assert kinds(request) == [
        "request.opened",
        "decision.refused",
        "vote.cast",
        "stage.closed",
        "stage.opened",
        "vote.cast",
        "stage.closed",
        "request.closed",
    ]


def test_a_stage_with_a_false_condition_is_skipped_and_recorded(office):
    request = office.open(
        PEER, stage("board", groups=["nobody"], when="inputs.amount > 5"), inputs={"amount": 1}
    )

    result = office.decide(request, "ann")

    assert result.outcome == "approved"
    assert list(Stage.objects.order_by("position").values_list("key", "status")) == [
        ("peer", "approved"),
        ("board", "skipped"),
    ]


def test_a_condition_that_errs_keeps_its_stage(office):
    office.user("dan", "approver", groups=("directors",))
    request = office.open(
        PEER, stage("board", groups=["directors"], when="inputs.missing > 5"), inputs={}
    )

    first = office.decide(request, "ann")

    assert first.status == "open"
    assert request.notes[0]["path"] == "/stages/1/when"
    assert office.decide(request, "dan").outcome == "approved"


def test_a_double_click_never_counts_in_the_next_stage(office):
    request = office.open(PEER, stage("board", groups=["board"]))
    first = office.decide(request, "ann", stage="peer")

    again = office.decide(request, "ann", stage="peer")
    unnamed = office.decide(request, "ann")

    assert again.replayed
    assert unnamed.replayed
    assert unnamed.vote_id == first.vote_id
    request.refresh_from_db()
    assert request.status == RequestStatus.OPEN
    meant = office.decide(request, "ann", stage="board")
    assert (meant.replayed, meant.outcome) == (False, "approved")


def test_the_same_key_and_body_give_the_first_result(office):
    request = office.open(stage("peer", groups=["board"], count=2))
    first = office.decide(request, "ann", idempotency_key="k")
    office.decide(request, "bob")

    again = office.decide(request, "ann", idempotency_key="k")

    assert again.replayed
    assert (again.status, again.approval_count, again.at) == ("open", 1, first.at)
    with pytest.raises(errors.KeyReusedError):
        office.decide(request, "ann", idempotency_key="k", comment="other")
    assert kinds(request)[-2:] == ["decision.repeated", "decision.refused"]


def test_a_stage_that_is_not_open_cannot_be_decided(office):
    request = office.open(PEER, stage("two", groups=["board"]))

    with pytest.raises(errors.StageClosedError):
        office.decide(request, "ann", stage="two")


def test_another_decision_of_the_same_person_is_refused(office):
    request = office.open(stage("peer", groups=["board"], count=2))
    office.decide(request, "ann")

    with pytest.raises(errors.AlreadyDecidedError):
        office.decide(request, "ann", "reject")
    assert entries(request, "decision.refused")


def test_a_decided_request_says_by_whom_when_and_how(office):
    request = office.open()
    first = office.decide(request, "ann")

    with pytest.raises(errors.RequestClosedError) as caught:
        office.decide(request, "bob")

    assert caught.value.details == {
        "outcome": "approved",
        "closed_at": first.at,
        "closed_by": "Ann",
    }
    assert kinds(request)[-1] == "decision.refused"


def test_a_late_decision_is_refused_and_on_record(office):
    request = office.open()
    office.overdue(request)

    with pytest.raises(errors.RequestExpiredError):
        office.decide(request, "ann")

    [entry] = entries(request, "decision.late")
    assert entry.data["person"] == str(office.users["ann"].person_id)
    assert not Vote.objects.exists()


def test_a_decision_just_before_the_deadline_counts(office):
    request = office.open()
    Request.objects.filter(pk=request.pk).update(
        expires_at=read_database_clock() + timedelta(seconds=20)
    )

    assert office.decide(request, "ann").outcome == "approved"


# --- shapes that later issues use ---------------------------------------------------------------


def test_a_request_that_stands_alone_is_decided_and_ends_in_time_without_a_run(office):
    alone, overdue = office.open(), office.open()
    Request.objects.filter(pk__in=[alone.pk, overdue.pk]).update(run=None)
    office.overdue(overdue)

    assert office.decide(alone, "ann").outcome == "approved"
    assert expire_due() == 1


def test_in_the_next_round_the_digest_of_the_last_one_is_refused(office):
    request = office.open()
    earlier = bytes(request.shown_digest)
    Request.objects.filter(pk=request.pk).update(round=2)
    Stage.objects.filter(request=request).update(round=2)

    with pytest.raises(errors.SubjectChangedError) as caught:
        office.decide(request, "ann", digest_hex=earlier.hex())

    assert caught.value.details["changed"] == ["round", "subject", "form"]
    stands = caught.value.details["digest"]
    assert office.decide(request, "ann", digest_hex=stands).round == 2


# --- the database itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    ["UPDATE approvals_vote SET name = 'x'", "DELETE FROM approvals_vote"],
)
def test_votes_never_change(office, statement):
    office.decide(office.open(), "ann")

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)


def test_deciding_costs_a_bounded_number_of_statements(office):
    office.decide(office.open(), "ann")  # what a process keeps is loaded once
    closing, staying = office.open(), office.open(stage("peer", groups=["board"], count=2))

    counts = []
    for request in (closing, staying):
        principal = office.principal("bob")
        digest_hex = bytes(request.shown_digest).hex()
        with CaptureQueriesContext(connection) as queries:
            decide(
                principal=principal,
                request_id=request.pk,
                decision="approve",
                digest_hex=digest_hex,
            )
        counts.append(len(queries))

    assert counts[0] <= 19
    assert counts[1] <= 16
