"""One person after the other decides, on real PostgreSQL."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from approvals.domain import errors
from approvals.models import Comment, Request, RequestStatus, Stage, Vote
from approvals.services.decide import decide
from audit import store as ledger
from core.identity.domain.errors import AccessForbiddenError
from core.identity.models import User
from core.identity.selectors.principals import get_principal
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.kernel import ids
from core.kernel.record import ActorKind
from core.toolkit.db import read_database_clock
from engine.driver import DriveEnd
from engine.models import Run
from tests.integration.approvals.conftest import PEER, stage
from tests.world import fold

FORM = {
    "type": "object",
    "required": ["risk"],
    "properties": {"risk": {"enum": ["low", "high"]}, "ticket": {"type": "string"}},
}


def kinds(request):
    return [entry.kind for entry in ledger.read_verified(stream=request.pk, limit=100)]


def entries(request, kind):
    found = ledger.read_verified(stream=request.pk, limit=100)
    return [entry for entry in found if entry.kind == kind]


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


# --- who may not ---------------------------------------------------------------------------------


@pytest.fixture
def strict(office):
    """An office whose requester and author are in the group that decides."""
    office.enroll("mara")
    office.join("otto")
    return office


def refused(office, request, who, **sent):
    with pytest.raises(errors.MayNotDecideError) as caught:
        office.decide(request, who, **sent)
    assert Request.objects.get(pk=request.pk).status == RequestStatus.OPEN
    assert not Vote.objects.filter(request=request).exists()
    [entry] = entries(request, "decision.refused")
    assert entry.data["person"] == str(
        (office.principal(who) if isinstance(who, str) else who).person_id
    )
    return caught.value.details["reason"]


def test_who_asked_may_not_decide(strict):
    assert refused(strict, strict.open(), "mara").startswith("You asked for this")


def test_who_asked_may_decide_where_the_rule_says_so(strict):
    request = strict.open(exclude=[])

    assert strict.decide(request, "mara").outcome == "approved"


def test_another_account_of_who_asked_may_not_decide(strict):
    strict.second_account("mara2", of="mara")

    assert refused(strict, strict.open(), "mara2").startswith("You asked for this")


def test_authors_may_not_decide_where_the_rule_says_so(strict):
    request = strict.open(exclude=["version-authors"])
    assert "authors may not decide" in refused(strict, request, "otto")

    other = strict.open()
    assert strict.decide(other, "otto").outcome == "approved"


def test_the_owner_of_the_agent_that_asked_may_not_decide(office):
    agent = office.machine("robot", ActorKind.AGENT, owner="ann")
    assign_role(
        principal=office.system,
        role="requester",
        scope_id=office.project.scope_id,
        user_id=agent.user_id,
    )

    request = office.open(by="robot")

    reason = refused(office, request, "ann")
    assert "may not decide" in reason


def test_an_earlier_decider_may_not_decide_again_where_the_rule_says_so(office):
    request = office.open(PEER, stage("two", groups=["board"]), exclude=["earlier-deciders"])
    office.decide(request, "ann")

    with pytest.raises(errors.MayNotDecideError, match="decided in an earlier stage"):
        office.decide(request, "ann", stage="two")
    assert office.decide(request, "bob", stage="two").outcome == "approved"


def test_an_expression_keeps_out_whom_it_holds_for(office):
    request = office.open(exclude=["user.username == inputs.author"], inputs={"author": "ann"})

    assert "user.username" in refused(office, request, "ann")
    assert office.decide(request, "bob").outcome == "approved"


def test_an_expression_that_errs_keeps_everybody_out(office):
    request = office.open(exclude=["user.username == inputs.missing"], inputs={})

    assert "error never lets anybody through" in refused(office, request, "ann")
    assert request.blocked


def test_an_expression_counts_for_somebody_who_joins_later(office):
    request = office.open(exclude=["user.username == 'eve'"])
    office.user("eve", "approver", groups=("board",))

    assert "'eve'" in refused(office, request, "eve")


def test_somebody_outside_the_group_may_not_decide(office):
    office.user("eve", "approver")

    assert "not among the approvers" in refused(office, office.open(), "eve")


def test_somebody_in_the_group_without_the_permission_may_not_decide(office):
    office.user("eve", "viewer", groups=("board",))

    assert "decide_request" in refused(office, office.open(), "eve")


def test_membership_is_tested_at_the_moment_of_deciding(office):
    request = office.open()
    office.leave("ann")
    office.user("eve", "approver", groups=("board",))

    assert "not among the approvers" in refused(office, request, "ann")
    assert office.decide(request, "eve").outcome == "approved"


def test_a_vote_of_somebody_who_left_since_still_counts(office):
    request = office.open(stage("peer", groups=["board"], count=2))
    office.decide(request, "ann")
    office.leave("ann")

    assert office.decide(request, "bob").outcome == "approved"


def test_a_stranger_learns_nothing_but_that_they_may_not(office):
    office.user("eve")
    request = office.open()

    with pytest.raises(AccessForbiddenError) as caught:
        office.decide(request, "eve", digest_hex="00" * 32)

    assert caught.value.details["permission"] == "decide_request"
    assert "changed" not in caught.value.details
    assert kinds(request) == ["request.opened"]


def test_a_superuser_is_no_approver(office):
    office.user("root")
    User.objects.filter(username="root").update(is_superuser=True, is_staff=True)

    with pytest.raises(AccessForbiddenError):
        office.decide(office.open(), "root")


def test_a_superuser_with_sight_is_no_approver(office):
    office.user("root", "viewer")
    User.objects.filter(username="root").update(is_superuser=True, is_staff=True)

    assert "not among the approvers" in refused(office, office.open(), "root")


@pytest.mark.parametrize("kind", [ActorKind.AGENT, ActorKind.SERVICE])
def test_software_never_decides(office, kind):
    machine = office.machine("robot", kind, owner="bob")
    request = office.open()

    with pytest.raises(AccessForbiddenError):
        office.decide(request, machine)
    office.decide(request, "ann")
    with pytest.raises(AccessForbiddenError):
        office.decide(request, machine)


def test_software_does_not_get_its_owners_answer(office):
    machine = office.machine("robot", ActorKind.AGENT, owner="ann")
    request = office.open()
    office.decide(request, "ann")

    with pytest.raises(AccessForbiddenError):
        office.decide(request, machine)


def test_a_token_without_the_permission_cannot_decide(office):
    request = office.open()
    user = User.objects.get(username="ann")
    narrow, _ = create_token(
        principal=office.principal("ann"), name="narrow", permissions=["view_request"]
    )
    wide, _ = create_token(
        principal=office.principal("ann"),
        name="wide",
        permissions=["view_request", "decide_request"],
    )
    origin = office.principal("ann").origin

    with pytest.raises(errors.MayNotDecideError, match="token"):
        office.decide(request, get_principal(user=user, origin=origin, token=narrow))
    result = office.decide(request, get_principal(user=user, origin=origin, token=wide))
    assert result.outcome == "approved"


def test_a_deactivated_account_cannot_decide(office):
    request = office.open()
    principal = office.principal("ann")
    User.objects.filter(username="ann").update(is_active=False)

    with pytest.raises(AccessForbiddenError):
        office.decide(request, principal)


# --- what was seen -------------------------------------------------------------------------------


def test_a_digest_of_something_else_is_refused(office):
    request = office.open()

    for sent in ("00" * 32, "zz", "00"):
        with pytest.raises(errors.SubjectChangedError) as caught:
            office.decide(request, "ann", digest_hex=sent)
        assert caught.value.details["digest"] == bytes(request.shown_digest).hex()
    with pytest.raises(errors.DigestRequiredError):
        office.decide(request, "ann", digest_hex="")
    assert not Vote.objects.exists()


def test_form_values_of_the_first_approval_are_what_the_next_one_signs(office):
    request = office.open(stage("peer", groups=["board"], count=3), form=FORM)
    seen = bytes(request.shown_digest).hex()
    office.decide(request, "ann", form={"risk": "low"})

    with pytest.raises(errors.SubjectChangedError) as caught:
        office.decide(request, "bob", digest_hex=seen, form={"risk": "low"})
    assert caught.value.details["changed"] == ["form"]
    assert caught.value.details["form"] == {"risk": "low"}
    with pytest.raises(errors.EditRefusedError):
        office.decide(request, "bob", form={"risk": "high"})
    office.decide(request, "bob", form={"risk": "low"})
    result = office.decide(request, "cid")

    assert result.outcome == "approved"
    office.hand.drive(request.run_id)
    outputs = fold(request.run_id).closing.outputs
    assert outputs == {"form": {"risk": "low"}}


def test_a_bad_form_is_refused_whole_and_the_request_stays_open(office):
    request = office.open(form=FORM, confirm="I checked")

    with pytest.raises(errors.DecisionInvalidError) as caught:
        office.decide(request, "ann", form={"risk": "x", "ticket": 1})

    assert [problem.path for problem in caught.value.problems] == [
        "/confirmed",
        "/form/risk",
        "/form/ticket",
    ]
    result = office.decide(request, "ann", form={"risk": "low"}, confirmed=True)
    assert result.outcome == "approved"


def test_rejecting_needs_a_comment_and_no_form(office):
    request = office.open(form=FORM, confirm="I checked")

    with pytest.raises(errors.DecisionInvalidError):
        office.decide(request, "ann", "reject", comment="")
    assert office.decide(request, "ann", "reject").outcome == "rejected"


@pytest.mark.parametrize("comment", ["a\x00b", "\ud800", "x" * 2001])
def test_a_comment_that_cannot_be_kept_is_refused(office, comment):
    with pytest.raises(errors.DecisionInvalidError):
        office.decide(office.open(), "ann", comment=comment)


@pytest.mark.parametrize(
    "sent", [{"decision": "maybe"}, {"idempotency_key": "x" * 201}, {"idempotency_key": "a\x00"}]
)
def test_a_malformed_command_is_refused(office, sent):
    with pytest.raises(errors.DecisionInvalidError):
        office.decide(office.open(), "ann", **sent)


def test_a_request_that_does_not_exist_is_missing(office):
    with pytest.raises(errors.RequestMissingError):
        decide(
            principal=office.principal("ann"),
            request_id=ids.uuid7(),
            decision="approve",
            digest_hex="00" * 32,
        )


# --- again, late, closed -------------------------------------------------------------------------


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


# --- blocked -------------------------------------------------------------------------------------


def test_an_empty_group_blocks_and_never_passes(office):
    office.group("empty")
    office.user("adam", "project_admin")
    request = office.open(stage("peer", groups=["empty"]))

    assert request.blocked
    assert kinds(request) == ["request.opened", "request.blocked"]
    told = request.notices.filter(event="request.blocked")
    assert set(told.values_list("recipient__username", flat=True)) == {"mara", "adam"}
    office.user("eve", "approver", groups=("empty",))
    assert office.decide(request, "eve").outcome == "approved"


def test_a_group_that_does_not_exist_blocks_and_is_noted(office):
    request = office.open(stage("peer", groups=["ghosts"]), stage("two", users=["ghost"]))

    assert request.blocked
    assert [note["name"] for note in request.notes] == ["ghosts", "ghost"]


def test_a_group_made_later_under_the_same_name_is_not_meant(office):
    request = office.open(stage("peer", groups=["later"]))
    office.user("eve", "approver", groups=("later",))

    assert "not among the approvers" in refused(office, request, "eve")


def test_a_request_whose_stages_are_all_skipped_is_blocked(office):
    request = office.open(stage("peer", groups=["board"], when="false"))

    assert request.blocked
    assert "No stage" in refused(office, request, "ann")


def test_too_few_people_after_exclusions_block(office):
    for name in ("bob", "cid"):
        office.leave(name)
    request = office.open(exclude=["user.username == 'ann'"])

    assert request.blocked


def test_people_who_leave_block_a_stage_at_the_next_vote(office):
    request = office.open(stage("peer", groups=["board"], count=3))
    assert not request.blocked
    office.leave("cid")

    office.decide(request, "ann")

    request.refresh_from_db()
    assert request.blocked
    assert kinds(request)[-1] == "request.blocked"
    office.join("cid")
    office.decide(request, "bob")
    request.refresh_from_db()
    assert not request.blocked
    assert office.decide(request, "cid").outcome == "approved"


def test_the_next_stage_is_blocked_when_it_opens_without_people(office):
    office.group("empty")
    request = office.open(PEER, stage("two", groups=["empty"]))

    result = office.decide(request, "ann")

    assert result.status == "open"
    request.refresh_from_db()
    assert request.blocked


def test_rejections_that_leave_too_few_votes_reject_at_once(office):
    request = office.open(stage("peer", groups=["board"], count=3, reject=2))

    assert office.decide(request, "ann", "reject").outcome == "rejected"


# --- approvers by other means --------------------------------------------------------------------


def test_named_users_and_holders_of_a_permission_decide(office):
    request = office.open(stage("one", users=["ann"]), stage("two", permission="publish_workflow"))

    assert "not among" in refused(office, request, "bob")
    office.decide(request, "ann")
    assert office.decide(request, "otto").outcome == "approved"


def test_a_role_given_through_a_team_counts_for_a_permission(office):
    office.group("editors")
    assign_role(
        principal=office.system,
        role="publisher",
        scope_id=office.project.scope_id,
        group_id=office.group("editors").pk,
    )
    office.user("eve", "approver", groups=("editors",))
    request = office.open(stage("one", permission="publish_workflow"))

    assert not request.blocked
    assert office.decide(request, "eve").outcome == "approved"


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

    assert counts == [23, 20]
