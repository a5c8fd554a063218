"""Deciding over HTTP: which answer has which status."""

from datetime import timedelta

import pytest
from django.db import transaction

from approvals.models import Request
from core.identity.models import RoleAssignment
from core.identity.services.people import create_machine
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.kernel.record import ActorKind
from core.toolkit.db import read_database_clock
from engine import registry
from engine.ports import OpeningWait
from engine.selectors.facts import get_run_facts
from tests.integration.api.conftest import BOARD, Caller

TWO = {**BOARD, "quorum": {"count": 2}}


def _digest(request: Request) -> str:
    return bytes(Request.objects.get(pk=request.pk).shown_digest).hex()


def test_an_approval_is_told_what_it_led_to(town):
    request = town.request(TWO)

    first = town.decide(request, "ann").json()
    second = town.decide(request, "bob", stage="board").json()

    assert (first["status"], first["outcome"], first["approval_count"]) == ("open", "", 1)
    assert (second["status"], second["outcome"], second["approval_count"]) == (
        "closed",
        "approved",
        2,
    )
    assert (first["replayed"], second["replayed"]) == (False, False)


def test_what_is_shown_is_what_is_decided(town):
    request = town.request()
    shown = town.as_("ann").get(f"requests/{request.pk}/")
    assert shown["ETag"] == f'"{shown.json()["digest"]}"'

    response = town.as_("ann").post(
        f"requests/{request.pk}/decide/", {"decision": "approve"}, If_Match=shown["ETag"]
    )

    assert response.status_code == 200
    after = town.as_("ann").get(f"requests/{request.pk}/").json()
    assert (after["status"], after["outcome"]) == ("closed", "approved")
    assert [vote["username"] for vote in after["votes"]] == ["ann"]
    assert after["votes"][0]["shown_digest"] == shown.json()["digest"]


def test_who_does_not_say_what_was_seen_is_asked_to(town, problem):
    request = town.request()

    response = town.decide(request, "ann", digest="")

    problem(response, 428, "approvals.digest_required")
    assert town.as_("ann").get(f"requests/{request.pk}/").json()["status"] == "open"


@pytest.mark.parametrize("digest", ["ab" * 32, "nonsense", "ab"])
def test_who_saw_something_else_is_stale(town, problem, digest):
    request = town.request()

    problem(town.decide(request, "ann", digest=digest), 412, "approvals.subject_changed")

    assert town.decide(request, "ann").status_code == 200


def test_a_header_and_a_body_that_differ_are_refused(town, problem):
    request = town.request()

    response = town.decide(request, "ann", headers={"If_Match": f'"{"cd" * 32}"'}, digest="ab" * 32)

    body = problem(response, 422, "api.invalid_input")
    assert body["errors"][0]["path"] == "/digest"


@pytest.mark.parametrize("tag", ["*", "abc", 'W/"' + "ab" * 32 + '"'])
def test_an_if_match_that_says_nothing_is_refused(town, problem, tag):
    request = town.request()

    response = town.decide(request, "ann", headers={"If_Match": tag}, digest="")

    problem(response, 422, "api.invalid_header")


def test_the_same_decision_again_gives_the_first_answer(town):
    request = town.request(TWO)
    first = town.decide(request, "ann")

    again = town.decide(request, "ann")

    assert again.status_code == 200
    assert again.json() == {**first.json(), "replayed": True}


def test_the_same_key_and_body_give_the_first_answer_even_when_closed(town):
    request = town.request()
    headers = {"Idempotency_Key": "click-1"}
    first = town.decide(request, "ann", headers=headers)

    again = town.decide(request, "ann", headers=headers)

    assert (again.status_code, again.json()) == (200, {**first.json(), "replayed": True})


def test_the_same_key_with_another_body_is_refused(town, problem):
    request = town.request(TWO)
    headers = {"Idempotency_Key": "click-1"}
    town.decide(request, "ann", headers=headers)

    response = town.decide(request, "ann", headers=headers, comment="on second thought")

    problem(response, 422, "approvals.key_reused")


def test_a_different_decision_than_before_conflicts(town, problem):
    request = town.request(TWO)
    town.decide(request, "ann")

    problem(town.decide(request, "ann", "reject"), 409, "approvals.already_decided")


def test_a_closed_request_says_who_closed_it_and_how(town, problem):
    request = town.request()
    town.decide(request, "ann")

    body = problem(town.decide(request, "bob"), 409, "approvals.request_closed")

    assert (body["outcome"], body["closed_by"]) == ("approved", "Ann")
    assert body["closed_at"]


def test_a_request_whose_run_was_cancelled_is_closed(town, problem):
    request = town.request()
    assert town.as_("mara").post(f"runs/{request.run_id}/cancel/", {}).status_code == 204

    body = problem(town.decide(request, "ann"), 409, "approvals.request_closed")

    assert body["outcome"] == "voided"


def test_time_that_has_passed_is_gone(town, problem):
    request = town.request()
    past = read_database_clock() - timedelta(seconds=1)
    Request.objects.filter(pk=request.pk).update(expires_at=past)

    body = problem(town.decide(request, "ann"), 410, "approvals.request_expired")

    assert body["outcome"] == "rejected"


def test_another_stage_than_was_shown_conflicts(town, problem):
    request = town.request(BOARD, {"id": "second", "approvers": {"users": ["otto"]}})

    problem(town.decide(request, "bob", stage="second"), 409, "approvals.stage_not_open")


def test_who_is_no_approver_is_refused(town, problem):
    request = town.request()

    body = problem(town.decide(request, "otto"), 403, "approvals.may_not_decide")

    assert body["permission"] == "decide_request"
    assert body["reason"]


def test_who_asked_may_not_decide(town, problem):
    assign_role(
        principal=town.system,
        role="approver",
        scope_id=town.project.scope_id,
        user_id=town.users["mara"].pk,
    )
    request = town.request({"id": "peer", "approvers": {"permission": "decide_request"}})

    problem(town.decide(request, "mara"), 403, "approvals.may_not_decide")
    assert town.decide(request, "ann").status_code == 200


def test_who_lost_the_permission_meanwhile_is_refused(town, problem):
    request = town.request()
    RoleAssignment.objects.filter(user=town.users["ann"]).delete()

    problem(town.decide(request, "ann"), 403, "identity.forbidden")
    assert town.decide(request, "bob").status_code == 200


def test_a_machine_never_decides(town, problem):
    bot = create_machine(
        principal=town.system,
        username="bot",
        name="Bot",
        kind=ActorKind.AGENT,
        owner_id=town.users["ann"].pk,
    )
    assign_role(
        principal=town.system, role="approver", scope_id=town.project.scope_id, user_id=bot.pk
    )
    _, secret = create_token(principal=town.system, name="bot", user_id=bot.pk)
    request = town.request()

    response = Caller(secret).post(
        f"requests/{request.pk}/decide/", {"decision": "approve", "digest": _digest(request)}
    )

    problem(response, 403, "identity.forbidden")


def test_a_request_that_does_not_exist_is_missing(town, problem):
    path = "requests/00000000-0000-7000-8000-000000000009/"
    body = {"decision": "approve", "digest": "ab" * 32}

    problem(town.as_("ann").get(path), 404, "approvals.request_missing")
    problem(town.as_("ann").post(f"{path}decide/", body), 404, "approvals.request_missing")


def test_a_rejection_without_a_comment_is_incomplete(town, problem):
    request = town.request()

    body = problem(
        town.decide(request, "ann", "reject", comment=" "), 422, "approvals.decision_invalid"
    )

    assert [item["path"] for item in body["errors"]] == ["/comment"]
    assert town.as_("ann").get(f"requests/{request.pk}/").json()["status"] == "open"


def test_an_unknown_decision_is_invalid(town, problem):
    request = town.request()

    body = problem(town.decide(request, "ann", "maybe"), 422, "approvals.decision_invalid")

    assert [item["path"] for item in body["errors"]] == ["/decision"]


def test_a_form_is_checked_against_its_schema(town, problem):
    form = {
        "type": "object",
        "properties": {"ticket": {"type": "string", "pattern": "^[A-Z]+-[0-9]+$"}},
        "required": ["ticket"],
    }
    request = town.request(form=form)

    body = problem(
        town.decide(request, "ann", form={"ticket": 7}), 422, "approvals.decision_invalid"
    )

    assert [item["path"] for item in body["errors"]] == ["/form/ticket"]
    assert town.decide(request, "ann", form={"ticket": "OPS-1"}).status_code == 200


def test_mine_are_those_one_can_decide_now(town):
    request = town.request(TWO)

    def ids(who, **parameters):
        return [item["id"] for item in town.as_(who).get("requests/", **parameters).json()["items"]]

    assert ids("ann") == ids("bob") == [str(request.pk)]
    assert ids("mara") == ids("vera") == []
    assert ids("vera", view="all") == [str(request.pk)]
    town.decide(request, "ann")
    assert ids("ann") == []
    assert ids("bob") == [str(request.pk)]
    town.decide(request, "bob")
    assert ids("bob") == []
    assert ids("vera", view="decided") == [str(request.pk)]
    assert ids("vera", view="decided", project="other") == []


def test_an_amount_is_shown_in_minor_units(town):
    request = town.request(kind="payment", amount={"value": "1250", "currency": "EUR"})

    [listed] = town.as_("ann").get("requests/").json()["items"]

    assert listed["id"] == str(request.pk)
    assert listed["amount"] == {"value": 1250, "currency": "EUR"}


def test_why_says_what_stands_in_the_way(town):
    request = town.request()

    ann = town.as_("ann").get(f"requests/{request.pk}/why/").json()
    mara = town.as_("mara").get(f"requests/{request.pk}/why/").json()

    assert ann["is_eligible"] is True
    assert [item["username"] for item in ann["deciders"]] == ["ann", "bob", "cid"]
    assert mara["is_eligible"] is False
    assert any(not fact["holds"] for fact in mara["facts"])
    assert mara["reason"]


# --- questions -----------------------------------------------------------------------------------


@pytest.fixture
def question(town):
    """Return a question about a step of a waiting run, asked as its driver would."""
    run_id = town.run()
    wait = OpeningWait(
        run=get_run_facts(run_id=run_id),
        key="deploy#1",
        step="deploy",
        body={
            "error": {"kind": "timeout", "message": "no result within 30 s"},
            "attempt": 3,
            "choices": ["retry", "skip", "fail"],
        },
        seq=1,
        leaf=bytes(32),
        at=read_database_clock(),
    )
    with transaction.atomic():
        registry.opener("question").open(wait)
    return Request.objects.get(run_id=run_id, kind="question")


def test_a_question_says_what_can_be_answered_and_what_follows(town, question):
    shown = town.as_("mara").get(f"requests/{question.pk}/").json()

    assert (shown["kind"], shown["requester"], shown["expires_at"]) == ("question", "mara", None)
    assert [item["choice"] for item in shown["choices"]] == ["retry", "skip", "fail"]
    assert shown["subject"]["message"] == "no result within 30 s"
    approval = town.as_("mara").get(f"requests/{town.request().pk}/").json()
    assert [item["choice"] for item in approval["choices"]] == ["approve", "reject"]
    listed = town.as_("mara").get("requests/", kind="question").json()["items"]
    assert [item["id"] for item in listed] == [str(question.pk)]


def test_answers_have_the_statuses_of_decisions(town, question, problem):
    skip = {"decision": "skip", "comment": "gone"}

    problem(town.decide(question, "mara", decision="skip"), 422, "approvals.decision_invalid")
    problem(town.decide(question, "mara"), 422, "approvals.decision_invalid")
    problem(town.decide(question, "ann", **skip), 403, "approvals.may_not_decide")
    first = town.decide(question, "mara", **skip).json()
    again = town.decide(question, "mara", **skip).json()

    assert (first["outcome"], first["stage_status"]) == ("skip", "answered")
    assert again == {**first, "replayed": True}
    problem(town.decide(question, "mara", decision="retry"), 409, "approvals.request_closed")


def test_why_an_approver_may_not_answer(town, question):
    why = town.as_("ann").get(f"requests/{question.pk}/why/").json()

    assert (why["is_eligible"], why["stage"]) == (False, "answer")
    assert [item["rule"] for item in why["facts"] if not item["holds"]] == ["permission"]
    assert [item["username"] for item in why["deciders"]] == ["mara"]
