"""Starting a run from its form."""

import re

import pytest

from engine.models import Run
from tests.integration.portal_runs.conftest import DEFINITION, field, find, send, text, words

START = "/workflows/acme/ship/start/"
GOOD = {"value-version": "1.2.3", "value-place": '"staging"', "value-count": "2"}


def _data(page, **changes):
    return {"key": field(page, "key"), "rev": field(page, "rev"), **GOOD, **changes}


def test_a_form_asks_for_each_input_in_the_order_of_the_text(yard):
    yard.save()

    page = yard.browse("mara").get(START)

    names = re.findall(r'name="value-(\w+)"', text(page))
    assert names == ["version", "place", "count"]
    assert 'value="1"' in text(page)


def test_a_form_starts_a_run_and_goes_to_it(yard):
    yard.save()
    browser = yard.browse("mara")
    page = browser.get(START)

    answer = send(browser, START, page, **_data(page))

    run = Run.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/runs/{run.pk}/")
    assert run.title == "Ship 1.2.3 to staging"
    assert run.initiator == yard.users["mara"]
    assert browser.get(answer["Location"]).status_code == 200


def test_the_same_form_sent_twice_starts_one_run(yard):
    yard.save()
    browser = yard.browse("mara")
    page = browser.get(START)

    first = send(browser, START, page, **_data(page))
    second = send(browser, START, page, **_data(page))

    assert first["Location"] == second["Location"]
    assert Run.objects.count() == 1


def test_a_form_changed_and_sent_again_says_that_it_started_a_run(yard):
    yard.save()
    browser = yard.browse("mara")
    page = browser.get(START)
    send(browser, START, page, **_data(page))

    answer = send(browser, START, page, **_data(page, **{"value-version": "9.9"}))

    assert answer.status_code == 422
    assert "This form has started a run already" in words(answer)
    assert field(answer, "key") != field(page, "key")
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("value-version", "<b>not a version</b>"),
        ("value-version", ""),
        ("value-version", "承認 🚀"),
        ("value-count", "many"),
        ("value-count", "0"),
        ("value-count", "9" * 400),
        ("value-place", '"nowhere"'),
        ("value-place", "{]"),
    ],
)
def test_what_is_wrong_stands_at_the_field_and_nothing_typed_is_lost(yard, name, typed):
    yard.save()
    browser = yard.browse("mara")
    page = browser.get(START)

    answer = send(browser, START, page, **_data(page, **{name: typed}))

    assert answer.status_code == 422
    assert "Nothing was started: 1 thing to look at" in words(answer)
    assert len(re.findall(r'class="field invalid"', text(answer))) == 1
    assert "<b>not" not in text(answer)
    other = "value-version" if name != "value-version" else "value-count"
    assert f'value="{GOOD[other]}"' in text(answer)
    assert field(answer, "key") == field(page, "key")
    assert Run.objects.count() == 0


def test_a_version_published_meanwhile_is_said_before_anything_starts(yard):
    yard.save()
    browser = yard.browse("mara")
    page = browser.get(START)
    yard.save(DEFINITION.replace("What is shipped", "What goes out"))

    answer = send(browser, START, page, **_data(page))

    assert answer.status_code == 409
    assert "Version 2 is live now, not the one you saw." in words(answer)
    assert 'value="1.2.3"' in text(answer)
    assert Run.objects.count() == 0
    again = send(browser, START, answer, **_data(answer))
    assert again.status_code == 303


@pytest.mark.parametrize("name", ["vera", "pia", "rex", "ann"])
def test_who_may_not_start_reads_who_may(yard, name):
    yard.save()
    allowed = yard.browse("mara").get(START)
    browser = yard.browse(name)

    page = browser.get(START)

    assert page.status_code == 403
    assert "You may not start ship" in words(page)
    assert "Mara Requester in this project" in words(page)
    assert "value-version" not in text(page)
    answer = send(browser, START, page, **_data(allowed)) if "csrf" in text(page) else page
    assert answer.status_code == 403
    assert Run.objects.count() == 0


def test_a_workflow_with_nothing_published_cannot_be_started(yard):
    yard.save(live=False)
    browser = yard.browse("mara")

    assert browser.get(START).status_code == 409
    assert "Start" not in words(browser.get("/workflows/")).replace("Started", "")


def test_a_workflow_that_people_do_not_start_says_so(yard):
    yard.save(DEFINITION.replace("[{manual: {}}, {api: {}}]", "[{api: {}}]"))
    browser = yard.browse("mara")
    page = browser.get(START)

    answer = send(browser, START, page, **_data(page))

    assert answer.status_code == 422
    assert Run.objects.count() == 0


def test_running_again_begins_with_the_inputs_of_the_run(yard):
    yard.save()
    inputs = {"version": "7.8.9", "place": "production"}
    run_id = yard.start("ship", by="mara", inputs=inputs).run_id
    browser = yard.browse("mara")

    link = find(r'href="([^"]+from=[^"]+)"', text(browser.get(f"/runs/{run_id}/")))
    page = browser.get(link)

    assert 'value="7.8.9"' in text(page)
    assert re.search(r'value="&quot;production&quot;" selected', text(page))
    assert "Run again" in words(page)


def test_running_again_takes_no_inputs_of_another_workflow_or_of_a_run_unseen(yard):
    yard.save()
    inputs = {"version": "7.8.9", "place": "production"}
    run_id = yard.start("ship", by="mara", inputs=inputs).run_id
    yard.save(DEFINITION.replace("name: ship", "name: other"))

    page = yard.browse("mara").get(f"/workflows/acme/other/start/?from={run_id}")
    nonsense = yard.browse("mara").get(f"{START}?from=nonsense")

    assert "7.8.9" not in text(page)
    assert nonsense.status_code == 200
