"""A model drafts, a person decides: accepts, edits, sends back with a comment, or rejects."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from approvals.models import Request
from audit import store as ledger
from engine.driver import DriveEnd
from engine.models import Run
from engine.services.definitions import publish_version, save_version
from tests.fakes.model import standing_in
from tests.integration.portal.conftest import bar, csrf_of, text
from tests.world import PASSWORD

SOURCE = Path(__file__).parents[3] / "examples" / "drafting" / "drafting.yaml"
INPUTS = {"customer": "Ida", "message": "Where is my order?"}


@pytest.fixture
def model(settings):
    for model in standing_in():
        settings.HTTP_PRIVATE_ALLOWED = ["127.0.0.1"]
        settings.AI_ENDPOINTS = {
            "main": {
                "url": model.url,
                "models": ["m"],
                "key": "",
                "price": None,
                "format": "json_object",
            }
        }
        yield model


@pytest.fixture
def town(town):
    """Add the workflow, and somebody who reviews."""
    town.user("rita", "approver", groups=("reviewers",))
    otto = town.principal("otto")
    saved = save_version(principal=otto, project_slug=town.slug, source=SOURCE.read_text())
    publish_version(principal=otto, project_slug=town.slug, workflow_slug="drafting", rev=saved.rev)
    return town


@pytest.fixture
def asked(town, model):
    """Start a run whose model says these texts, up to the first question to a person."""

    def ask(*answers):
        model.says(*[json.dumps({"answer": answer}) for answer in answers])
        run_id = town.start("drafting", by="mara", inputs=INPUTS).run_id
        assert town.hand.drive(run_id) is DriveEnd.PARKED
        return run_id

    return ask


def open_request(run_id):
    return Request.objects.get(run_id=run_id, status="open")


def decide(town, run_id, decision="approve", **form):
    """Decide over HTTP, as whoever reviews."""
    more = {"form": form} if form else {}
    answer = town.decide(open_request(run_id), "rita", decision, **more)
    if answer.status_code == 200:
        town.hand.drive(run_id)
    return answer


def outputs(town, run_id):
    run = town.as_("mara").get(f"runs/{run_id}/").json()
    assert run["outcome"] == "succeeded", run
    return run["outputs"]


def test_an_accepted_draft_is_used(town, asked):
    run_id = asked("On its way.")
    assert open_request(run_id).subject["draft"] == "On its way."

    assert decide(town, run_id, verdict="accept").status_code == 200

    assert outputs(town, run_id) == {"answer": "On its way.", "verdict": "accept"}


def test_an_edited_draft_is_used_as_edited_and_both_are_on_record(town, asked):
    run_id = asked("On its way!!!")

    decide(town, run_id, verdict="edit", answer="It is on its way.")

    assert outputs(town, run_id) == {"answer": "It is on its way.", "verdict": "edit"}
    record = json.dumps(
        [dict(item.payloads) for item in ledger.read_stream(stream=run_id, limit=99)]
    )
    assert "On its way!!!" in record
    assert "It is on its way." in record


def test_a_draft_that_is_sent_back_is_written_again_with_the_comment(town, asked, model):
    run_id = asked("No idea.", "On its way.")

    decide(town, run_id, verdict="revise", comment="Say where it is.")

    assert len(model.asked) == 2
    again = model.asked[1]["messages"][-1]["content"]
    assert "No idea." in again
    assert "Say where it is." in again
    assert open_request(run_id).subject["draft"] == "On its way."
    decide(town, run_id, verdict="accept")
    assert outputs(town, run_id) == {"answer": "On its way.", "verdict": "accept"}
    assert Request.objects.filter(run_id=run_id).count() == 2


def test_a_rejected_draft_ends_the_run_as_rejected(town, asked, model):
    run_id = asked("No idea.")

    decide(town, run_id, "reject")

    assert Run.objects.get(pk=run_id).outcome == "rejected"
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    "form", [{}, {"verdict": "edit"}, {"verdict": "revise"}, {"verdict": "send"}]
)
def test_a_verdict_without_what_it_needs_is_refused(form, town, asked, problem):
    run_id = asked("On its way.")

    problem(town.decide(open_request(run_id), "rita", form=form), 422, "approvals.decision_invalid")

    assert open_request(run_id)


def test_it_is_sent_back_five_times_at_most(town, asked):
    run_id = asked("No idea.")

    for _ in range(5):
        decide(town, run_id, verdict="revise", comment="Again.")

    assert Run.objects.get(pk=run_id).outcome == "failed"


def test_prompts_and_answers_are_committed_payloads(town, asked, model):
    run_id = asked("On its way.")

    done = next(
        item
        for item in ledger.read_stream(stream=run_id, limit=99)
        if item.kind == "step.completed"
    )
    result: Any = done.payloads["result"]
    assert result["messages"] == model.asked[0]["messages"]
    assert result["answers"] == ['{"answer": "On its way."}']


def test_what_a_model_said_when_it_failed_is_a_committed_payload(town, model):
    model.says("nonsense")
    run_id = town.start("drafting", by="mara", inputs=INPUTS).run_id
    town.hand.drive(run_id)

    failed = next(
        item
        for item in ledger.read_stream(stream=run_id, limit=99)
        if item.kind == "attempt.failed"
    )
    assert failed.data["error"] == "ai.invalid"
    detail: Any = failed.payloads["detail"]
    assert detail["answers"] == ["nonsense", "nonsense"]
    assert detail["messages"] == model.asked[0]["messages"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"value-verdict": '"accept"'}, "On its way."),
        ({"value-verdict": '"edit"', "value-answer": "It is on its way."}, "It is on its way."),
    ],
)
def test_a_person_says_so_on_the_page_of_the_request(values, expected, town, asked):
    run_id = asked("On its way.")
    browser = sign_in()
    address = f"/inbox/{open_request(run_id).pk}/"
    page = browser.get(address)
    assert "On its way." in text(page)

    answer = browser.post(address, {**bar(page), "decision": "approve", **values})

    assert answer.status_code == 303, text(answer)
    town.hand.drive(run_id)
    assert outputs(town, run_id)["answer"] == expected


def test_a_draft_is_sent_back_and_rejected_on_the_page_of_the_request(town, asked, model):
    run_id = asked("No idea.", "Still no idea.")
    browser = sign_in()
    address = f"/inbox/{open_request(run_id).pk}/"
    sent = {**bar(browser.get(address)), "decision": "approve", "value-verdict": '"revise"'}

    refused = browser.post(address, sent)
    assert refused.status_code == 422
    sent = {**bar(refused), **{name: sent[name] for name in ("decision", "value-verdict")}}
    assert browser.post(address, {**sent, "value-comment": "Say where."}).status_code == 303
    town.hand.drive(run_id)
    assert "Say where." in model.asked[1]["messages"][-1]["content"]

    address = f"/inbox/{open_request(run_id).pk}/"
    page = browser.get(address)
    assert "Still no idea." in text(page)
    browser.post(address, {**bar(page), "decision": "reject", "comment": "No."})
    town.hand.drive(run_id)
    assert Run.objects.get(pk=run_id).outcome == "rejected"


def sign_in():
    """Return a browser of the reviewer's."""
    browser = Client(enforce_csrf_checks=True)
    token = csrf_of(browser.get("/sign-in/"))
    data = {"username": "rita", "password": PASSWORD, "csrfmiddlewaretoken": token}
    assert browser.post("/sign-in/", data).status_code == 303
    return browser
