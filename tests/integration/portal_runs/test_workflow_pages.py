"""The pages of workflows and their versions."""

import re
from datetime import timedelta

import pytest

from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from core.toolkit.db import read_database_clock
from engine.domain.plan_json import plan_from_json
from engine.models import Version
from tests.integration.portal_runs.conftest import (
    DEFINITION,
    ask,
    call,
    field,
    find,
    queries_of,
    send,
    text,
    words,
)

SHIP = "/workflows/acme/ship/"
FIRST = f"{SHIP}versions/1/"


def test_an_empty_installation_says_what_will_appear(yard):
    assert "No workflows yet" in words(yard.browse("mara").get("/workflows/"))


def test_workflows_are_listed_with_what_is_live_and_their_last_runs(yard):
    yard.save()
    yard.play(call("a"), name="other", title="one")
    yard.start("other", by="mara")
    yard.play(ask("gate"), name="third", title="two")

    page = yard.browse("vera").get("/workflows/")

    said = words(page)
    assert "Ship \u2039version\u203a to \u2039place\u203a" in said
    assert "v1 by Mara" in said
    marks = re.findall(r'<li><a href="/runs/[^"]+" class="s-(\w+)"', text(page))
    assert sorted(marks) == ["approved", "pending", "waiting"]
    assert "1 open" in said


def test_only_who_may_start_is_offered_to(yard):
    yard.save()
    start = f'href="{SHIP}start/"'

    assert start in text(yard.browse("mara").get("/workflows/"))
    assert start in text(yard.browse("mara").get(SHIP))
    assert start in text(yard.browse("mara").get(FIRST))
    for address in ("/workflows/", SHIP, FIRST):
        assert start not in text(yard.browse("rex").get(address))


def test_a_strip_has_at_most_thirty_marks_the_newest_last(yard):
    yard.play(call("a"), name="other")
    for number in range(34):
        yard.start("other", by="mara", inputs={"n": number})

    page = text(yard.browse("vera").get("/workflows/"))

    labels = re.findall(r'<li><a href="/runs/[^"]+" class="s-\w+" title="\w+: (\d+),', page)
    assert len(labels) == 30
    assert [int(label) for label in labels] == sorted(int(label) for label in labels)


@pytest.mark.parametrize("address", [SHIP, FIRST, f"{SHIP}start/"])
def test_a_stranger_finds_no_workflow(yard, address):
    yard.save()
    stranger = yard.browse("stan")

    assert stranger.get(address).status_code == 404
    assert "ship" not in words(stranger.get("/workflows/"))


@pytest.mark.parametrize(
    "address",
    [
        "/workflows/acme/none/",
        "/workflows/none/ship/",
        f"{SHIP}versions/2/",
        f"{SHIP}versions/99999999999/",
        f"{SHIP}versions/nonsense/",
        "/workflows/acme/🚀/",
    ],
)
def test_what_is_not_there_is_not_found(yard, address):
    yard.save()

    assert yard.browse("vera").get(address).status_code == 404


@pytest.mark.parametrize(
    "address",
    ["/workflows/?after=x&project=y", f"{SHIP}?before=x", f"{FIRST}?open=x&fold=none"],
)
def test_nonsense_in_the_address_shows_the_page_without_it(yard, address):
    yard.save()

    assert yard.browse("vera").get(address).status_code == 200


def test_versions_are_listed_with_who_when_and_why(yard):
    yard.save()
    yard.save(DEFINITION.replace("What is shipped", "What goes out"), live=False)

    page = yard.browse("vera").get(SHIP)

    assert re.findall(r'id="version-(\d)"', text(page)) == ["2", "1"]
    said = words(page)
    assert "Draft" in said
    assert "Published live" in said
    assert "why" in said
    assert "Start a run" not in said


def test_a_version_shows_its_text_with_a_link_to_each_line(yard):
    yard.save()

    page = text(yard.browse("vera").get(FIRST))

    lines = re.findall(r'<tr id="L(\d+)">', page)
    assert lines == [str(number) for number in range(1, DEFINITION.count("\n") + 1)]
    assert "name: ship" in page
    # A node leads to where its step is written.
    send_line = DEFINITION[: DEFINITION.index("  send:")].count("\n") + 1
    assert f'id="node-send" href="#L{send_line}"' in page


def test_a_version_says_what_its_runs_take(yard):
    yard.save()

    said = words(yard.browse("vera").get(FIRST))

    assert "version string What is shipped." in said
    assert "place one of staging, production" in said
    assert "count integer, optional Default: 1 minimum 1" in said
    assert said.index("version string") < said.index("place one of") < said.index("count integer")


def test_a_version_says_who_may_do_what_and_why(yard):
    yard.save()
    until = read_database_clock() + timedelta(hours=5)
    assign_role(
        principal=yard.system,
        role="operator",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=yard.users["vera"].pk,
        expires_at=until,
    )
    assign_role(
        principal=yard.system,
        role="requester",
        scope_id=yard.project.scope_id,
        group_id=yard.group("board").pk,
    )

    said = words(yard.browse("vera").get(FIRST))

    assert re.search(r"Start runs board team Requester in this project \w+ Mara Requester", said)
    assert re.search(r"Publish versions \w+ Pia Publisher in this project", said)
    assert re.search(
        r"Vera Operator everywhere , until 20\d\d-|Vera Operator everywhere, until", said
    )


def test_a_publisher_publishes_a_draft(yard):
    yard.save(live=False)
    browser = yard.browse("pia")
    assert "Publish v1" in words(browser.get(FIRST))

    answer = send(browser, FIRST)

    assert (answer.status_code, answer["Location"]) == (303, f"{FIRST}?preview=1")
    assert Version.objects.get().status == "published"
    assert "Publish v1" not in words(browser.get(FIRST))


def test_after_publishing_the_page_says_how_open_runs_would_fare(yard):
    waiting = DEFINITION.replace(
        "    uses: python/call@1\n    with: {function: p.ok}\n",
        "    wait: {event: {type: go, correlate: {run: run.id}}}\n",
    )
    yard.save(waiting)
    run_id = yard.start("ship", by="mara", inputs={"version": "1", "place": "staging"}).run_id
    yard.hand.drive(run_id)
    yard.save(waiting.replace("  build:", "  make:").replace("[build]", "[make]"), live=False)
    browser, address = yard.browse("pia"), f"{SHIP}versions/2/"
    assert "Try open runs with it" in words(browser.get(address))

    shown = browser.get(send(browser, address)["Location"])

    said = words(shown)
    assert "1 open run would not go on with this version" in said
    assert "1 run of another version is open and keeps its own." in said
    assert "The first difference, in entry 2, run.owned" in said
    assert "Instead this version does not have what it names" in said
    assert 'id="preview"' not in text(browser.get(address))


def test_a_version_is_tried_before_it_is_published_and_nothing_changes(yard):
    yard.save(live=False)

    said = words(yard.browse("pia").get(f"{FIRST}?preview=1"))

    assert "No run of another version is open" in said
    assert Version.objects.get().status == "draft"


def test_who_may_not_publish_is_told_nothing_about_open_runs(yard):
    yard.save()

    page = yard.browse("vera").get(f"{FIRST}?preview=1")

    assert page.status_code == 200
    assert 'id="preview"' not in text(page)


def test_who_may_not_publish_has_no_button_and_is_refused(yard):
    yard.save(live=False)
    browser = yard.browse("mara")
    page = browser.get(FIRST)
    assert "Publish v1" not in words(page)

    answer = browser.post(FIRST, {"csrfmiddlewaretoken": field(page, "csrfmiddlewaretoken")})

    assert answer.status_code == 403
    assert Version.objects.get().status == "draft"


def test_a_version_without_a_text_is_shown(yard):
    yard.play(call("a"))

    page = yard.browse("vera").get("/workflows/acme/test/versions/1/")

    assert "This version was made without a text." in words(page)


def test_fifty_rows_take_as_many_queries_as_one(yard):
    yard.play(call("a"), name="w0")
    browser = yard.browse("vera")
    one = queries_of(browser, "/workflows/")
    for number in range(1, 50):
        yard.play(call("a"), name=f"w{number}")

    assert queries_of(browser, "/workflows/") == one


def test_fifty_versions_take_as_many_queries_as_one(yard):
    yard.play(call("a"))
    browser = yard.browse("vera")
    one = queries_of(browser, "/workflows/acme/test/")
    for _ in range(55):
        yard.publish(_plan(), author="mara")

    assert queries_of(browser, "/workflows/acme/test/") == one
    older = find(r'href="(\?before=\d+)"', text(browser.get("/workflows/acme/test/")))
    page = text(browser.get(f"/workflows/acme/test/{older}"))
    assert re.findall(r'id="version-(\d+)"', page) == ["6", "5", "4", "3", "2", "1"]


def test_pages_hold_nothing_the_content_policy_refuses(yard):
    yard.save()
    browser = yard.browse("mara")

    for address in ("/workflows/", SHIP, FIRST, f"{SHIP}start/"):
        page = text(browser.get(address))
        assert not re.search(r'<[^>]* (?:style|on\w+)="', page), address
        assert not re.search(r"<script(?![^>]* src=)", page), address
        assert page.count("<h1") == 1, address
        found = re.findall(r' id="([^"]+)"', page)
        assert len(found) == len(set(found)), address


def _plan():
    version = Version.objects.order_by("-rev")[0]
    return plan_from_json(version.plan)
