"""Entries for any draft: the bytes of RFC 8785, one form, and back."""

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.domain import document
from audit.domain.entry import StreamHead, extend, leaf_hash, read_entry
from audit.domain.errors import EntryInvalidError
from core.kernel.record import Actor, ActorKind, Draft, Origin, Via
from tests.fakes.drafts import counting_salts, draft

_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
_COLUMN = st.text(alphabet=st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=12)
_KEY = st.text(
    alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=8
)
_NAME = st.sampled_from(["a", "a.b", "Zz9", "form", "comment", "0:x/y#1", "x" * 200])
_DIGEST = st.just("") | st.binary(min_size=32, max_size=32).map(bytes.hex)
_SAFE = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
_PROFILE = st.recursive(
    st.none() | st.booleans() | _SAFE | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEY, inner, max_size=3),
    max_leaves=5,
)
_JSON = st.recursive(
    st.none() | st.booleans() | _SAFE | _TEXT | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_PAYLOADS = st.dictionaries(_NAME, _JSON, max_size=3)
_ACTORS = st.builds(
    Actor, id=_COLUMN.map(lambda text: text or "x"), kind=st.sampled_from(ActorKind)
)
_ORIGINS = st.builds(
    Origin,
    actor=_ACTORS,
    via=st.sampled_from(Via),
    auth=_TEXT,
    on_behalf_of=st.none() | _ACTORS,
    request_id=_TEXT,
    source_address=_TEXT,
)
_INSTANTS = st.datetimes(
    min_value=datetime(1000, 1, 2),  # noqa: DTZ001 - the zone is drawn
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001 - the zone is drawn
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30))]),
)
_DRAFTS = st.builds(
    Draft,
    kind=st.sampled_from(["run.started", "a.b", "x-1_y.z-2_w"]),
    at=_INSTANTS,
    origin=_ORIGINS,
    subject=_COLUMN,
    data=st.dictionaries(_KEY, _PROFILE, max_size=3),
    payloads=_PAYLOADS,
    version=_DIGEST,
    state_from=_TEXT,
    state_to=_TEXT,
    shown=_DIGEST,
    policy=_TEXT,
    reason=_TEXT,
    scope=st.none() | st.uuids(),
)
_HEADS = st.builds(
    StreamHead,
    stream=st.uuids(),
    seq=st.integers(min_value=0, max_value=2**40),
    head=st.binary(min_size=32, max_size=32),
)


@given(head=_HEADS, sketch=_DRAFTS)
def test_an_entry_has_the_bytes_of_the_reference_encoder(head, sketch):
    _, (entry,) = extend(head=head, drafts=[sketch], salts=counting_salts())

    assert rfc8785.dumps(json.loads(entry.body)) == entry.body
    assert entry.leaf == leaf_hash(entry.body)


@given(head=_HEADS, sketch=_DRAFTS)
def test_an_entry_reads_back_as_its_draft(head, sketch):
    _, (entry,) = extend(head=head, drafts=[sketch], salts=counting_salts())

    view = read_entry(entry.body)

    assert (view.stream, view.seq, view.prev) == (head.stream, head.seq + 1, head.head)
    assert (view.kind, view.at) == (sketch.kind, sketch.at.astimezone(UTC))
    assert (view.actor, view.on_behalf_of) == (sketch.origin.actor, sketch.origin.on_behalf_of)
    assert (view.via, view.auth) == (sketch.origin.via, sketch.origin.auth)
    assert view.request_id == sketch.origin.request_id
    assert (view.subject, view.scope, view.version) == (
        sketch.subject,
        sketch.scope,
        sketch.version,
    )
    assert (view.state_from, view.state_to) == (sketch.state_from, sketch.state_to)
    assert (view.shown, view.policy, view.reason) == (sketch.shown, sketch.policy, sketch.reason)
    assert view.data == sketch.data


@given(head=_HEADS, payloads=_PAYLOADS)
def test_commitments_are_those_of_the_reference_encoder(head, payloads):
    _, (entry,) = extend(head=head, drafts=[draft(payloads=payloads)], salts=counting_salts())

    view = read_entry(entry.body)

    assert view.commitments == {
        payload.name: sha256(
            b"countersign/commit/v1\n"
            + payload.salt
            + rfc8785.dumps([str(view.stream), view.seq, payload.name, payloads[payload.name]])
        ).digest()
        for payload in entry.payloads
    }


@given(head=_HEADS, sketch=_DRAFTS, index=st.integers(min_value=0), byte=st.integers(0, 255))
@settings(max_examples=300)
def test_changed_bytes_are_refused_or_are_another_entry_in_its_one_form(head, sketch, index, byte):
    _, (entry,) = extend(head=head, drafts=[sketch], salts=counting_salts())
    changed = bytearray(entry.body)
    changed[index % len(changed)] = byte

    try:
        document.parse(bytes(changed))
    except EntryInvalidError:
        return

    assert rfc8785.dumps(json.loads(bytes(changed))) == changed
