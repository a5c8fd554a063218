"""Pausing, resuming, trying again and skipping from the pages of a run."""

import pytest

from audit import store as ledger
from core.kernel import limits
from engine.domain.plan import Retry
from engine.models import Run
from tests.constructs import event
from tests.integration.portal_runs.conftest import ask, call, send, text, words

LATER = Retry(retries_max=3, initial_seconds=300, jitter=False)


@pytest.fixture
def run_id(yard):
    return yard.play(ask("gate"), call("b", "gate"), title="Big one")


def kinds(run_id):
    return [entry.kind for entry in ledger.read_stream(stream=run_id, limit=100)]


def status(run_id):
    return Run.objects.get(pk=run_id).status


def test_an_operator_pauses_a_run_and_lets_it_go_on(yard, run_id):
    browser = yard.browse("rex")
    page = words(browser.get(f"/runs/{run_id}/"))
    assert "Pause…" in page
    assert "Resume…" not in page

    answer = send(browser, f"/runs/{run_id}/pause/", reason=" a fire drill ")

    assert (answer.status_code, answer["Location"]) == (303, f"/runs/{run_id}/")
    assert status(run_id) == "PAUSED"
    page = words(browser.get(f"/runs/{run_id}/?tab=events"))
    assert "Paused" in page
    assert "Somebody paused the run" in page
    assert "a fire drill" in page
    assert "Pause…" not in page
    assert "Resume…" in page
    assert str(run_id) in text(browser.get("/runs/?state=paused"))

    send(browser, f"/runs/{run_id}/resume/", reason="it was only a drill")
    yard.hand.drive(run_id)

    assert status(run_id) == "WAITING"
    assert "Somebody let the run go on" in words(browser.get(f"/runs/{run_id}/?tab=events"))


def test_a_step_that_waits_is_skipped_from_its_panel(yard):
    run_id = yard.play(event("hear"), call("b"))
    browser = yard.browse("rex")
    page = text(browser.get(f"/runs/{run_id}/?step=hear"))
    address = f"/runs/{run_id}/steps/hear%231/skip/"
    assert f'href="{address}"' in page
    assert "retry/" not in page
    assert "Skip Hear?" in words(browser.get(address))

    answer = send(browser, address, reason="nobody will send it")

    assert answer["Location"] == f"/runs/{run_id}/?step=hear"
    yard.hand.drive(run_id)
    assert Run.objects.get(pk=run_id).outcome == "succeeded"
    page = words(browser.get(f"/runs/{run_id}/?step=hear"))
    assert "An operator skipped it." in page
    assert "Somebody had Hear skipped" in page


def test_a_step_is_tried_again_from_its_panel(yard):
    run_id = yard.play(call("shaky", does="p.flaky", retry=LATER))
    browser = yard.browse("rex")
    address = f"/runs/{run_id}/steps/shaky%231/retry/"
    assert f'href="{address}"' in text(browser.get(f"/runs/{run_id}/?step=shaky"))

    send(browser, address, reason="the mirror is back")

    assert kinds(run_id)[-1] == "step.retry_requested"
    assert status(run_id) == "READY"


def test_nobody_is_offered_to_skip_an_approval(yard, run_id):
    browser = yard.browse("rex")

    assert "skip/" not in text(browser.get(f"/runs/{run_id}/?step=gate"))
    answer = send(browser, f"/runs/{run_id}/steps/gate%231/skip/", reason="in a hurry")

    assert answer.status_code == 422
    assert "nobody skips that" in words(answer)
    assert "step.skip_requested" not in kinds(run_id)


@pytest.mark.parametrize("verb", ["pause", "resume", "steps/b%231/skip", "steps/b%231/retry"])
@pytest.mark.parametrize("reason", ["", "   ", "x" * (limits.REASON_CHARS_MAX + 1)])
def test_a_reason_that_will_not_do_comes_back_with_what_was_typed(yard, run_id, verb, reason):
    before = kinds(run_id)

    answer = send(yard.browse("rex"), f"/runs/{run_id}/{verb}/", reason=reason)

    assert answer.status_code == 422
    assert f">{reason}</textarea>" in text(answer)
    assert kinds(run_id) == before


@pytest.mark.parametrize("verb", ["pause", "resume", "steps/b%231/skip", "steps/b%231/retry"])
def test_who_may_not_reads_who_may(yard, run_id, verb):
    browser = yard.browse("vera")

    page = browser.get(f"/runs/{run_id}/{verb}/")

    assert page.status_code == 403
    assert "Rex" in words(page)
    shown = words(browser.get(f"/runs/{run_id}/?step=b"))
    assert not [word for word in ("Pause…", "Resume…", "Skip…", "Try again…") if word in shown]


def test_a_run_is_cancelled_and_undone(yard, run_id):
    browser = yard.browse("rex")
    assert "First undo what has completed" in words(browser.get(f"/runs/{run_id}/cancel/"))

    send(browser, f"/runs/{run_id}/cancel/", reason="wrong version", compensate="on")

    entries = ledger.read_stream(stream=run_id, limit=100)
    asked = next(entry for entry in entries if entry.kind == "run.cancel_requested")
    assert asked.data["compensate"] is True
    assert "and to undo what it did" in words(browser.get(f"/runs/{run_id}/?tab=events"))


def test_a_run_that_is_over_takes_nothing_more(yard):
    run_id = yard.play(call("a"))

    page = yard.browse("rex").get(f"/runs/{run_id}/pause/")

    assert "This run is over" in words(page)
    assert "<textarea" not in text(page)
