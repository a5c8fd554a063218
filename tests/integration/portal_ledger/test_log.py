"""The log's page: how sealing goes, the tree heads, the keys."""

import json
import re
from datetime import timedelta

from django.db import connection

from audit.domain.checkpoints import parse_checkpoint
from audit.domain.notes import open_note
from audit.models import Key
from audit.realtime.topics import LEDGER_GROUP, find_ledger_groups
from audit.sealing.recording import make_origin, record_act
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK
from tests.fakes.drafts import AT, draft
from tests.integration.audit.logs import KEY, ORIGIN, seal
from tests.integration.audit.streams import append, open_stream
from tests.integration.portal_runs.conftest import find, queries_of, text, words


def open_log(archive, name="aud", query=""):
    return archive.browse(name).get(f"/ledger/log/{query}")


def data_of(page):
    return json.loads(find(r'(?s)<script id="log-data"[^>]*>(.*?)</script>', text(page)))


def test_before_anything_is_sealed_the_page_says_so(archive):
    page = open_log(archive)

    assert page.status_code == 200
    assert "No tree heads yet" in words(page)
    assert "No keys yet" in words(page)


def test_a_sealed_log_shows_its_newest_head_and_who_signed_it(archive):
    seal(count=4)
    size = seal()
    Key.objects.create(
        key_id=KEY.verifier.key_id.hex(), name=ORIGIN, vkey=KEY.verifier.text, added_at=AT
    )

    page = open_log(archive)

    said = words(page)
    assert f"Entries sealed {size}" in said
    assert "Everything on record is sealed" not in said  # nothing is said where all is well
    assert KEY.verifier.text in said
    assert re.findall(r'<tr id="head-(\d+)"', text(page)) == [str(size), "4"]
    found = data_of(page)
    assert parse_checkpoint(open_note(found["newest"], [KEY.verifier]).text).size == size
    assert set(found["notes"]) == {"4", str(size)}


def test_an_entry_that_waits_too_long_makes_the_state_late(archive):
    seal()
    old = SYSTEM_CLOCK.now() - timedelta(seconds=limits.SEAL_LAG_SECONDS_MAX * 2)
    append(open_stream(), draft(at=old))

    assert "Sealing is late" in words(open_log(archive))


def test_a_refusal_stands_until_something_is_signed_again(archive):
    seal()
    record_act(
        kind="seal.refused",
        origin=make_origin(),
        subject="log",
        data={"reason": "no_key", "detail": "The folder holds no key."},
    )

    refused = words(open_log(archive))
    hidden = words(open_log(archive, "paul"))

    assert "Sealing is refused" in refused
    assert "The folder holds no key." in refused
    assert "The folder holds no key." not in hidden


def test_older_heads_follow_without_gaps(archive):
    for count in range(1, 46):
        seal(count=1)
        assert count
    seen: list[int] = []
    queries = [""]

    for query in queries:
        page = text(open_log(archive, query=query))
        seen += [int(size) for size in re.findall(r'<tr id="head-(\d+)"', page)]
        queries += re.findall(r'href="([^"]*)" data-nav>Older', page)

    assert seen == list(range(45, 0, -1))


def test_who_reads_a_project_sees_the_log_and_not_where_it_is_sent(archive):
    seal()

    assert "Anchors" in words(open_log(archive))
    assert "Anchors" not in words(open_log(archive, "paul"))
    assert "Tree heads" in words(open_log(archive, "paul"))
    assert open_log(archive, "mara").status_code == 404


def test_signals_of_new_heads_are_for_those_who_may_read_the_log(archive):
    groups = {
        name: find_ledger_groups(principal=archive.principal(name), topic_id=None)
        for name in ("aud", "paul", "mara")
    }

    assert groups == {
        "aud": frozenset({LEDGER_GROUP}),
        "paul": frozenset({LEDGER_GROUP}),
        "mara": None,
    }


def test_the_page_takes_the_same_queries_however_long_the_log_is(archive):
    seal(count=1)
    few = queries_of(archive.browse("aud"), "/ledger/log/")
    for _ in range(5):
        seal(count=2)

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_tree_head")
        assert cursor.fetchone() == (6,)
    assert queries_of(archive.browse("aud"), "/ledger/log/") == few
    assert few <= 30
