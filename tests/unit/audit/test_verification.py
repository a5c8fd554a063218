"""The chain check: what holds passes, and everything else is named."""

from datetime import timedelta

import pytest

from audit.domain.entry import EMPTY_HEAD, StreamHead, extend, leaf_hash, stream_id_of
from audit.domain.verification import HeadRow, PayloadPlace, Tally, verify_chains
from tests.fakes.drafts import ORIGIN, STREAM, counting_salts, draft
from tests.fakes.streams import OTHER, a_stream, every_flip, stored


def check(rows, *heads, **options):
    return verify_chains(rows=rows, heads=heads, tally=Tally(), **options)


def place_of(found):
    return (found.stream, found.seq, found.field)


def test_what_was_written_holds_and_is_counted():
    rows, head = a_stream()
    others, other_head = a_stream(stream=OTHER, count=2)
    tally = Tally()

    found = verify_chains(rows=[*rows, *others], heads=[head, other_head], tally=tally)

    assert found is None
    assert tally == Tally(entry_count=5, stream_count=2, payload_count=10)


def test_entries_without_payloads_hold():
    head, entries = extend(
        head=StreamHead(stream=STREAM), drafts=[draft(), draft()], salts=counting_salts()
    )
    rows = [stored(entry, entry_id=entry.seq) for entry in entries]

    assert check(rows, HeadRow(str(STREAM), head.seq, head.head)) is None


def test_an_empty_ledger_holds():
    assert check([]) is None


def test_an_empty_guard_row_needs_no_entries():
    rows, head = a_stream(stream=OTHER)

    assert check(rows, HeadRow(str(STREAM), 0, EMPTY_HEAD), head) is None
    assert check([], HeadRow(str(STREAM), 0, EMPTY_HEAD)) is None


def test_every_bit_of_every_stored_byte_is_found_and_named():
    rows, head = a_stream()
    row = rows[1]

    for field in ("leaf", "body"):
        value = getattr(row, field)
        for flipped in every_flip(value):
            found = check([rows[0], row._replace(**{field: flipped}), rows[2]], head)
            assert place_of(found) == (str(STREAM), 2, field)


def test_every_bit_of_the_last_entry_is_named_by_its_guard_row():
    rows, head = a_stream(count=1)

    for field in ("leaf", "body"):
        for flipped in every_flip(getattr(rows[0], field)):
            found = check([rows[0]._replace(**{field: flipped})], head)
            assert place_of(found) == (str(STREAM), 1, field)


def test_every_bit_of_every_payload_is_found_and_named():
    rows, head = a_stream()
    row = rows[1]

    for index, (name, salt, value) in enumerate(row.payloads):
        for changed in (
            *((name, flipped, value) for flipped in every_flip(salt)),
            *((name, salt, flipped) for flipped in every_flip(value)),
        ):
            payloads = list(row.payloads)
            payloads[index] = changed
            found = check([rows[0], row._replace(payloads=payloads), rows[2]], head)
            assert place_of(found) == (str(STREAM), 2, f"payload {name}")


def test_every_bit_of_a_guard_row_is_found_and_named():
    rows, head = a_stream()

    for flipped in every_flip(head.head):
        assert place_of(check(rows, head._replace(head=flipped))) == (str(STREAM), 3, "head")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "vote.cast2"),
        ("actor", "somebody"),
        ("subject", ""),
        ("scope", None),
        ("scope", str(STREAM)),
    ],
)
def test_a_column_that_says_something_else_is_named(field, value):
    rows, head = a_stream()

    found = check([rows[0], rows[1]._replace(**{field: value}), rows[2]], head)

    assert place_of(found) == (str(STREAM), 2, field)
    assert found.expected == str(getattr(rows[1], field))
    assert found.found == str(value or "")


def test_an_instant_a_microsecond_off_is_named():
    rows, head = a_stream()
    late = rows[2].at + timedelta(microseconds=1)

    assert place_of(check([*rows[:2], rows[2]._replace(at=late)], head)) == (
        str(STREAM),
        3,
        "at",
    )


@pytest.mark.parametrize("gone", [0, 1])
def test_a_missing_entry_is_found_at_the_number_after_it(gone):
    rows, head = a_stream()
    del rows[gone]

    found = check(rows, head)

    assert place_of(found) == (str(STREAM), gone + 2, "seq")
    assert (found.expected, found.found) == (str(gone + 1), str(gone + 2))


def test_a_missing_last_entry_is_found_by_the_guard_row():
    rows, head = a_stream()

    assert place_of(check(rows[:-1], head)) == (str(STREAM), 3, "entry")


def test_a_missing_stream_is_found_by_its_guard_row():
    rows, head = a_stream(stream=OTHER)
    _, gone = a_stream()

    assert place_of(check(rows, gone, head)) == (str(STREAM), 3, "entry")
    assert place_of(check([], gone)) == (str(STREAM), 3, "entry")


def test_an_entry_after_the_guard_row_is_found():
    rows, head = a_stream()

    found = check(rows, head._replace(seq=2, head=rows[1].leaf))

    assert place_of(found) == (str(STREAM), 3, "head")


def test_a_stream_without_a_guard_row_is_found():
    rows, _ = a_stream()
    _, other_head = a_stream(stream=OTHER)

    found = check(rows)

    assert (place_of(found), found.found) == ((str(STREAM), 0, "head"), "none")
    assert place_of(check(rows, other_head)) == (str(STREAM), 0, "head")


def test_a_stream_with_two_guard_rows_is_found():
    rows, head = a_stream()

    found = check(rows, head, head)

    assert (place_of(found), found.found) == ((str(STREAM), 3, "head"), "two")


def test_an_entry_exchanged_with_its_leaf_breaks_the_link_of_the_next():
    rows, head = a_stream()
    body = rows[1].body.replace(b'"n":1', b'"n":9')

    found = check([rows[0], rows[1]._replace(body=body, leaf=leaf_hash(body)), rows[2]], head)

    assert place_of(found) == (str(STREAM), 3, "prev")
    assert found.expected == leaf_hash(body).hex()
    assert found.found == rows[1].leaf.hex()


def test_an_entry_moved_to_another_stream_is_found():
    rows, head = a_stream(count=1)
    moved = rows[0]._replace(stream=str(OTHER))

    found = check([moved], head._replace(stream=str(OTHER)))

    assert place_of(found) == (str(OTHER), 1, "stream")


def test_entries_with_exchanged_numbers_are_found():
    rows, head = a_stream()
    changed = [rows[0], rows[2]._replace(seq=2), rows[1]._replace(seq=3)]

    assert place_of(check(changed, head)) == (str(STREAM), 2, "prev")


def test_an_id_that_does_not_grow_is_found():
    rows, head = a_stream()
    changed = [rows[0], rows[1]._replace(id=rows[0].id), rows[2]]

    assert place_of(check(changed, head)) == (str(STREAM), 2, "id")


def test_bytes_that_are_no_entry_are_named_though_their_leaf_holds():
    body = b'{"v":1}'
    row = a_stream(count=1)[0][0]._replace(body=body, leaf=leaf_hash(body))

    found = check([row], HeadRow(str(STREAM), 1, row.leaf))

    assert place_of(found) == (str(STREAM), 1, "body")


def test_a_payload_nobody_committed_to_is_found():
    rows, head = a_stream()
    payloads = [*rows[0].payloads, ("extra", bytes(32), b"1")]

    found = check([rows[0]._replace(payloads=payloads), *rows[1:]], head)

    assert (place_of(found), found.found) == ((str(STREAM), 1, "payload extra"), "one")


def test_a_payload_that_is_gone_is_found():
    rows, head = a_stream()

    found = check([rows[0]._replace(payloads=rows[0].payloads[1:]), *rows[1:]], head)

    assert (place_of(found), found.found) == ((str(STREAM), 1, "payload comment"), "none")


def test_payloads_exchanged_between_entries_are_found():
    rows, head = a_stream()
    changed = [rows[0]._replace(payloads=rows[1].payloads), *rows[1:]]

    assert place_of(check(changed, head)) == (str(STREAM), 1, "payload comment")


def test_an_erased_payload_holds_only_if_its_redaction_is_on_record():
    rows, head = a_stream()
    erased = [("comment", None, None), rows[0].payloads[1]]
    changed = [rows[0]._replace(payloads=erased), *rows[1:]]
    tally = Tally()

    found = check(changed, head)
    recorded = verify_chains(
        rows=changed,
        heads=[head],
        tally=tally,
        redacted={PayloadPlace(str(STREAM), 1, "comment")},
    )

    assert place_of(found) == (str(STREAM), 1, "payload comment")
    assert recorded is None
    assert (tally.erased_count, tally.payload_count) == (1, 5)


@pytest.mark.parametrize("kept", [(None, b"1"), (bytes(32), None)])
def test_a_payload_erased_by_half_is_found(kept):
    rows, head = a_stream()
    changed = [rows[0]._replace(payloads=[("comment", *kept), rows[0].payloads[1]]), *rows[1:]]

    assert place_of(check(changed, head)) == (str(STREAM), 1, "payload comment")


def test_the_source_address_is_checked_like_any_payload():
    _, entries = extend(
        head=StreamHead(stream=STREAM),
        drafts=[draft(origin=type(ORIGIN)(actor=ORIGIN.actor, via=ORIGIN.via, source_address="x"))],
        salts=counting_salts(),
    )
    row = stored(entries[0], entry_id=1)
    head = HeadRow(str(STREAM), 1, row.leaf)

    assert check([row], head) is None
    changed = row._replace(payloads=[("source", bytes(32), b'"y"')])
    assert place_of(check([changed], head)) == (str(STREAM), 1, "payload source")


def test_a_guard_row_has_the_name_its_id_is_made_of():
    access = stream_id_of("access")
    rows, head = a_stream(stream=access)

    assert check(rows, head._replace(name="access")) is None
    for name in ("identity", "Not a name"):
        found = check(rows, head._replace(name=name))
        assert (place_of(found), found.found) == ((str(access), 3, "name"), name)


def test_an_empty_guard_row_has_its_name_too():
    empty = HeadRow(str(STREAM), 0, EMPTY_HEAD, "access")

    assert place_of(check([], empty)) == (str(STREAM), 0, "name")


def test_a_discrepancy_reads_as_a_sentence():
    rows, head = a_stream()

    found = check(rows[:-1], head)

    assert str(found) == f"stream {STREAM}, entry 3, entry: expected entry 3, found none"
