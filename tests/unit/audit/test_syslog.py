"""Entries as syslog messages. Source: RFC 5424, RFC 5425."""

import json

import pytest

from audit.domain.entry import StreamHead, extend, read_entry
from audit.domain.syslog import Place, Sender, escape, frame, write_message
from tests.fakes.drafts import STREAM, counting_salts, draft

SENDER = Sender(host="countersign.example", enterprise=32473, bytes_max=2048)
PLACE = Place(entry_id=7, leaf_index=3, leaf_hex="ab" * 32)


def _entry(**changes):
    _, (built,) = extend(
        head=StreamHead(stream=STREAM), drafts=[draft(**changes)], salts=counting_salts()
    )
    return read_entry(built.body)


def test_a_message_says_who_when_and_where_the_entry_is():
    message = write_message(_entry(), place=PLACE, text="{}", sender=SENDER)

    assert message == (
        b"<110>1 2026-01-02T03:04:05.000678Z countersign.example countersign - vote.cast"
        b' [countersign@32473 id="7" stream="0198c0de-0000-7000-8000-000000000001" seq="1"'
        b' kind="vote.cast" leafIndex="3" leaf="' + b"ab" * 32 + b'"] {}'
    )


@pytest.mark.parametrize(
    ("kind", "priority"),
    [("vote.cast", 110), ("access.refused", 108), ("run.halted", 108), ("log.disputed", 108)],
)
def test_what_somebody_should_look_at_is_a_warning(kind, priority):
    message = write_message(_entry(kind=kind), place=PLACE, text="", sender=SENDER)

    assert message.startswith(b"<%d>1 " % priority)


def test_text_beyond_ascii_says_that_it_is_utf8_and_ascii_does_not():
    entry = _entry()

    assert write_message(entry, place=PLACE, text="é", sender=SENDER).endswith(
        b"] \xef\xbb\xbf\xc3\xa9"
    )
    assert write_message(entry, place=PLACE, text="e", sender=SENDER).endswith(b"] e")


@pytest.mark.parametrize(
    ("value", "written"),
    [('a"b', 'a\\"b'), ("a\\b", "a\\\\b"), ("a]b", "a\\]b"), ("a[b=c", "a[b=c"), ("", "")],
)
def test_what_would_end_a_value_is_escaped(value, written):
    assert escape(value) == written


def test_a_message_that_would_be_too_long_says_how_long_it_was():
    entry = _entry()
    text = "x" * 2048

    message = write_message(entry, place=PLACE, text=text, sender=SENDER)

    assert len(message) < 2048
    assert b'leafIndex="3"' in message
    said = json.loads(message.partition(b"] ")[2])
    assert said == {"left_out_bytes": 2048, "kind": "vote.cast"}
    room = 2048 - len(write_message(entry, place=PLACE, text="", sender=SENDER))
    longest = write_message(entry, place=PLACE, text="x" * room, sender=SENDER)
    assert len(longest) == 2048
    assert longest.endswith(b"x" * room)


def test_names_that_the_format_does_not_take_are_cut_down_to_it():
    sender = Sender(host="a b\x00é", enterprise=1, bytes_max=9_000)
    kind = "k" * 40 + ".done"

    message = write_message(_entry(kind=kind), place=PLACE, text="", sender=sender)

    assert message.split(b" ")[2] == b"ab"
    assert message.split(b" ")[5] == b"k" * 32
    nameless = Sender(host="é", enterprise=1, bytes_max=9_000)
    assert write_message(_entry(), place=PLACE, text="", sender=nameless).split(b" ")[2] == b"-"


def test_a_frame_is_the_number_of_bytes_a_space_and_the_message():
    assert frame([b"abc", b"\xc3\xa9", b""]) == b"3 abc2 \xc3\xa90 "
    assert frame([]) == b""
