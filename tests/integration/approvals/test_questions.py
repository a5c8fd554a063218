"""A step has failed, and people who operate runs say what becomes of it."""

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client

from approvals.domain import errors
from approvals.models import Notice, Request, Vote
from approvals.selectors.explaining import explain
from approvals.selectors.inbox import list_needing
from approvals.selectors.requests import View, count_mine, get_request, list_requests
from approvals.selectors.waiting import list_panels
from approvals.services.decide import decide
from approvals.services.outbox import NoticeEvent
from audit import store as ledger
from core.identity.domain.errors import AccessForbiddenError
from core.identity.models import RoleAssignment
from core.identity.services.people import create_machine
from core.identity.services.roles import assign_role
from core.kernel.record import ENGINE_ORIGIN, ActorKind
from core.kernel.types import Json
from core.toolkit.db import read_database_clock
from countersign import current_attempt, function
from engine import registry
from engine.domain.plan import AfterError, OnError, Plan, Step, Uses
from engine.domain.verbs import WaitOutcome
from engine.driver import DriveEnd
from engine.models import Run
from engine.portal import panels
from engine.ports import Alarm, OpeningWait
from engine.selectors.facts import get_run_facts
from engine.services.runs import cancel_run
from tests.integration.approvals.conftest import entries, kinds
from tests.world import fold

BROKEN: list[str] = []


@function("questions.shaky")
def _shaky(**_):
    BROKEN.append(current_attempt().idempotency_key)
    if len(BROKEN) <= 2:
        raise ValueError("the mirror is\x00 down")
    return {"times": len(BROKEN)}


@function("questions.fine")
def _fine(**_):
    return {}


def uses(step_id, name, *needs, **fields):
    verb = Uses(action="python/call@1", arguments={"function": name})
    return Step(id=step_id, verb=verb, needs=needs, **fields)


@pytest.fixture
def failed(office):
    """Return a function that lets a run fail at a step that asks, and returns its question."""
    BROKEN.clear()
    office.user("olga", "operator")
    office.user("vera", "viewer")

    def run():
        office.flow_count += 1
        plan = Plan(
            name=f"flow{office.flow_count}",
            title="Flow",
            inputs_schema={"type": "object"},
            variables={},
            steps={
                "deploy": uses("deploy", "questions.shaky", on_error=OnError(then=AfterError.ASK)),
                "smoke": uses("smoke", "questions.fine", "deploy"),
            },
            outputs={},
        )
        office.publish(plan, author="otto")
        run_id = office.start(plan.name, by="mara").run_id
        assert office.hand.drive(run_id) is DriveEnd.PARKED
        return Request.objects.get(run_id=run_id)

    return run


def answer(office, request, who, choice, **sent):
    sent.setdefault("digest_hex", bytes(request.shown_digest).hex())
    return decide(principal=office.principal(who), request_id=request.pk, decision=choice, **sent)


def told(request, event):
    notices = Notice.objects.filter(request=request, event=event)
    return sorted(notices.values_list("recipient__username", flat=True))


def outcomes(run_id):
    return {key: str(step.outcome) for key, step in fold(run_id).steps.items()}


# --- what is asked -------------------------------------------------------------------------------


def test_a_failure_is_a_request_that_shows_the_step_the_error_and_the_attempt(office, failed):
    request = failed()

    detail = get_request(principal=office.principal("olga"), request_id=request.pk)
    assert (request.kind, request.title) == ("question", "Step deploy failed: what now?")
    assert request.subject == {
        "step": "deploy",
        "instance": "deploy#1",
        "error": "permanent",
        "message": request.subject["message"],
        "attempt": 1,
    }
    assert "the mirror is down" in request.subject["message"]
    assert request.expires_at is None
    assert [item.choice.value for item in detail.choices] == ["retry", "skip", "fail"]
    assert all(item.consequence for item in detail.choices)
    assert detail.rule["outcomes"] == ["retry", "skip", "fail"]
    assert kinds(request) == ["request.opened"]
    opened = ledger.read_verified(stream=request.run_id, limit=50)[-1]
    assert opened.kind == "question.asked"
    assert entries(request, "request.opened")[0].data["run_leaf"] == opened.leaf.hex()


def test_it_is_in_the_inbox_of_those_who_operate_runs_and_of_nobody_else(office, failed):
    request = failed()

    inboxes = {
        name: [item.id for item in list_needing(principal=office.principal(name)).requests]
        for name in ("olga", "mara", "ann", "vera")
    }

    # Who started the run may answer; approvers and viewers may not.
    assert inboxes == {"olga": [request.pk], "mara": [request.pk], "ann": [], "vera": []}
    assert count_mine(principal=office.principal("olga")) == 1
    mine = list_requests(principal=office.principal("olga"), view=View.MINE, limit=10)
    assert [item.kind for item in mine] == ["question"]
    assert told(request, "request.opened") == ["mara", "olga"]


def test_approvals_stay_with_approvers(office, failed):
    failed()
    request = office.open()

    assert list_needing(principal=office.principal("olga")).requests[0].kind == "question"
    assert len(list_needing(principal=office.principal("olga")).requests) == 1
    with pytest.raises(errors.MayNotDecideError):
        office.decide(request, "olga")


def test_the_page_of_the_run_says_who_is_asked(office, failed):
    request = failed()
    asked = {"run_id": request.run_id, "keys": ["deploy#1"]}

    questions = registry_panels(office, "olga", **asked)

    panel = questions["deploy#1"]
    assert (panel.is_mine, panel.address) == (True, f"/inbox/{request.pk}/")
    assert panel.note == "Asked: those who may operate runs of this workflow."
    assert list_panels(principal=office.principal("olga"), **asked) == {}  # no approval is there


def registry_panels(office, name, *, run_id, keys):
    return panels.find_panels(
        principal=office.principal(name), run_id=run_id, keys_by_verb={"question": keys}
    )


def test_the_page_of_the_run_leads_to_the_question(office, failed):
    request = failed()
    browser = Client()
    browser.force_login(office.users["olga"])

    page = browser.get(f"/runs/{request.run_id}/", {"step": "deploy#1"})

    assert page.status_code == 200
    assert f'href="/inbox/{request.pk}/"' in page.content.decode()


# --- answers -------------------------------------------------------------------------------------


def test_retry_executes_the_step_again_and_asks_again_if_it_fails_again(office, failed):
    request = failed()

    result = answer(office, request, "olga", "retry")

    assert (result.status, result.outcome, result.stage_status) == ("closed", "retry", "answered")
    request.refresh_from_db()
    assert (request.outcome, request.closure, request.closed_by_name) == (
        "retry",
        "decision",
        "Olga",
    )
    assert kinds(request) == ["request.opened", "vote.cast", "stage.closed", "request.closed"]
    resolved = ledger.read_verified(stream=request.run_id, limit=50)[-1]
    vote = Vote.objects.get(request=request)
    assert (resolved.kind, resolved.data["choice"]) == ("question.resolved", "retry")
    assert resolved.data["entry_leaf"] == bytes(vote.leaf).hex()

    assert office.hand.drive(request.run_id) is DriveEnd.PARKED
    again = Request.objects.exclude(pk=request.pk).get(run_id=request.run_id)
    assert (again.status, again.step_key) == ("open", request.step_key)
    assert registry_panels(office, "olga", run_id=again.run_id, keys=["deploy#1"])[
        "deploy#1"
    ].address.endswith(f"{again.pk}/")
    answer(office, again, "mara", "retry")
    assert office.hand.drive(request.run_id) is DriveEnd.CLOSED

    assert len(set(BROKEN)) == len(BROKEN) == 3  # each round has its own idempotency key
    assert outcomes(request.run_id) == {"deploy#1": "succeeded", "smoke#1": "succeeded"}
    assert Run.objects.get(pk=request.run_id).outcome == "succeeded"


@pytest.mark.parametrize(
    ("choice", "of_step", "of_run"),
    [("skip", "skipped", "succeeded"), ("fail", "failed", "failed")],
)
def test_skip_and_fail_end_the_step(office, failed, choice, of_step, of_run):
    request = failed()

    answer(office, request, "olga", choice, comment="it is gone for good")

    assert office.hand.drive(request.run_id) is DriveEnd.CLOSED
    assert outcomes(request.run_id)["deploy#1"] == of_step
    assert Run.objects.get(pk=request.run_id).outcome == of_run
    assert told(request, "request.decided") == ["mara"]


def test_the_first_answer_counts_and_the_next_one_hears_of_it(office, failed):
    request = failed()
    first = answer(office, request, "olga", "retry")

    assert answer(office, request, "olga", "retry").replayed
    assert answer(office, request, "olga", "retry").vote_id == first.vote_id
    with pytest.raises(errors.RequestClosedError, match="closed by Olga: retry"):
        answer(office, request, "mara", "fail")
    assert Vote.objects.filter(request=request).count() == 1


def test_skipping_needs_a_reason_and_the_others_do_not(office, failed):
    request = failed()

    with pytest.raises(errors.DecisionInvalidError) as caught:
        answer(office, request, "olga", "skip")

    assert [problem.path for problem in caught.value.problems] == ["/comment"]
    answer(office, request, "olga", "fail")


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_question_is_not_approved_and_an_approval_is_not_retried(office, failed, decision):
    question, approval = failed(), office.open()

    for request, who, sent in ((question, "olga", decision), (approval, "ann", "retry")):
        with pytest.raises(errors.DecisionInvalidError) as caught:
            answer(office, request, who, sent, comment="why not")
        assert [problem.path for problem in caught.value.problems] == ["/decision"]
        request.refresh_from_db()
        assert request.status == "open"


def test_what_was_not_seen_is_not_answered(office, failed):
    request = failed()

    with pytest.raises(errors.SubjectChangedError):
        answer(office, request, "olga", "fail", digest_hex="00" * 32)


# --- who may -------------------------------------------------------------------------------------


def test_who_may_no_longer_operate_runs_may_not_answer(office, failed):
    request = failed()
    RoleAssignment.objects.filter(user=office.users["olga"]).delete()
    office.user("rudi", "operator")  # came after the question was asked
    assign_role(
        principal=office.system,
        role="viewer",
        scope_id=office.project.scope_id,
        user_id=office.users["olga"].pk,
    )

    with pytest.raises(errors.MayNotDecideError) as caught:
        answer(office, request, "olga", "retry")

    assert caught.value.details["permission"] == "operate_run"
    assert entries(request, "decision.refused")[0].data["decision"] == "retry"
    assert answer(office, request, "rudi", "retry").outcome == "retry"


def test_why_somebody_may_or_may_not_answer(office, failed):
    request = failed()

    found = {
        name: explain(principal=office.principal(name), request_id=request.pk)
        for name in ("olga", "mara", "ann")
    }

    assert [found[name].is_eligible for name in ("olga", "mara", "ann")] == [True, True, False]
    assert [fact.rule for fact in found["ann"].facts if not fact.holds] == ["permission"]
    assert "operate_run" in found["ann"].reason
    assert [item.username for item in found["ann"].deciders] == ["mara", "olga"]


def test_software_that_operates_runs_does_not_answer_but_still_operates(office, failed):
    request = failed()
    office.users["bot"] = create_machine(
        principal=office.system,
        username="bot",
        name="Bot",
        kind=ActorKind.SERVICE,
        owner_id=office.users["mara"].pk,
    )
    assign_role(
        principal=office.system,
        role="operator",
        scope_id=office.project.scope_id,
        user_id=office.users["bot"].pk,
    )

    with pytest.raises(AccessForbiddenError, match="Only people decide"):
        answer(office, request, "bot", "retry")
    assert list_needing(principal=office.principal("bot")).requests == ()
    cancel_run(principal=office.principal("bot"), run_id=request.run_id, reason="stop")
    request.refresh_from_db()
    assert request.outcome == "voided"


def test_a_question_nobody_may_answer_is_blocked_and_its_owners_are_told(office, failed):
    RoleAssignment.objects.filter(role__slug="operator").delete()
    request = failed()

    assert request.blocked
    assert kinds(request) == ["request.opened", "request.blocked"]


# --- taken back ----------------------------------------------------------------------------------


def test_cancelling_the_run_takes_the_question_back_at_once(office, failed):
    request = failed()

    cancel_run(principal=office.principal("mara"), run_id=request.run_id, reason="wrong branch")

    request.refresh_from_db()
    assert (request.status, request.outcome, request.closure) == ("closed", "voided", "void")
    assert not request.audience.filter(is_open=True).exists()
    assert told(request, "request.voided") == ["mara"]
    with pytest.raises(errors.RequestClosedError, match="voided"):
        answer(office, request, "olga", "retry")
    assert office.hand.drive(request.run_id) is DriveEnd.CLOSED
    assert Run.objects.get(pk=request.run_id).outcome == "cancelled"


def test_questions_and_approvals_of_a_run_are_taken_back_apart(office):
    run_id = office.run()
    approval = Request.objects.get(run_id=run_id)
    at = read_database_clock()
    body: dict[str, Json] = {
        "error": {"kind": "uncertain", "message": "the worker died"},
        "attempt": 1,
        "choices": ["retry", "skip", "fail"],
    }
    wait = OpeningWait(
        run=get_run_facts(run_id=run_id),
        key="charge#1",
        step="charge",
        body=body,
        seq=1,
        leaf=bytes(32),
        at=at,
    )
    question, approve = registry.opener("question"), registry.opener("approval")
    place = {"run_id": run_id, "reason": "not_needed", "origin": ENGINE_ORIGIN, "at": at}
    with transaction.atomic():
        question.open(wait)
        assert list(question.withdraw(keys=["approve#1"], **place)) == []
        assert list(approve.withdraw(keys=["charge#1"], **place)) == []
        asked = Request.objects.get(run_id=run_id, kind="question")
        assert asked.title == "Step charge may or may not have happened: what now?"
        assert asked.risk == "high"
        assert list(question.withdraw(keys=["charge#1"], **place)) == ["charge#1"]

    approval.refresh_from_db()
    asked.refresh_from_db()
    assert (approval.status, asked.status) == ("open", "closed")
    closing = entries(asked, "request.closed")[0]
    assert json.loads(closing.body)["reason"] == "not_needed"
    assert closing.data["outcome"] == WaitOutcome.VOIDED.value


# --- stuck ---------------------------------------------------------------------------------------


def alarm(office, run_id, **notify):
    at = read_database_clock()
    with transaction.atomic():
        registry.raise_alarm(
            Alarm(
                run=get_run_facts(run_id=run_id),
                key="review#2",
                state="review",
                notify=notify,
                since=at - timedelta(days=7),
                at=at,
            )
        )


def test_an_alarm_is_a_notice_to_those_named_who_may_see_the_run_once_a_visit(office):
    office.user("eve", groups=("board",))  # named, and may see nothing
    office.user("vera", "viewer")
    run_id = office.run()

    for _ in range(2):
        alarm(office, run_id, groups=["board", "nobody-has-this"], users=["vera", "ann"])

    notices = Notice.objects.filter(event=NoticeEvent.RUN_STUCK.value)
    assert sorted(notices.values_list("recipient__username", flat=True)) == [
        "ann",
        "bob",
        "cid",
        "vera",
    ]
    assert {(item.request_id, item.run_id) for item in notices} == {(None, run_id)}
    assert {item.facts["state"] for item in notices} == {"review"}


def test_an_alarm_nobody_hears_writes_nothing(office):
    run_id = office.run()

    alarm(office, run_id, users=["nobody-has-this"])

    assert not Notice.objects.filter(event=NoticeEvent.RUN_STUCK.value).exists()
