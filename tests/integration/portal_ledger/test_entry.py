"""The page of one entry."""

import re

from audit.domain.entry import leaf_hash
from audit.models import Entry, Payload
from core.kernel.record import Origin
from tests.fakes.drafts import ORIGIN, PERSON, draft
from tests.integration.audit.streams import append, open_stream
from tests.integration.portal_runs.conftest import find, queries_of, text, words


def open_entry(archive, name="aud", **more):
    row = Entry.objects.filter(**more).latest("pk") if more else Entry.objects.latest("pk")
    return archive.browse(name).get(f"/ledger/entries/{row.pk}/"), row


def shown_bytes(page):
    """Return the text of the bytes as a browser reads it."""
    inside = find(r'(?s)<pre[^>]*id="body-text"[^>]*>(.*?)</pre>', re.sub("</?b>", "", text(page)))
    return inside.encode()


def test_the_bytes_on_the_page_are_those_that_were_hashed(archive):
    append(open_stream(), draft(data={"text": 'a "key": <b>&amp;</b> \\ é'}, subject='x":"y'))

    page, row = open_entry(archive)

    assert shown_bytes(page) == bytes(row.body)
    assert leaf_hash(shown_bytes(page)).hex() in text(page)
    assert f"{len(bytes(row.body))} bytes" in words(page)


def test_an_entry_says_who_did_what_and_where_it_stands(archive):
    page, row = open_entry(archive, kind="run.started")

    said = words(page)
    assert "Mara started the run" in said
    assert bytes(row.leaf).hex() in said
    assert "none: it is the first of its stream" in said
    assert "It waits to be sealed." in said
    assert "the API" in said


def test_the_entries_before_and_after_in_its_stream_are_a_click_away(archive):
    head, _ = append(open_stream(), draft(), draft(), draft())
    first, middle, last = Entry.objects.filter(stream=head.stream).order_by("seq")

    page = text(archive.browse("aud").get(f"/ledger/entries/{middle.pk}/"))

    assert f'href="/ledger/entries/{first.pk}/"' in page
    assert f'href="/ledger/entries/{last.pk}/"' in page


def test_values_are_opened_and_erased_ones_said_so(archive):
    origin = Origin(actor=PERSON, via=ORIGIN.via, source_address="192.0.2.3")
    append(open_stream(), draft(payloads={"comment": "as agreed", "form": {"a": 1}}, origin=origin))
    row = Entry.objects.latest("pk")
    Payload.objects.filter(entry=row, name="comment").update(salt=None, value=None)

    page, _ = open_entry(archive)

    said = words(page)
    assert "as agreed" not in said
    assert "Erased." in said
    assert "192.0.2.3" in said
    assert "Address it came from" in said


def test_a_kind_that_nobody_named_is_called_by_its_own_words(archive):
    append(open_stream(), draft(kind="thing.done_twice"))

    page, _ = open_entry(archive)

    assert "left “thing done twice” on record" in words(page)


def test_an_entry_that_is_not_there_is_not_here(archive):
    browser = archive.browse("aud")

    assert browser.get(f"/ledger/entries/{10**9}/").status_code == 404
    assert browser.get(f"/ledger/entries/{10**30}/").status_code == 404


def test_an_entry_takes_few_queries(archive):
    row = Entry.objects.filter(kind="run.started").latest("pk")

    assert queries_of(archive.browse("aud"), f"/ledger/entries/{row.pk}/") <= 24
