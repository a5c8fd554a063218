"""Saying on a page what becomes of a step that failed."""

import pytest

from approvals.models import Request, Vote
from core.identity.models import RoleAssignment
from tests.integration.portal.conftest import bar, text


@pytest.fixture
def operator(office, browse):
    """Return the browser of somebody who operates runs."""
    office.user("olga", "operator")
    return browse("olga")


def test_a_question_shows_what_failed_and_what_each_answer_does(office, operator):
    request = office.question(message="<b>no</b> answer")

    shown = text(operator.get(f"/inbox/{request.pk}/"))

    for expected in (
        "Step deploy failed: what now?",
        "What failed",
        "deploy#1",
        "timeout",
        "&lt;b&gt;no&lt;/b&gt; answer",
        "Run started by",
        "If you retry",
        "under a new idempotency key",
        "If you skip",
        "skipped too, unless their own `if` says otherwise",
        "If you let it fail",
        "the run fails unless the workflow handles the failure",
        "those who may operate runs of this workflow",
        "One answer",
        "needed to skip",
    ):
        assert expected in shown, expected
    for choice, key in (("retry", "r"), ("skip", "s"), ("fail", "f")):
        assert f'value="{choice}" data-key="{key}"' in shown
    assert 'value="approve"' not in shown
    assert "If approved" not in shown
    assert f'id="row-{request.pk}"' in shown


def test_an_uncertain_attempt_is_asked_about_with_its_risk(office, operator):
    request = office.question(kind="uncertain", message="its worker died")

    shown = text(operator.get(f"/inbox/{request.pk}/"))

    assert "Step deploy may or may not have happened: what now?" in shown
    assert "can then have been done twice" in shown


@pytest.mark.parametrize(
    ("choice", "word", "did"),
    [
        ("retry", "To be retried", "had it retried"),
        ("skip", "Skipped", "had it skipped"),
        ("fail", "Left to fail", "let it fail"),
    ],
)
def test_an_answer_goes_on_to_the_outcome(office, operator, choice, word, did):
    request = office.question()
    address = f"/inbox/{request.pk}/"
    page = operator.get(address)

    answer = operator.post(address, {**bar(page), "decision": choice, "comment": "because"})

    assert (answer.status_code, answer["Location"]) == (303, address)
    after = text(operator.get(address))
    assert f"{word} by Olga" in after
    assert f"</b> {did} <span" in after
    assert "<blockquote><bdi>because</bdi>" in after
    assert "data-decision" not in after
    assert Request.objects.get(pk=request.pk).outcome == choice
    decided = text(operator.get("/inbox/?view=decided"))
    assert word in decided


def test_skipping_without_a_reason_says_so_at_the_field(office, operator):
    request = office.question()
    address = f"/inbox/{request.pk}/"

    answer = operator.post(address, {**bar(operator.get(address)), "decision": "skip"})

    assert answer.status_code == 422
    assert "Say why: skipping a step needs a comment." in text(answer)
    assert not Vote.objects.filter(request=request).exists()


def test_losing_a_race_says_who_and_what(office, operator, browse):
    request = office.question()
    address = f"/inbox/{request.pk}/"
    page = operator.get(address)
    first = browse("mara")
    first.post(address, {**bar(first.get(address)), "decision": "fail"})

    answer = operator.post(address, {**bar(page), "decision": "retry", "comment": "once more"})

    assert answer.status_code == 409
    assert "Left to fail by Mara" in text(answer)
    assert "<bdi>once more</bdi>" in text(answer)


def test_approvers_see_why_they_may_not_answer(office, browse):
    request = office.question()

    shown = text(browse("ann").get(f"/inbox/{request.pk}/"))

    assert "You may not decide this" in shown
    assert "operate_run" in shown
    assert "Mara" in shown
    assert "data-decision" not in shown


def test_a_question_nobody_may_answer_says_so(office, browse):
    RoleAssignment.objects.filter(role__slug="operator").delete()
    request = office.question()

    assert "Nobody can answer this as it stands" in text(browse("ann").get(f"/inbox/{request.pk}/"))
