"""The page of one entry."""

import json
import re

from django.db import connection

from audit.domain.checkpoints import parse_checkpoint
from audit.domain.entry import commitment, leaf_hash, read_entry
from audit.domain.merkle import check_inclusion
from audit.domain.notes import open_note
from audit.models import Entry, Leaf, Payload
from core.kernel.record import Origin
from tests.fakes.drafts import ORIGIN, PERSON, draft
from tests.integration.audit.logs import KEY, seal
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


def test_a_sealed_entry_comes_with_its_proof_drawn_and_ready_to_be_checked(archive):
    size = seal()

    page, row = open_entry(archive, kind="run.started")

    body = text(page)
    found = json.loads(find(r'(?s)<script id="proof-data"[^>]*>(.*?)</script>', body))
    note = open_note(found["note"], [KEY.verifier])
    checkpoint = parse_checkpoint(note.text)
    check_inclusion(
        leaf=bytes(row.leaf),
        index=found["index"],
        size=size,
        path=[bytes.fromhex(item) for item in found["path"]],
        root=checkpoint.root,
    )
    view = read_entry(bytes(row.body))
    for opening in found["openings"]:
        opened = commitment(
            stream=view.stream,
            seq=view.seq,
            name=opening["name"],
            value_bytes=opening["value"].encode(),
            salt=bytes.fromhex(opening["salt"]),
        )
        assert opened == view.commitments[opening["name"]]
    assert found["openings"]
    assert 'class="merkle"' in body
    assert checkpoint.root.hex() in body
    assert "waits to be sealed" not in words(page)


def test_an_entry_that_came_after_the_tree_head_has_no_proof_yet(archive):
    seal()
    append(open_stream(), draft())

    page, _ = open_entry(archive)

    assert "It waits to be sealed." in words(page)
    assert "proof-data" not in text(page)


def test_stored_bytes_that_do_not_lead_to_the_signed_root_are_named_and_still_shown(archive):
    seal()
    row = Entry.objects.filter(kind="run.started").latest("pk")
    index = Leaf.objects.get(entry=row).leaf_index
    neighbor = Leaf.objects.get(leaf_index=index ^ 1).entry_id
    # What only the database's owner can do: the triggers are off.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER USER")
        cursor.execute("UPDATE audit_entry SET leaf = sha256('x') WHERE id = %s", [neighbor])

    page = archive.browse("aud").get(f"/ledger/entries/{row.pk}/")

    assert page.status_code == 200
    assert "What is stored does not lead to what was signed" in words(page)
    assert "proof-data" not in text(page)


def test_sealed_entries_are_marked_in_the_list(archive):
    seal(count=3)

    page = archive.browse("aud").get("/ledger/?stream=identity")

    assert "sealed" in words(page)
