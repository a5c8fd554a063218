"""The verifier's own JSON, numbers, entries and trees, against others' and against the naive."""

import io
import json
import math
import tracemalloc

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.domain import document
from audit.domain.entry import StreamHead, extend
from audit.domain.errors import EntryInvalidError
from core.kernel.canonical import canonical_bytes
from core.kernel.record import ActorKind, Via
from countersign import verify as verifier
from countersign.verify import DiscrepancyError, Place, Request, parse_key, verify
from tests.fakes.bundles import (
    Contents,
    Opening,
    Sealed,
    consistency_path,
    inclusion_path,
    leaf_hash,
    sign_checkpoint,
    tree_root,
    write_bundle,
)
from tests.fakes.drafts import STREAM, counting_salts, draft
from tests.fakes.ledgers import LOG, a_ledger, seal

KEYS = [parse_key(LOG.vkey)]
SIZE_MAX = 40
COUNT = 10_003
PERIOD = {"since": "2026-01-01T00:00:00.000000Z", "until": "2027-01-01T00:00:00.000000Z"}

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | floats,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_jcs_writes_is_read_as_canonical(value):
    text = canonical_bytes(value).decode()

    verifier.check_value(text)

    assert verifier.write_canonical(json.loads(text), floats=True) == rfc8785.dumps(value).decode()


@given(floats)
def test_a_number_is_written_as_ecmascript_does(value):
    written = verifier.write_canonical(float(value), floats=True)

    assert written == rfc8785.dumps(value).decode()


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1e21, 1e20, 1e-6, 1e-7, 5e-324, 1.7976931348623157e308]
)
def test_a_number_at_an_edge_is_written_as_ecmascript_does(value):
    text = rfc8785.dumps(value).decode()

    verifier.check_value(text)

    assert verifier.write_canonical(value, floats=True) == text


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_a_number_without_end_is_refused(value):
    with pytest.raises(ValueError, match="too large"):
        verifier.write_canonical(value, floats=True)


@given(values)
def test_another_spelling_of_a_value_is_not_canonical(value):
    text = canonical_bytes(value).decode()
    other = json.dumps(json.loads(text), indent=1)
    if other == text:
        other = text + " "

    with pytest.raises(ValueError, match=r".*"):
        verifier.check_value(other)


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), scalars
    )
)
def test_flat_objects_are_told_as_the_server_tells_them(value):
    text = canonical_bytes(value).decode()

    if verifier.is_flat(text):
        assert verifier.write_canonical(json.loads(text), floats=False) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"a!":1,"a":2}',
        '{"a b":1,"a":2}',
        '{"+":"x",":a":1,"-":2}',  # `","` before `:a` looks like a key
        '{"+":"x",":a":1,":a":2}',
        '{"a":["b",":"],"+":1}',
    ],
)
def test_keys_out_of_order_or_doubled_are_never_canonical(text):
    with pytest.raises(ValueError, match="canonical"):
        verifier.check_value(text)


@given(
    data=st.dictionaries(st.from_regex(r"[ -~]{1,8}", fullmatch=True), scalars, max_size=4),
    reason=st.text(max_size=20),
    subject=st.text(
        st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=9
    ),
    names=st.sets(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:/#-]{0,9}", fullmatch=True), max_size=3),
)
def test_every_entry_the_server_writes_is_accepted(data, reason, subject, names):
    made = draft(
        data=data,
        reason=reason,
        subject=subject,
        payloads={name: name for name in names if name != "source"},
    )
    _, entries = extend(head=StreamHead(stream=STREAM), drafts=[made], salts=counting_salts())

    literals = verifier.read_entry(entries[0].body)

    assert literals[5] == "1"


@given(st.data())
def test_what_the_server_refuses_the_verifier_refuses(data):
    body = bytearray(a_ledger().entries[data.draw(st.integers(0, 6))].body)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.sampled_from(b'"{}[],:\\ az09\x00\x1f\xff'))
    try:
        document.parse(bytes(body))
        is_entry = True
    except EntryInvalidError:
        is_entry = False
    try:
        verifier.read_entry(bytes(body))
        is_accepted = True
    except DiscrepancyError:
        is_accepted = False

    # A kind of being and a channel may be words that a later server knows.
    kinds = {kind.value for kind in (*ActorKind, *Via)}
    if is_accepted and not is_entry:
        value = json.loads(bytes(body))
        assert {value["actor"]["kind"], value["via"]} - kinds
    else:
        assert is_accepted == is_entry


LEAVES = [leaf_hash(str(number).encode()) for number in range(SIZE_MAX)]


def _head(size):
    return verifier.Checkpoint("log", size, tree_root(LEAVES[:size]), ("log",), (), 0)


def test_the_path_of_every_leaf_of_every_small_tree_gives_its_root():
    for size in range(1, SIZE_MAX):
        for index in range(size):
            path = inclusion_path(LEAVES[:size], index)
            root = verifier.root_of_inclusion(LEAVES[index], index, size, path)
            assert root == tree_root(LEAVES[:size])
            other = [
                *(verifier.root_of_inclusion(LEAVES[index], index, size, path[:-1]),) * bool(path),
                verifier.root_of_inclusion(LEAVES[index], index, size, [*path, LEAVES[0]]),
                verifier.root_of_inclusion(LEAVES[index], size, size, path),
            ]
            assert root not in other


def test_every_pair_of_small_trees_is_consistent_and_no_other_path_fits():
    for second in range(1, SIZE_MAX):
        for first in range(1, second):
            path = consistency_path(LEAVES[:second], first)
            verifier.check_consistency(_head(first), _head(second), path, Place())
            for wrong in (path[:-1], [*path, LEAVES[0]], [LEAVES[-1], *path[1:]]):
                with pytest.raises(DiscrepancyError):
                    verifier.check_consistency(_head(first), _head(second), wrong, Place())


def test_a_frontier_has_the_root_of_each_size():
    frontier = verifier.Frontier()
    for size in range(SIZE_MAX):
        assert frontier.root() == tree_root(LEAVES[:size])
        frontier.push(LEAVES[size])


@pytest.mark.parametrize("size", range(1, 9))
def test_every_choice_of_leaves_of_a_small_tree_is_proved(size):
    ledger = a_ledger()
    salts = counting_salts()
    drafts = [draft(data={"n": number}) for number in range(size)]
    _, entries = extend(head=StreamHead(stream=STREAM), drafts=drafts, salts=salts)
    leaves = [entry.leaf for entry in entries]
    note = sign_checkpoint([LOG], leaves=leaves)

    assert ledger.leaves != leaves
    for chosen in range(2**size):
        known = [
            Sealed(index=index, body=entries[index].body)
            for index in range(size)
            if chosen >> index & 1
        ]
        contents = Contents(
            note=note,
            leaves=leaves,
            entries=known,
            kind="period",
            since=PERIOD["since"],
            until=PERIOD["until"],
        )
        report = verify(io.BytesIO(write_bundle(contents)), Request(keys=KEYS))
        assert report.counts["entries"] == len(known)


@pytest.fixture(scope="module")
def large():
    """A ledger whose bundle has entries in two parts."""
    drafts = [draft(data={"n": number}, payloads={"a": number}) for number in range(COUNT)]
    _, entries = extend(head=StreamHead(stream=STREAM), drafts=drafts, salts=counting_salts())
    return seal(
        [
            (entry.body, [Opening(name="a", salt=entry.payloads[0].salt, value=str(entry.seq - 1))])
            for entry in entries
        ]
    )


def test_a_bundle_in_several_parts_holds(large):
    bundle = write_bundle(large.contents())

    report = verify(io.BytesIO(bundle), Request(keys=KEYS, older=large.note(9_999).encode()))

    assert report.counts["entries"] == report.counts["payloads"] == COUNT
    assert b"entries/000001.jsonl" in bundle
    assert b"payloads/000001.jsonl" in bundle


@pytest.mark.parametrize(("start", "end"), [(0, 1), (1020, 1030), (1024, 4096), (9_990, COUNT)])
def test_part_of_a_large_tree_is_proved(large, start, end):
    entries = large.entries[start:end]
    contents = large.contents(kind="period", entries=entries, **PERIOD)

    report = verify(io.BytesIO(write_bundle(contents)), Request(keys=KEYS))

    assert report.counts["entries"] == end - start


def test_a_bundle_is_read_in_memory_that_does_not_grow_with_it(large):
    bundle = write_bundle(large.contents())
    tracemalloc.start()

    verify(io.BytesIO(bundle), Request(keys=KEYS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    unpacked = sum(len(entry.body) for entry in large.entries)
    assert unpacked > 5_000_000
    assert peak < 4_000_000
