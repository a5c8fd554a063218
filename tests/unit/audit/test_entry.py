"""Entries: known answers, and what is refused."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import cast
from uuid import UUID

import pytest

from audit.domain import document
from audit.domain.entry import (
    EMPTY_HEAD,
    StreamHead,
    commitment,
    extend,
    leaf_hash,
    read_entry,
    stream_id_of,
)
from audit.domain.errors import (
    EntryInvalidError,
    EntryTooLargeError,
    PayloadTooLargeError,
    StreamNameError,
)
from core.kernel.canonical import UncanonicalError
from core.kernel.limits import ENTRY_BYTES_MAX, PAYLOAD_BYTES_MAX
from core.kernel.record import ENGINE_ORIGIN, SYSTEM_ACTOR, Actor, ActorKind, Origin, Via
from tests.fakes.drafts import AT, ORIGIN, PERSON, SCOPE, STREAM, counting_salts, draft

SMALL = (
    b'{"actor":{"id":"engine","kind":"system"},"at":"2026-01-02T03:04:05.000678Z","auth":null,'
    b'"data":{},"from":null,"kind":"run.started","on_behalf_of":null,"payloads":{},"policy":null,'
    b'"prev":"0000000000000000000000000000000000000000000000000000000000000000","reason":null,'
    b'"request_id":null,"scope":null,"seq":1,"shown":null,"source":null,'
    b'"stream":"0198c0de-0000-7000-8000-000000000001","subject":null,"to":null,"v":1,'
    b'"version":null,"via":"engine"}'
)
FULL = (
    '{"actor":{"id":"0198c0de-0000-7000-8000-0000000000bb","kind":"person"},'
    '"at":"2026-01-02T03:04:05.000678Z","auth":"token","data":{"a":[1,true,null,"é\\n"],"b":{}},'
    '"from":"OPEN","kind":"vote.cast","on_behalf_of":{"id":"system","kind":"system"},'
    '"payloads":{"comment":"26cc4a8a3b43bd4bbd76c32a1b8c2e0e5f3fba19d6dd9d7a3a90e16f2f0b2c0a",'
    '"form":"%s"},"policy":"role approver","prev":"%s","reason":"fine","request_id":"req-1",'
    '"scope":"0198c0de-0000-7000-8000-0000000000aa","seq":8,"shown":"%s","source":"%s",'
    '"stream":"0198c0de-0000-7000-8000-000000000001","subject":"request:\\"x\\"","to":"CLOSED",'
    '"v":1,"version":"%s","via":"api"}'
)
SMALL_LEAF = "068e359923dd8afdebaf84087e88832d5181d47dfb0eda72ea1751696bf261fa"


def one(head=None, **changes):
    head = head or StreamHead(stream=STREAM)
    _, (entry,) = extend(head=head, drafts=[draft(**changes)], salts=counting_salts())
    return entry


def by_hand(*, name, value, salt, seq=8):
    """Return the commitment the specification prescribes, without the code under test."""
    place = json.dumps([str(STREAM), seq, name, value], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(b"countersign/commit/v1\n" + salt + place.encode()).hexdigest()


def test_the_smallest_entry_has_these_bytes():
    assert one(kind="run.started", origin=ENGINE_ORIGIN).body == SMALL


def test_the_smallest_entry_has_this_leaf():
    assert leaf_hash(SMALL).hex() == hashlib.sha256(b"\x00" + SMALL).hexdigest() == SMALL_LEAF


def test_a_full_entry_has_these_bytes():
    origin = Origin(
        actor=PERSON,
        via=Via.API,
        auth="token",
        request_id="req-1",
        source_address="192.0.2.1",
        on_behalf_of=SYSTEM_ACTOR,
    )
    shown, version, head = "5a" * 32, "0f" * 32, b"\x07" * 32

    entry = one(
        head=StreamHead(stream=STREAM, seq=7, head=head),
        origin=origin,
        subject='request:"x"',
        data={"b": {}, "a": [1, True, None, "é\n"]},
        payloads={"form": {"ä": 1.5, "x": None}, "comment": "gut"},
        version=version,
        state_from="OPEN",
        state_to="CLOSED",
        shown=shown,
        policy="role approver",
        reason="fine",
        scope=SCOPE,
    )

    commitments = {
        "form": by_hand(name="form", value={"x": None, "ä": 1.5}, salt=b"\x00" * 32),
        "comment": by_hand(name="comment", value="gut", salt=b"\x01" * 32),
        "source": by_hand(name="source", value="192.0.2.1", salt=b"\x02" * 32),
    }
    expected = FULL.replace(
        "26cc4a8a3b43bd4bbd76c32a1b8c2e0e5f3fba19d6dd9d7a3a90e16f2f0b2c0a", commitments["comment"]
    ) % (commitments["form"], head.hex(), shown, commitments["source"], version)
    assert entry.body.decode() == expected
    assert [payload.name for payload in entry.payloads] == ["form", "comment", "source"]
    assert entry.payloads[0].value_bytes == '{"x":null,"ä":1.5}'.encode()
    assert entry.scope == SCOPE
    assert entry.subject == 'request:"x"'


def test_a_commitment_hides_the_value_behind_prefix_salt_and_place():
    salt = bytes(range(32))

    found = commitment(stream=STREAM, seq=3, name="form", value_bytes=b'{"a":1}', salt=salt)

    text = f'["{STREAM}",3,"form",{{"a":1}}]'
    assert found == hashlib.sha256(b"countersign/commit/v1\n" + salt + text.encode()).digest()


def test_each_entry_names_the_leaf_of_the_one_before():
    start = StreamHead(stream=STREAM)

    head, (first, second) = extend(
        head=start, drafts=[draft(), draft(kind="vote.changed")], salts=counting_salts()
    )

    assert start.head == EMPTY_HEAD == bytes(32)
    assert read_entry(first.body).prev == EMPTY_HEAD
    assert read_entry(second.body).prev == first.leaf == leaf_hash(first.body)
    assert head == StreamHead(stream=STREAM, seq=2, head=second.leaf)
    assert (first.seq, second.seq) == (1, 2)


def test_extending_by_nothing_changes_nothing():
    head = StreamHead(stream=STREAM, seq=4, head=b"x" * 32)

    assert extend(head=head, drafts=[], salts=counting_salts()) == (head, ())


def test_what_was_written_is_read_back():
    origin = Origin(
        actor=PERSON, via=Via.SLACK, on_behalf_of=Actor(id="b", kind=ActorKind.AGENT), auth="a"
    )
    entry = one(
        origin=origin,
        subject="tab\there",
        data={"n": -5},
        payloads={"x": 1},
        version="ab" * 32,
        state_from="A",
        state_to="B",
        shown="cd" * 32,
        policy="p",
        reason="r",
        scope=SCOPE,
    )

    view = read_entry(entry.body)

    assert (view.stream, view.seq, view.kind, view.at) == (STREAM, 1, "vote.cast", AT)
    assert (view.actor, view.on_behalf_of) == (origin.actor, origin.on_behalf_of)
    assert (view.via, view.auth, view.request_id) == (Via.SLACK, "a", "")
    assert (view.subject, view.version, view.scope) == ("tab\there", "ab" * 32, SCOPE)
    assert (view.state_from, view.state_to, view.shown) == ("A", "B", "cd" * 32)
    assert (view.policy, view.reason, view.data) == ("p", "r", {"n": -5})
    assert view.commitments.keys() == {"x"}


def test_an_entry_that_says_little_reads_as_little():
    view = read_entry(SMALL)

    assert (view.on_behalf_of, view.scope, view.subject, view.data) == (None, None, "", {})
    assert view.commitments == {}


def test_the_source_address_is_committed_and_not_written():
    origin = Origin(actor=PERSON, via=Via.API, source_address="203.0.113.9")

    entry = one(origin=origin)

    assert b"203.0.113.9" not in entry.body
    assert [(item.name, item.value_bytes) for item in entry.payloads] == [
        ("source", b'"203.0.113.9"')
    ]
    assert read_entry(entry.body).commitments["source"] == commitment(
        stream=STREAM, seq=1, name="source", value_bytes=b'"203.0.113.9"', salt=bytes(32)
    )


def test_instants_of_any_zone_are_written_in_utc():
    east = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert one(at=east).body == one(at=AT).body
    assert one(at=east).at == AT
    assert one(at=datetime(2026, 1, 1, tzinfo=UTC)).body.count(b"2026-01-01T00:00:00.000000Z") == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "started"}, "kind"),
        ({"kind": "Run.started"}, "kind"),
        ({"kind": "run.started\n"}, "kind"),
        ({"kind": 'run.started","on_behalf_of":null,"x":"'}, "kind"),
        ({"kind": ""}, "kind"),
        ({"version": "ab"}, "version"),
        ({"version": "AB" * 32}, "version"),
        ({"shown": "g" * 64}, "shown"),
        ({"subject": "a\0b"}, "subject"),
        ({"payloads": {"": 1}}, "payloads"),
        ({"payloads": {"a b": 1}}, "payloads"),
        ({"payloads": {'a"b': 1}}, "payloads"),
        ({"payloads": {"a" * 201: 1}}, "payloads"),
        ({"payloads": {"source": "10.0.0.1"}}, "payloads"),
        ({"at": datetime(2026, 1, 1)}, "at"),  # noqa: DTZ001 - naive on purpose
        ({"origin": Origin(actor=Actor(id="", kind=ActorKind.PERSON), via=Via.API)}, "actor"),
        ({"origin": Origin(actor=Actor(id="\0", kind=ActorKind.PERSON), via=Via.API)}, "actor"),
        (
            {"origin": Origin(actor=Actor(id="x", kind=cast("ActorKind", "god")), via=Via.API)},
            "actor",
        ),
        ({"origin": Origin(actor=PERSON, via=cast("Via", "fax"))}, "via"),
    ],
)
def test_a_malformed_draft_is_refused_by_field(changes, field):
    with pytest.raises(EntryInvalidError) as caught:
        one(**changes)

    assert caught.value.details["field"] == field


def test_the_same_draft_well_formed_is_taken():
    assert one(
        kind="run.started", version="ab" * 32, shown="0" * 64, payloads={"a.b/c#1": 1}, subject="a"
    )


@pytest.mark.parametrize("data", [{"a": 1.5}, {"ä": 1}, {"a": 2**53}, {"a": object()}])
def test_data_outside_the_profile_is_refused(data):
    with pytest.raises(UncanonicalError):
        one(data=data)


@pytest.mark.parametrize("value", [float("nan"), 2**53, object()])
def test_a_payload_that_is_not_json_is_refused(value):
    with pytest.raises(UncanonicalError):
        one(payloads={"x": value})


def test_a_text_that_is_not_unicode_is_refused():
    with pytest.raises(EntryInvalidError):
        one(reason="\ud800")


def test_an_entry_holds_65535_bytes_and_not_one_more():
    room = ENTRY_BYTES_MAX - len(one(reason="x").body)

    assert len(one(reason="x" * (room + 1)).body) == ENTRY_BYTES_MAX == 65_535
    with pytest.raises(EntryTooLargeError):
        one(reason="x" * (room + 2))


def test_a_payload_holds_its_bound_and_not_one_byte_more():
    longest = "x" * (PAYLOAD_BYTES_MAX - 2)  # the quotes count

    assert one(payloads={"x": longest})
    with pytest.raises(PayloadTooLargeError):
        one(payloads={"x": longest + "x"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        SMALL + b" ",
        SMALL + b"\n",
        b" " + SMALL,
        SMALL.replace(b'"v":1', b'"v":2'),
        SMALL.replace(b'"v":1', b'"v":01'),
        SMALL.replace(b'"seq":1,', b'"seq":0,'),
        SMALL.replace(b'"seq":1,', b'"seq":-1,'),
        SMALL.replace(b'"seq":1,', b'"seq":1.0,'),
        SMALL.replace(b'"seq":1,', b'"seq":"1",'),
        SMALL.replace(b'"reason":null', b'"reason":""'),
        SMALL.replace(b'"reason":null', b'"reason":"\\u0061"'),
        SMALL.replace(b'"reason":null', b'"reason":"\\u000a"'),
        SMALL.replace(b'"reason":null', b'"reason":"\\u001F"'),
        SMALL.replace(b'"reason":null', b'"reason":"\\/"'),
        SMALL.replace(b'"reason":null', b'"reason":"\n"'),
        SMALL.replace(b'"reason":null', b'"reason":1'),
        SMALL.replace(b'"reason":null,', b""),
        SMALL.replace(b'"reason":null,', b'"reason":null,"reason":null,'),
        SMALL.replace(b'"v":1', b'"u":1,"v":1'),
        SMALL.replace(b'"data":{}', b'"data":{"b":1,"a":1}'),
        SMALL.replace(b'"data":{}', b'"data":{"a":1,"a":1}'),
        SMALL.replace(b'"data":{}', b'"data":{"a": 1}'),
        SMALL.replace(b'"data":{}', b'"data":{"a":1.5}'),
        SMALL.replace(b'"data":{}', b'"data":{a}'),
        SMALL.replace(b'"data":{}', b'"data":[]'),
        SMALL.replace(b'"data":{}', b'"data":{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
        SMALL.replace(b'"payloads":{}', b'"payloads":{"a":"x"}'),
        SMALL.replace(b'"payloads":{}', b'"payloads":{"b":"%s","a":"%s"}' % (b"0" * 64, b"0" * 64)),
        SMALL.replace(b'"payloads":{}', b'"payloads":{"a":"%s","a":"%s"}' % (b"0" * 64, b"1" * 64)),
        SMALL.replace(b"2026-01-02", b"2026-02-30"),
        SMALL.replace(b"03:04:05", b"03:04:60"),
        SMALL.replace(b"000678Z", b"000678+00:00"),
        SMALL.replace(b'"system"', b'"System"'),
        SMALL.replace(b'"0198c0de', b'"0198C0DE'),
        SMALL.replace(b"0000000000000000000000", b"000000000000000000000A", 1),
    ],
)
def test_bytes_that_are_not_an_entry_are_refused(body):
    with pytest.raises(EntryInvalidError):
        read_entry(body)


def test_a_forged_key_cannot_hide_in_the_data():
    hidden = SMALL.replace(b'"data":{}', b'"data":{"x":1},"from":null,"kind":"a.b"},"data":{}')

    with pytest.raises(EntryInvalidError):
        read_entry(hidden)


def test_every_key_of_the_specification_is_there_in_canonical_order():
    keys = list(json.loads(SMALL))

    assert keys == sorted(keys) == list(document.KEYS)
    assert len(keys) == 22


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"run:{STREAM}", STREAM),
        (f"project:{STREAM}", STREAM),
        ("access", UUID(bytes=hashlib.sha256(b"access").digest()[:16])),
        ("ledger", UUID(bytes=hashlib.sha256(b"ledger").digest()[:16])),
    ],
)
def test_a_stream_id_is_the_rows_or_the_start_of_the_names_hash(name, expected):
    assert stream_id_of(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Run",
        "run:",
        "run:x",
        f"run:{STREAM} ",
        f"run:{STREAM.hex}",
        f"run:{str(STREAM).upper()}",
        f"run:{{{STREAM}}}",
        f":{STREAM}",
        f"run:{STREAM}\n",
        "access\n",
        "a" * 65,
    ],
)
def test_what_is_no_stream_name_is_refused(name):
    with pytest.raises(StreamNameError):
        stream_id_of(name)


def test_origins_of_the_platform_itself_can_be_written():
    assert one(origin=ENGINE_ORIGIN).actor_id == "engine"
    assert one(origin=ORIGIN).actor_id == PERSON.id
