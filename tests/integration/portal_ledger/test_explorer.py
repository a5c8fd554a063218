"""The ledger's page: who finds what, and how it reads."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.domain.entry import read_entry
from audit.models import Entry
from audit.selectors.instants import find_id_after, find_id_before
from core.kernel import limits
from engine.models import Run
from tests.fakes.drafts import AT, draft
from tests.integration.audit.streams import append, open_stream
from tests.integration.portal_runs.conftest import call, queries_of, text, words


def ids_of(answer):
    return [int(found) for found in re.findall(r'<tr id="entry-(\d+)"', text(answer))]


def kinds_of(answer):
    return set(Entry.objects.filter(pk__in=ids_of(answer)).values_list("kind", flat=True))


@pytest.fixture
def browser(archive):
    return archive.browse("aud")


def test_entries_stand_newest_first_in_plain_words_with_who_and_about_what(archive, browser):
    page = browser.get("/ledger/")

    said = words(page)
    run = Run.objects.get(title="Ship it")
    assert page.status_code == 200
    assert ids_of(page) == sorted(ids_of(page), reverse=True)
    assert "Mara" in said
    assert "started the run" in said
    assert "saw build succeed" in said
    assert f'href="/runs/{run.pk}/"' in text(page)
    assert f"Run {run.number} Ship it" in said
    assert "acme" in said


def test_whoever_may_not_read_the_ledger_finds_no_page_and_no_way_to_it(archive):
    browser = archive.browse("mara")

    assert browser.get("/ledger/").status_code == 404
    assert browser.get(f"/ledger/entries/{Entry.objects.latest('pk').pk}/").status_code == 404
    assert 'id="nav-ledger"' not in text(browser.get("/runs/"))
    assert 'id="nav-ledger"' in text(archive.browse("aud").get("/runs/"))


def test_nobody_is_asked_to_sign_in(archive, client):
    assert client.get("/ledger/").status_code == 401


def test_an_auditor_of_a_project_sees_its_entries_only(archive):
    append(open_stream(), draft(kind="thing.done", scope=None))
    hidden = Entry.objects.latest("pk").pk
    browser = archive.browse("paul")

    page = browser.get("/ledger/")

    assert ids_of(page)
    assert hidden not in ids_of(page)
    scopes = set(Entry.objects.filter(pk__in=ids_of(page)).values_list("scope", flat=True))
    assert None not in scopes
    assert "You see the projects you audit." in words(page)
    assert browser.get(f"/ledger/entries/{hidden}/").status_code == 404


@pytest.mark.parametrize("who", ["mara", "Mara", "MARA", "ara"])
def test_who_acted_is_found_by_name(browser, archive, who):
    page = browser.get("/ledger/", {"actor": who})

    actors = set(Entry.objects.filter(pk__in=ids_of(page)).values_list("actor", flat=True))
    assert actors == {str(archive.users["mara"].pk)}


def test_the_engine_is_found_by_its_name(browser):
    page = browser.get("/ledger/", {"actor": "the engine"})

    actors = set(Entry.objects.filter(pk__in=ids_of(page)).values_list("actor", flat=True))
    assert actors == {"engine"}


def test_a_name_that_nobody_has_looks_like_one_that_did_nothing(browser, archive):
    archive.user("idle")
    for name in ("idle", "no-such-account"):
        page = browser.get("/ledger/", {"actor": name})
        assert ids_of(page) == []
        assert "No entries match" in words(page)


def test_kinds_are_chosen_one_by_one_or_by_their_group(browser):
    one = browser.get("/ledger/", {"kind": "run.closed"})
    two = browser.get("/ledger/", {"kind": "run.closed,run.started"})
    group = browser.get("/ledger/", {"kind": "group:approvals"})

    assert kinds_of(one) == {"run.closed"}
    assert kinds_of(two) == {"run.closed", "run.started"}
    assert "request.opened" in kinds_of(group)
    assert all(kind.partition(".")[0] in {"request", "stage", "notice"} for kind in kinds_of(group))
    assert "There is no group" in words(browser.get("/ledger/", {"kind": "group:nonsense"}))


def test_what_it_is_about_is_found_by_what_people_call_it(browser):
    run = Run.objects.get(title="Ship it")

    for wanted in (f"run:{run.pk}", str(run.pk), f"Run {run.number}", f" run {run.number} "):
        page = browser.get("/ledger/", {"subject": wanted})
        subjects = set(Entry.objects.filter(pk__in=ids_of(page)).values_list("subject", flat=True))
        assert subjects == {f"run:{run.pk}"}, wanted


def test_a_request_is_found_by_its_number(browser):
    request = Entry.objects.filter(kind="request.opened").latest("pk")
    number = read_entry(bytes(request.body)).data["number"]

    page = browser.get("/ledger/", {"subject": f"a-{number}"})

    assert request.pk in ids_of(page)
    assert f"A-{number}" in words(page)


def test_a_project_brings_the_entries_of_its_workflows(browser, archive):
    page = browser.get("/ledger/", {"project": "acme", "kind": "run.started"})

    assert len(ids_of(page)) == 2
    assert ids_of(browser.get("/ledger/", {"project": "other"})) == []


def test_a_stream_is_found_by_name_and_nonsense_is_said(browser):
    assert kinds_of(browser.get("/ledger/", {"stream": "identity"})) >= {"user.created"}
    wrong = browser.get("/ledger/", {"stream": "No Name"})
    assert wrong.status_code == 422
    assert "is not the name of a stream" in words(wrong)


def test_a_hash_or_its_beginning_finds_the_entry(browser):
    row = Entry.objects.order_by("pk")[3]
    leaf = bytes(row.leaf).hex()

    for digits in (leaf, leaf[:6], leaf[:7].upper(), leaf[:40]):
        assert row.pk in ids_of(browser.get("/ledger/", {"leaf": digits})), digits
    assert ids_of(browser.get("/ledger/", {"leaf": leaf})) == [row.pk]
    wrong = browser.get("/ledger/", {"leaf": "xyz"})
    assert wrong.status_code == 422
    assert "hex digits" in words(wrong)


def test_every_filter_has_a_chip_that_takes_it_off(browser):
    page = browser.get("/ledger/", {"kind": "run.closed", "actor": "the engine", "when": "day"})

    hrefs = re.findall(r'<a class="tag" href="([^"]*)"', text(page))
    assert len(hrefs) == 3
    assert all(len(re.findall("=", href)) == 2 for href in hrefs)
    assert "Clear all" in words(page)


def test_pages_follow_one_another_without_gaps(browser):
    append(open_stream(), *[draft(kind="thing.done", data={"n": n}) for n in range(60)])
    seen = []
    address = "/ledger/?kind=thing.done"

    while address:
        page = browser.get(address)
        seen += ids_of(page)
        found = re.search(r'href="([^"]*)" data-nav>Older', text(page))
        address = f"/ledger/{found[1].replace('&amp;', '&')}" if found else ""

    assert len(seen) == 60
    assert seen == sorted(set(seen), reverse=True)


def test_a_period_is_cut_out_by_time(browser):
    stream = open_stream()
    head, _ = append(stream, *[draft(at=AT + timedelta(hours=n), data={"n": n}) for n in range(5)])
    address = {"stream": str(head.stream)}

    def numbers(**period):
        page = browser.get("/ledger/", {**address, **period})
        rows = Entry.objects.filter(pk__in=ids_of(page)).order_by("seq")
        return [row.seq - 1 for row in rows]

    assert numbers(since=(AT + timedelta(hours=2)).isoformat()) == [2, 3, 4]
    assert numbers(until=(AT + timedelta(hours=2)).isoformat()) == [0, 1]
    assert numbers(since=f"{AT:%Y-%m-%dT%H:%M}", until=f"{AT + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    assert numbers(when="hour") == []
    wrong = browser.get("/ledger/", {**address, "since": "yesterday"})
    assert "is no time" in words(wrong)
    assert len(ids_of(wrong)) == 5


def test_a_period_is_found_in_the_primary_key(archive):
    day = timedelta(days=1)
    first = datetime(2031, 1, 1, tzinfo=UTC)
    head, _ = append(open_stream(), *[draft(at=first + day * n) for n in range(20)])
    ids = list(Entry.objects.filter(stream=head.stream).order_by("pk").values_list("pk", flat=True))

    # The first entry of the day before, and of the day after: `ENTRY_LAG_MAX` on both sides.
    assert day == limits.ENTRY_LAG_MAX
    assert find_id_before(instant=first + day * 10) == ids[9]
    assert find_id_after(instant=first + day * 10) == ids[11]
    assert find_id_after(instant=first + day * 30) == ids[-1] + 1
    assert (
        find_id_before(instant=datetime(2000, 1, 1, tzinfo=UTC)) == Entry.objects.earliest("pk").pk
    )


def test_an_old_period_is_found_without_reading_what_is_newer(archive, browser):
    old = datetime(2001, 1, 1, tzinfo=UTC)

    with CaptureQueriesContext(connection) as queries:
        assert ids_of(browser.get("/ledger/", {"until": old.isoformat()})) == []

    (statement,) = [item["sql"] for item in queries if '"audit_entry"."body"' in item["sql"]]
    assert f'"audit_entry"."id" < {Entry.objects.earliest("pk").pk}' in statement


def test_the_page_takes_the_same_queries_however_many_entries_there_are(archive, browser):
    few = queries_of(browser, "/ledger/?kind=run.started,step.completed")
    for number in range(4):
        archive.play(call("build"), title=f"more {number}", name="ship")

    assert queries_of(browser, "/ledger/?kind=run.started,step.completed") == few
    assert queries_of(browser, "/ledger/") <= 24


def test_hostile_text_is_text(browser):
    page = browser.get("/ledger/", {"actor": "<script>alert(1)</script>", "subject": "a&b\"'"})

    assert "<script>alert(1)" not in text(page)
    assert page.status_code == 200


def test_runs_and_requests_lead_to_their_entries_for_those_who_may_read_them(archive):
    run = Run.objects.get(title="Ship it")
    archive.user("both", "viewer", "auditor")
    link = f'href="/ledger/?stream={run.pk}"'

    assert link in text(archive.browse("both").get(f"/runs/{run.pk}/"))
    assert link not in text(archive.browse("vera").get(f"/runs/{run.pk}/"))
    opened = text(archive.browse("both").get(f"/runs/{run.pk}/?tab=events&event=1"))
    first = Entry.objects.get(stream=run.pk, seq=1)
    assert f'href="/ledger/?leaf={bytes(first.leaf).hex()}"' in opened
    assert ids_of(archive.browse("both").get(f"/ledger/?stream={run.pk}"))
