"""Running a run again with other inputs, or another version, from its page."""

from typing import Any

import pytest

from audit import store as ledger
from engine.models import Run, Version, VersionStatus
from tests.integration.portal_runs.conftest import DEFINITION, field, send, text, words

INPUTS = '{"version": "1.2.3", "place": "staging"}'
OTHER = '{"version": "2.0", "place": "staging", "count": 1}'


@pytest.fixture
def over(yard):
    """Return a run of version 1 that is over; version 2 has another second step."""
    yard.save()
    run_id = yard.start("ship", by="mara", inputs={"version": "1.2.3", "place": "staging"}).run_id
    yard.hand.drive(run_id)
    assert Run.objects.get(pk=run_id).outcome == "succeeded"
    yard.save(DEFINITION.replace("needs: [build]", "needs: [build]\n    timeout: PT5M"))
    yard.user("olga", "requester", "operator")
    return run_id


def address(run_id):
    return f"/runs/{run_id}/again/"


def show(browser, run_id, **typed):
    return send(browser, address(run_id), show="1", **typed)


def start(browser, run_id, page, **changes):
    typed = {name: field(page, name) for name in ("key", "step", "rev", "inputs")}
    return send(browser, address(run_id), page, reason="again", **{**typed, **changes})


def row_of(page, step):
    return words(page).partition("In the new run")[2].partition(step)[2][:60]


def test_the_form_begins_with_what_the_run_had(yard, over):
    page = yard.browse("olga").get(address(over))

    assert '<option value="1" selected>version 1, as it was</option>' in text(page)
    assert '<option value="2">version 2</option>' in text(page)
    assert "&quot;version&quot;: &quot;1.2.3&quot;" in text(page)
    assert '<details id="fork">' in text(page)
    assert 'id="changed"' not in text(page)


def test_other_inputs_are_shown_and_then_run(yard, over):
    browser = yard.browse("olga")

    page = show(browser, over, step="send#1", rev="1", inputs=OTHER)

    assert page.status_code == 200
    assert "Inputs that differ: version" in words(page)
    assert "Steps that differ, or read what does: Build" in words(page)
    assert "it reads what is different" in row_of(page, "Build")
    assert Run.objects.filter(rerunner__isnull=False).count() == 0

    answer = start(browser, over, page)

    new = Run.objects.get(rerunner__isnull=False)
    assert (answer.status_code, answer["Location"]) == (303, f"/runs/{new.pk}/")
    first: Any = ledger.read_stream(stream=new.pk, limit=1)[0]
    assert first.payloads["inputs"]["version"] == "2.0"
    assert first.data["rerun"]["fork"] is True
    assert new.version_id == Run.objects.get(pk=over).version_id
    assert "Fork of" in words(browser.get(answer["Location"]))


def test_another_version_is_shown_and_then_run(yard, over):
    browser = yard.browse("olga")

    page = show(browser, over, step="send#1", rev="2", inputs=INPUTS)

    assert "Steps that differ, or read what does: Send" in words(page)
    assert "Inputs that differ" not in words(page)
    assert "Taken over" in row_of(page, "Build")
    start(browser, over, page)

    new = Run.objects.get(rerunner__isnull=False)
    assert new.version.rev == 2


def test_what_is_left_as_it_was_is_no_fork(yard, over):
    browser = yard.browse("olga")
    shown = show(browser, over, step="send#1", rev="1", inputs="  ")
    assert 'id="changed"' not in text(shown)

    page = browser.get(f"{address(over)}?step=send%231")
    answer = send(
        browser,
        address(over),
        page,
        key=field(page, "key"),
        step="send#1",
        rev="1",
        inputs='{"count": 1, "place": "staging", "version": "1.2.3"}',
        reason="again",
    )

    assert answer.status_code == 303
    new = Run.objects.get(rerunner__isnull=False)
    first: Any = ledger.read_stream(stream=new.pk, limit=1)[0]
    assert first.data["rerun"]["fork"] is False


@pytest.mark.parametrize(
    ("name", "typed", "says"),
    [
        ("inputs", "{version: 2}", "This is not JSON"),
        ("inputs", "[]", "Write a map"),
        ("inputs", '{"version": "<b>x</b>", "place": "staging"}', "/version"),
        ("inputs", '{"version": "1.2.3"}', "place"),
        ("inputs", '{"version": "1", "place": "staging", "more": 1}', "more"),
        ("inputs", '{"version": "1.2.3", "place": "staging", "count": true}', "/count"),
        ("rev", "3", "is not published"),
        ("rev", "77", "The workflow has no such version"),
        ("rev", "9" * 300, None),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_starts_nothing(yard, over, name, typed, says):
    yard.save(DEFINITION.replace("What is shipped", "What goes"), live=False)
    browser = yard.browse("olga")

    page = show(browser, over, **{"step": "send#1", "rev": "1", "inputs": INPUTS, name: typed})

    if says is None:  # nonsense in a field that nobody types into is as if it were not there
        assert page.status_code == 200
        return
    assert page.status_code == 422
    assert text(page).count('class="field invalid"') == 1
    at_field = text(page).partition('class="field invalid"')[2]
    assert at_field.lstrip("> \n").startswith(f'<label for="{name}">')
    assert says in words(page)
    assert "<b>x" not in text(page)
    assert 'id="again-form"' not in text(page)
    assert '<option value="send#1" selected>' in text(page)

    answer = send(
        browser,
        address(over),
        page,
        **{"step": "send#1", "rev": "1", "inputs": INPUTS, "reason": "x", name: typed},
    )
    assert answer.status_code == 422
    assert Run.objects.filter(rerunner__isnull=False).count() == 0


def test_a_run_whose_version_is_not_published_any_more_is_run_with_another(yard, over):
    Version.objects.filter(rev=1).update(status=VersionStatus.RETIRED)
    browser = yard.browse("olga")

    page = browser.get(address(over))
    assert "Version 1 is not published" in words(page)
    assert '<option value="2">version 2</option>' in text(page)
    page = show(browser, over, step="", rev="2", inputs=INPUTS)
    assert start(browser, over, page).status_code == 303


def test_who_may_not_reads_who_may(yard, over):
    browser = yard.browse("rex")

    page = browser.get(address(over))

    assert page.status_code == 403
    assert "1.2.3" not in words(page).replace("Ship 1.2.3", "")
    answer = send(browser, address(over), browser.get("/runs/"), show="1", rev="2", inputs=INPUTS)
    assert answer.status_code == 403
