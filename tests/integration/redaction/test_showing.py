"""Pages and API of what was redacted say so, hold none of it, and never break."""

import pytest

from approvals.models import Request
from audit.redactions.models import Hold, Redaction
from audit.services import erasing
from engine.models import Run
from tests.integration.redaction.conftest import MARKER, find_marker


@pytest.fixture
def redacted(archive):
    """Return a run that is redacted, and its request."""
    run = archive.play()
    archive.redact_run(run)
    return run, Request.objects.get(run_id=run.pk)


def read(archive, path, *, who="mara", status=200):
    """Return the text of a page."""
    answer = archive.browse(who).get(path)
    text = answer.content.decode()
    assert answer.status_code == status, text[:500]
    assert MARKER not in text
    return text


@pytest.mark.parametrize(
    "query", ["", "?tab=events", "?tab=events&event=1", "?tab=data", "?tab=timeline", "?step=last"]
)
def test_the_page_of_a_run_says_that_it_was_redacted(archive, redacted, query):
    text = read(archive, f"/runs/{redacted[0].pk}/{query}")

    assert "Redacted on" in text
    assert "by order of Rita, approved by Ross" in text


def test_lists_show_it_without_its_title(archive, redacted):
    assert "Redacted" in read(archive, "/runs/")


def test_a_redacted_run_is_not_said_to_have_had_no_input(archive, redacted):
    text = read(archive, f"/runs/{redacted[0].pk}/?tab=data")

    assert "What the run took and gave was redacted." in text
    assert "takes no input" not in text


@pytest.mark.parametrize("path", ["rerun/", "cancel/", "pause/", "resume/"])
def test_what_acts_on_a_run_stays_whole(archive, redacted, path):
    answer = archive.browse("mara").get(f"/runs/{redacted[0].pk}/{path}")

    assert answer.status_code < 500
    assert MARKER not in answer.content.decode()


def test_the_page_of_a_request_says_that_it_was_redacted(archive, redacted):
    text = read(archive, f"/inbox/{redacted[1].pk}/", who="ann")

    assert "Redacted on" in text
    assert "by order of Rita, approved by Ross" in text


def test_the_inbox_lists_it_without_its_title(archive, redacted):
    assert "Redacted" in read(archive, "/inbox/?view=decided", who="ann")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/runs/{run}/",
        "/api/v1/runs/{run}/events/",
        "/api/v1/runs/{run}/steps/",
        "/api/v1/runs/",
        "/api/v1/requests/{request}/",
        "/api/v1/requests/?view=all",
        "/api/v1/ledger/redactions/",
    ],
)
def test_the_api_answers_without_any_of_it(archive, redacted, path):
    run, request = redacted

    read(archive, path.format(run=run.pk, request=request.pk))


def test_an_auditor_reads_every_entry_without_any_of_it(archive, redacted):
    listed = archive.browse("alma").get(f"/api/v1/ledger/entries/?stream={redacted[0].pk}").json()

    for entry in listed["items"]:
        found = archive.browse("alma").get(f"/api/v1/ledger/entries/{entry['id']}/").json()
        assert MARKER not in str(found)
        read(archive, f"/ledger/entries/{entry['id']}/", who="alma")


def test_the_key_of_a_redacted_run_starts_no_second_one(archive):
    run = archive.play(key="k-1")
    archive.redact_run(run)
    browser = archive.browse("mara")

    answer = browser.post(
        "/api/v1/workflows/acme/everything/runs/",
        {"inputs": {"who": MARKER, "fails": False}},
        content_type="application/json",
        headers={"Idempotency-Key": "k-1"},
    )

    assert answer.status_code == 422, answer.content
    assert Run.objects.filter(idempotency_key="k-1").count() == 1


# --- the page of redactions ------------------------------------------------------------------

PAGE = "/ledger/redactions/"


def test_two_people_redact_a_run_on_the_page(archive):
    run = archive.play()
    asked = {
        "act": "request",
        "target": "run",
        "target_id": str(run.pk),
        "basis": "gdpr_17",
        "reason": "They asked <b>twice</b>.",
    }

    assert archive.browse("rita").post(PAGE, asked).status_code == 303
    order = Redaction.objects.get()
    own = archive.browse("rita").get(PAGE).content.decode()
    assert f"approve-{order.pk}" not in own
    assert "They asked &lt;b&gt;twice&lt;/b&gt;." in own
    assert f'id="approve-{order.pk}"' in archive.browse("ross").get(PAGE).content.decode()
    approved = {"act": "approve", "id": str(order.pk)}
    assert archive.browse("rita").post(PAGE, approved).status_code == 403
    assert archive.browse("ross").post(PAGE, approved).status_code == 303
    assert erasing.execute_orders() == 1
    assert find_marker() == {}
    assert "Done" in read(archive, PAGE, who="alma")


def test_a_page_that_refuses_names_the_hold_where_scripts_look_for_the_problem(archive):
    run = archive.play()
    asked = {"target": "run", "target_id": str(run.pk), "basis": "gdpr_17", "reason": "Asked."}
    held = {"kind": "run", "held_id": str(run.pk), "hold_reason": "Case 9"}
    for typed in ({"act": "request", **asked}, {"act": "hold", **held}):
        assert archive.browse("rita").post(PAGE, typed).status_code == 303
    order = Redaction.objects.get()

    answer = archive.browse("ross").post(PAGE, {"act": "approve", "id": str(order.pk)})

    assert answer.status_code == 409
    # forms.js shows a refusal in place only if it finds this, and otherwise drops the reason.
    problem = answer.content.decode().partition('id="problem"')[2].partition("<section")[0]
    assert "legal hold" in problem.lower()


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ({"act": "request", "target": "run", "target_id": "x", "basis": "other"}, 422),
        ({"act": "request", "target": "moon", "target_id": "x", "basis": "other"}, 422),
        ({"act": "approve", "id": "00000000-0000-0000-0000-000000000009"}, 409),
        ({"act": "hold", "kind": "run", "held_id": "x"}, 422),
        ({"act": "retain", "project": "acme", "part": "runs", "period": "soon"}, 422),
        ({"act": "nonsense"}, 422),
        ({}, 422),
    ],
)
def test_what_is_malformed_is_said_in_place(archive, typed, status):
    answer = archive.browse("rita").post(PAGE, typed)

    assert answer.status_code == status
    assert "Nothing was done" in answer.content.decode()


def test_holds_and_periods_are_set_on_the_page(archive):
    run = archive.play()
    browser = archive.browse("rita")
    held = {"act": "hold", "kind": "run", "held_id": str(run.pk), "hold_reason": "Case 12"}
    kept = {"act": "retain", "project": "acme", "part": "runs", "period": "P400D"}

    assert browser.post(PAGE, held).status_code == 303
    assert browser.post(PAGE, {**kept, "retain_reason": "policy"}).status_code == 303

    text = browser.get(PAGE).content.decode()
    assert "Case 12" in text
    assert "P400D" in text
    released = {"act": "release", "id": str(Hold.objects.get().pk), "reason": "over"}
    assert browser.post(PAGE, released).status_code == 303
    assert "Released by" in browser.get(PAGE).content.decode()


def test_an_auditor_sees_the_page_and_acts_on_nothing(archive):
    text = archive.browse("alma").get(PAGE).content.decode()

    assert 'name="act"' not in text
    held = {"act": "hold", "kind": "project", "held_id": str(archive.project.pk)}
    answer = archive.browse("alma").post(PAGE, {**held, "hold_reason": "x"})
    assert answer.status_code == 403
    assert not Hold.objects.exists()


@pytest.mark.parametrize("who", ["mara", "vera"])
def test_others_find_no_such_page(archive, who):
    assert archive.browse(who).get(PAGE).status_code == 404
    assert archive.browse(who).post(PAGE, {"act": "hold"}).status_code == 404
