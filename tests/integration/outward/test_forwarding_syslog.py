"""Entries to a syslog receiver over TLS: every one, in order, whatever happens on the way."""

import json
import re

import pytest

from audit.domain.entry import leaf_hash
from audit.forwarding.forwarder import forward_once
from audit.models import Entry, Leaf
from audit.outward.targets import Confirm, Format
from tests.certificates import make_authority
from tests.integration.outward.conftest import cursor_of, make_due, make_syslog_sink
from tests.integration.outward.log import list_leaves, seal, write
from tests.syslog_receiver import receive

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE = re.compile(
    rb"<(?P<priority>\d+)>1 (?P<at>\S+) (?P<host>\S+) countersign - (?P<id>\S+)"
    rb' \[countersign@32473 id="(?P<entry>\d+)" stream="(?P<stream>[^"]+)" seq="(?P<seq>\d+)"'
    rb' kind="(?P<kind>[^"]+)" leafIndex="(?P<index>\d+)" leaf="(?P<leaf>[0-9a-f]{64})"\]'
    rb" (?P<text>.*)",
    re.DOTALL,
)


def _read(message):
    match = MESSAGE.fullmatch(message)
    assert match is not None, message
    return match


def _indexes(receiver):
    return [int(_read(message)["index"]) for message in receiver.messages]


def test_every_sealed_entry_arrives_once_and_in_order(receiver, syslog_sink):
    write(3)
    seal()
    write(2)

    assert forward_once(syslog_sink) == 3
    assert forward_once(syslog_sink) == 0

    assert _indexes(receiver) == [0, 1, 2], "what is not sealed has no place yet"
    found = _read(receiver.messages[0])
    entry = Entry.objects.get(pk=Leaf.objects.get(leaf_index=0).entry_id)
    assert (int(found["entry"]), found["leaf"].decode()) == (entry.pk, bytes(entry.leaf).hex())
    assert (found["id"], found["kind"], found["priority"]) == (b"vote.cast", b"vote.cast", b"110")
    assert json.loads(found["text"])["metadata"]["sequence"] == 0
    row = cursor_of("siem")
    assert (row.position, bytes(row.mark), row.attempt_count) == (3, list_leaves()[2], 0)


def test_the_entry_itself_arrives_byte_for_byte(receiver, authority):
    write(subject="Größe")
    seal()
    sink = make_syslog_sink(port=receiver.port, ca_file=str(authority.file), format=Format.ENTRY)

    forward_once(sink)

    text = _read(receiver.messages[0])["text"]
    assert text.startswith(b"\xef\xbb\xbf"), "text beyond ASCII says that it is UTF-8"
    body = text.partition(b'"entry":')[2][:-1]
    assert leaf_hash(body) == list_leaves()[0]


def test_a_connection_cut_inside_a_message_loses_nothing(receiver, syslog_sink):
    write(40)
    seal()
    receiver.cuts = [700, 3_000, 11_111]

    for _ in range(4):
        forward_once(syslog_sink)
        make_due("siem")

    assert cursor_of("siem").position == 40
    seen = _indexes(receiver)
    assert sorted(set(seen)) == list(range(40)), "no gap"
    assert seen[-40:] == list(range(40)), "the batch that counts came whole and in order"
    assert len(seen) > 40, "what had arrived before a cut comes again"


def test_a_receiver_that_is_restarted_in_the_middle_loses_nothing(receiver, syslog_sink):
    write(300)
    seal()
    receiver.leaves = [1, 20_000, 100_000]

    for _ in range(3):
        assert forward_once(syslog_sink) == 0, "its own goodbye, before ours, shows nothing"
        make_due("siem")
    assert forward_once(syslog_sink) == 300

    assert _indexes(receiver)[-300:] == list(range(300))


def test_a_receiver_that_does_not_say_it_read_everything_is_not_believed(receiver, syslog_sink):
    write()
    seal()
    receiver.says_goodbye = False

    assert forward_once(syslog_sink) == 0

    row = cursor_of("siem")
    assert row.position == 0
    assert "close_notify" in row.last_error


def test_an_orderly_end_is_enough_where_the_sink_says_so(receiver, authority):
    write(5)
    seal()
    receiver.says_goodbye = False
    sink = make_syslog_sink(port=receiver.port, ca_file=str(authority.file), confirm=Confirm.CLOSE)

    assert forward_once(sink) == 5
    assert _indexes(receiver) == list(range(5))

    write()
    seal()
    receiver.cuts = [50]
    assert forward_once(sink) == 0, "a reset is no orderly end"


def test_a_certificate_of_another_authority_is_refused(tmp_path, receiver):
    write()
    seal()
    stranger = make_authority(tmp_path, "stranger")

    assert forward_once(make_syslog_sink(port=receiver.port, ca_file=str(stranger.file))) == 0

    assert "is not believed" in cursor_of("siem").last_error
    assert receiver.messages == []


def test_a_certificate_for_another_name_is_refused(authority):
    write()
    seal()
    with receive(authority.context("siem.example")) as receiver:
        sink = make_syslog_sink(port=receiver.port, ca_file=str(authority.file))

        assert forward_once(sink) == 0

        assert "is not believed" in cursor_of("siem").last_error
        assert receiver.messages == []


def test_a_receiver_may_ask_who_we_are(tmp_path, authority):
    write()
    seal()
    ours = make_authority(tmp_path, "ours")
    pair = str(ours.issue("countersign.example"))
    context = authority.context("127.0.0.1", client_authority=ours)
    with receive(context) as receiver:
        fields = {"port": receiver.port, "ca_file": str(authority.file)}

        assert forward_once(make_syslog_sink(name="nobody", **fields)) == 0
        named = make_syslog_sink(certificate_file=pair, key_file=pair, **fields)
        assert forward_once(named) == 1

        assert len(receiver.messages) == 1


def test_a_receiver_that_was_down_gets_everything_when_it_is_back(authority):
    context = authority.context("127.0.0.1")
    with receive(context) as receiver:
        port = receiver.port
    sink = make_syslog_sink(port=port, ca_file=str(authority.file))
    write(3)
    seal()

    assert forward_once(sink) == 0
    row = cursor_of("siem")
    assert (row.attempt_count, row.state) == (1, "going")
    assert forward_once(sink) == 0, "not before the pause is over"
    assert cursor_of("siem").attempt_count == 1
    with receive(context, port=port) as receiver:
        make_due("siem")
        assert forward_once(sink) == 3

        assert _indexes(receiver) == [0, 1, 2]
    assert cursor_of("siem").last_error == ""


def test_a_private_receiver_is_reached_only_if_it_is_marked_so(receiver, authority):
    write()
    seal()
    sink = make_syslog_sink(port=receiver.port, ca_file=str(authority.file), is_private=False)

    assert forward_once(sink) == 0

    assert "not on the public internet" in cursor_of("siem").last_error
    assert receiver.connection_count == 0
