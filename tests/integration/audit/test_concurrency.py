"""Many appenders to one stream, each with a connection of its own."""

import pytest
from django.db import transaction

from audit import store
from audit.models import Entry, Stream
from audit.selectors.verification import verify_ledger
from tests.fakes.drafts import draft
from tests.integration.audit.streams import append, open_stream

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 6
ENTRIES_EACH = 15


def test_appenders_by_name_number_densely_and_keep_the_chain(at_once):
    def write(writer):
        for number in range(ENTRIES_EACH):
            with transaction.atomic():
                data = {"writer": writer, "n": number}
                store.append(stream="access", drafts=[draft(data=data, payloads={"a": number})])

    results = at_once(*(lambda writer=writer: write(writer) for writer in range(WRITERS)))

    assert results == [None] * WRITERS
    row = Stream.objects.get(name="access")
    entries = store.read_verified(stream=row.pk, limit=1_000)
    assert [entry.seq for entry in entries] == list(range(1, WRITERS * ENTRIES_EACH + 1))
    assert (row.seq, bytes(row.head)) == (entries[-1].seq, entries[-1].leaf)
    for writer in range(WRITERS):
        mine = [entry.data["n"] for entry in entries if entry.data["writer"] == writer]
        assert mine == list(range(ENTRIES_EACH))
    found = verify_ledger()
    assert found.discrepancy is None
    assert found.entry_count == found.pending_count == WRITERS * ENTRIES_EACH


def test_of_appenders_that_saw_the_same_head_one_wins(at_once):
    head = open_stream()

    results = at_once(*(lambda: append(head, draft(payloads={"a": 1})) for _ in range(WRITERS)))

    counts = [count for _, count in results]
    assert sorted(counts) == [0] * (WRITERS - 1) + [1]
    winner = next(after for after, count in results if count)
    (entry,) = store.read_verified(stream=head.stream, limit=10)
    assert entry.leaf == winner.head
    assert verify_ledger().discrepancy is None


def test_appenders_that_try_again_from_the_new_head_all_get_in(at_once):
    head = open_stream()

    def write():
        for _ in range(ENTRIES_EACH):
            count = 0
            while count == 0:
                row = Stream.objects.get(pk=head.stream)
                seen = type(head)(stream=head.stream, seq=row.seq, head=bytes(row.head))
                _, count = append(seen)

    results = at_once(*(write for _ in range(3)))

    assert results == [None] * 3
    assert len(store.read_verified(stream=head.stream, limit=1_000)) == 3 * ENTRIES_EACH


def test_a_stream_opened_by_two_at_once_is_one_stream(at_once):
    def write():
        with transaction.atomic():
            return store.append(stream="identity", drafts=[draft()]).seq

    results = at_once(*(write for _ in range(WRITERS)))

    assert sorted(results) == list(range(1, WRITERS + 1))
    assert Stream.objects.count() == 1


def test_an_append_that_rolls_back_leaves_no_gap_to_those_who_waited(at_once):
    def succeed():
        with transaction.atomic():
            return store.append(stream="access", drafts=[draft()]).seq

    def fail():
        with transaction.atomic():
            store.append(stream="access", drafts=[draft()])
            transaction.set_rollback(True)
        return 0

    results = at_once(*[succeed, fail] * 4)

    assert sorted(results) == [0, 0, 0, 0, 1, 2, 3, 4]
    assert verify_ledger().discrepancy is None


def test_verification_is_right_while_others_append(at_once):
    head = open_stream()
    append(head)

    def write():
        for _ in range(40):
            with transaction.atomic():
                store.append(stream="access", drafts=[draft(payloads={"a": 1})])

    def verify():
        return [verify_ledger().discrepancy for _ in range(8)]

    first, second, *findings = at_once(write, write, verify, verify)

    assert (first, second) == (None, None)
    assert findings == [[None] * 8] * 2
    assert Entry.objects.count() == 81
