"""Batches of entries posted to a collector: at least once, in order, and what its answers mean."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import store
from audit.domain.entry import leaf_hash, stream_id_of
from audit.forwarding.forwarder import forward_once
from audit.outward import rows
from audit.outward.targets import Format
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK
from engine.domain.triggers import Provider
from engine.domain.webhooks import Signed, check_signature
from tests.integration.outward.conftest import SECRET, cursor_of, make_due, make_https_sink
from tests.integration.outward.log import list_leaves, seal, write
from tests.loopback import Answer

pytestmark = pytest.mark.django_db(transaction=True)


def _lines(received):
    return [json.loads(line) for line in received.body.decode().splitlines()]


def test_a_batch_is_signed_lines_and_names_its_leaves(site, https_sink):
    write(3)
    seal()

    assert forward_once(https_sink) == 3

    (received,) = site.received
    assert received.headers["content-type"] == "application/x-ndjson"
    assert received.headers["idempotency-key"] == "0-2"
    signed = check_signature(
        provider=Provider.STANDARD,
        headers=received.headers,
        body=received.body,
        secrets=[SECRET],
        now=SYSTEM_CLOCK.now(),
    )
    assert isinstance(signed, Signed)
    assert signed.id == "lake.0-2"
    bodies = [line.partition('"entry":')[2][:-1] for line in received.body.decode().splitlines()]
    assert [leaf_hash(body.encode()) for body in bodies] == list_leaves()
    assert [line["leaf_index"] for line in _lines(received)] == [0, 1, 2]


def test_cloudevents_come_as_one_batch(site, authority):
    write(2)
    seal()
    sink = make_https_sink(
        url=f"https://127.0.0.1:{site.port}/",
        ca_file=str(authority.file),
        format=Format.CLOUDEVENTS,
    )

    forward_once(sink)

    assert site.received[0].headers["content-type"] == "application/cloudevents-batch+json"
    events = json.loads(site.received[0].body)
    assert [event["leafindex"] for event in events] == ["0", "1"]
    assert {event["specversion"] for event in events} == {"1.0"}


def test_an_attempt_that_failed_is_made_again_with_the_same_key_and_leaves(site, https_sink):
    write(2)
    seal()
    site.answer = lambda _: Answer(status=503)

    assert forward_once(https_sink) == 0
    write(2)
    seal()
    site.answer = lambda _: Answer()
    make_due("lake")

    assert forward_once(https_sink) == 2
    assert forward_once(https_sink) == 2
    keys = [received.headers["idempotency-key"] for received in site.received]
    assert keys == ["0-1", "0-1", "2-3"]
    assert site.received[0].body == site.received[1].body


@pytest.mark.parametrize("byte_count", [100, 100_000])
def test_a_connection_cut_inside_a_batch_or_before_its_answer_loses_nothing(raw_site, byte_count):
    """Cut in the middle of what we send, or after all of it, when the answer is lost."""
    keys = []

    def talk(connection, _stop):
        data = connection.recv(byte_count)
        while b"}}\n" not in data[-9:] and len(data) < byte_count:
            data += connection.recv(byte_count)
        keys.append(re.search(rb"Idempotency-Key: (\S+)", data))
        if len(keys) > 3:
            connection.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")

    write(4)
    seal()
    sink = make_https_sink(url=raw_site(talk))

    for _ in range(3):
        assert forward_once(sink) == 0
        make_due("lake")
    assert cursor_of("lake").position == 0
    assert cursor_of("lake").attempt_count == 3
    if byte_count > 100:
        assert forward_once(sink) == 4
        assert {match and match[1] for match in keys} == {b"0-3"}, "a receiver can tell"


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_says_when_to_come_again(site, https_sink, status):
    write()
    seal()
    site.answer = lambda _: Answer(status=status, headers={"Retry-After": "900"})
    before = SYSTEM_CLOCK.now()

    forward_once(https_sink)

    row = cursor_of("lake")
    assert 890 < (row.next_at - before).total_seconds() < 1_200
    assert (row.state, row.attempt_count) == ("going", 1)
    assert forward_once(https_sink) == 0
    assert len(site.received) == 1, "and not before"


@pytest.mark.parametrize("answer", [Answer(status=401), None])
def test_a_path_that_is_a_secret_is_in_no_error(site, authority, answer):
    write()
    seal()
    port = site.port if answer else 9  # nobody listens there
    site.answer = lambda _: answer or Answer()
    url = f"https://127.0.0.1:{port}/services/s3cr3t?key=s3cr3t"

    forward_once(make_https_sink(url=url, ca_file=str(authority.file)))

    told = cursor_of("lake").last_error
    assert f"https://127.0.0.1:{port}" in told
    assert "s3cr3t" not in told


def test_a_refusal_stops_the_sink_and_is_on_record_once(site, https_sink):
    write()
    seal()
    site.answer = lambda _: Answer(status=401, body=b"who are you?")

    assert forward_once(https_sink) == 0
    make_due("lake")
    assert forward_once(https_sink) == 0

    row = cursor_of("lake")
    assert row.state == "stopped"
    assert row.last_error.endswith("answered 401: who are you?")
    assert len(site.received) == 1
    (entry,) = store.read_verified(stream=stream_id_of("ledger"), limit=9)
    assert (entry.kind, entry.data) == ("sink.stopped", {"kind": "https", "leaf": 0})
    assert entry.payloads == {"reason": row.last_error}

    site.answer = lambda _: Answer()
    assert rows.resume(role="sink", name="lake")
    seal()
    assert forward_once(https_sink) == 1, "the batch that was refused"
    assert forward_once(https_sink) == 1, "and then the news that it was"


def test_redirects_are_not_followed(site, https_sink):
    write()
    seal()
    site.answer = lambda _: Answer(status=307, headers={"Location": f"{site.url}/elsewhere"})

    assert forward_once(https_sink) == 0

    assert [received.path for received in site.received] == ["/in"]
    assert cursor_of("lake").state == "stopped"


def test_what_a_filter_leaves_out_moves_the_cursor_too(site, authority):
    write(2, kind="vote.cast")
    write(1, kind="access.refused")
    write(2, kind="vote.cast")
    seal()
    sink = make_https_sink(
        url=f"https://127.0.0.1:{site.port}/", ca_file=str(authority.file), kinds=("access.",)
    )

    assert forward_once(sink) == 5

    (received,) = site.received
    assert [line["leaf_index"] for line in _lines(received)] == [2]
    assert received.headers["idempotency-key"] == "0-4"
    write(1, kind="vote.cast")
    seal()
    assert forward_once(sink) == 1
    assert len(site.received) == 1, "nothing is posted where nothing is chosen"
    assert cursor_of("lake").position == 6


def test_batches_are_bounded_and_follow_each_other(site, https_sink, monkeypatch):
    monkeypatch.setattr(limits, "FORWARD_ENTRY_COUNT_MAX", 4)
    monkeypatch.setattr(limits, "FORWARD_BYTES_MAX", 2_000)
    write(10)
    seal()

    moved = []
    while count := forward_once(https_sink):
        moved.append(count)

    assert sum(moved) == 10
    assert all(len(received.body) <= 2_000 for received in site.received)
    seen = [line["leaf_index"] for received in site.received for line in _lines(received)]
    assert seen == list(range(10))


def test_a_new_sink_may_start_at_the_end(site, authority):
    write(3)
    seal()
    sink = make_https_sink(
        url=f"https://127.0.0.1:{site.port}/", ca_file=str(authority.file), starts_now=True
    )

    assert forward_once(sink) == 0
    write()
    seal()
    assert forward_once(sink) == 1

    assert [line["leaf_index"] for line in _lines(site.received[0])] == [3]


def test_nothing_to_do_costs_one_query(https_sink):
    write()
    seal()
    forward_once(https_sink)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert forward_once(https_sink) == 0

    assert len(queries) == 1


def test_a_log_that_was_put_back_stops_the_sink_instead_of_skipping(site, https_sink):
    write(2)
    seal()
    forward_once(https_sink)
    with connection.cursor() as cursor:
        # What a restore of an older database looks like: the same place, another entry.
        cursor.execute("UPDATE audit_outward_cursor SET mark = %s", (b"\x01" * 32,))
    write()
    seal()

    assert forward_once(https_sink) == 0

    row = cursor_of("lake")
    assert row.state == "stopped"
    assert "Leaf 1 is not the one this sink was sent" in row.last_error
    assert len(site.received) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"secret": ""}, "is not set"),
        ({"secret": "short"}, "is not whsec_"),
        ({"is_private": False}, "not on the public internet"),
        ({"url": "https://169.254.169.254/latest"}, ""),
    ],
)
def test_nothing_is_sent_unsigned_or_to_where_it_may_not_go(site, authority, changes, reason):
    write()
    seal()
    fields = {"url": f"https://127.0.0.1:{site.port}/", "ca_file": str(authority.file)}
    is_metadata = "169.254" in changes.get("url", "")
    sink = make_https_sink(
        **{**fields, **changes, **({"is_private": False} if is_metadata else {})}
    )

    assert forward_once(sink) == 0

    assert reason in cursor_of("lake").last_error
    assert site.received == []
