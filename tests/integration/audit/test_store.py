"""Appending and reading on PostgreSQL."""

from itertools import pairwise

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from audit import registry, store
from audit.domain.entry import EMPTY_HEAD, StreamHead, extend, read_entry, stream_id_of
from audit.domain.errors import LedgerCorruptError, StreamNameError
from audit.models import Entry, Payload, Pending, Stream
from core.kernel import ids
from core.kernel.record import Origin
from tests.fakes.drafts import AT, ORIGIN, PERSON, SCOPE, draft
from tests.integration.audit.streams import GUARD, append, fill, open_stream

pytestmark = pytest.mark.django_db


def test_an_append_writes_entries_payloads_and_the_queue_in_one_round_trip():
    head = open_stream()
    drafts = [draft(), draft(payloads={"a": 1}), draft(payloads={"a": [], "b": {"ä": 1.5}})]
    after, entries = extend(head=head, drafts=drafts, salts=ids.salt)

    with CaptureQueriesContext(connection) as queries:
        count = store.append_guarded(
            guard=GUARD, guard_params=(3, after.head, head.stream, 0), entries=entries
        )

    rows = list(Entry.objects.filter(stream=head.stream).order_by("pk"))
    assert (count, len(queries)) == (3, 1)
    assert [row.seq for row in rows] == [1, 2, 3]
    assert [bytes(row.body) for row in rows] == [entry.body for entry in entries]
    assert [bytes(row.leaf) for row in rows] == [entry.leaf for entry in entries]
    assert Pending.objects.filter(entry__in=rows).count() == 3
    assert Payload.objects.filter(entry__in=rows).count() == 3


def test_columns_say_what_the_bytes_say():
    append(open_stream(), draft(subject="run:1", scope=SCOPE))

    row = Entry.objects.get()

    assert (row.kind, row.at, row.actor) == ("vote.cast", AT, PERSON.id)
    assert (row.subject, row.scope) == ("run:1", SCOPE)


def test_a_guard_that_does_not_hold_leaves_nothing():
    head = open_stream()

    _, count = append(head, draft(payloads={"a": 1}), seq=7)

    assert count == 0
    assert not Entry.objects.exists()
    assert not Payload.objects.exists()
    assert not Pending.objects.exists()
    assert Stream.objects.get(pk=head.stream).seq == 0


def test_the_same_guard_that_holds_leaves_all():
    head = open_stream()

    after, count = append(head, draft(payloads={"a": 1}))

    assert count == 1
    assert (Entry.objects.count(), Payload.objects.count(), Pending.objects.count()) == (1, 1, 1)
    row = Stream.objects.get(pk=head.stream)
    assert (row.seq, bytes(row.head)) == (1, after.head)


def test_a_failed_guard_leaves_the_callers_transaction_usable():
    head = open_stream()

    with transaction.atomic():
        _, count = append(head, seq=9)
        after, _ = append(head)

    assert count == 0
    assert store.read_verified(stream=head.stream, limit=9)[-1].leaf == after.head


def test_a_number_given_twice_is_refused_even_if_a_guard_lets_it_through():
    head = fill(entry_count=2)
    _, entries = extend(
        head=StreamHead(stream=head.stream, seq=1), drafts=[draft()], salts=ids.salt
    )
    always = "UPDATE audit_stream SET seq = seq + 1 WHERE id = %s::uuid RETURNING id"

    with pytest.raises(IntegrityError), transaction.atomic():
        store.append_guarded(guard=always, guard_params=(head.stream,), entries=entries)

    assert Stream.objects.get(pk=head.stream).seq == 2


def test_a_guard_may_insert():
    stream = ids.uuid7()
    after, entries = extend(head=StreamHead(stream=stream), drafts=[draft()], salts=ids.salt)
    guard = """INSERT INTO audit_stream (id, name, seq, head)
        VALUES (%s::uuid, %s::text, %s::bigint, %s::bytea) ON CONFLICT DO NOTHING RETURNING id"""
    params = (stream, f"project:{stream}", after.seq, after.head)

    first = store.append_guarded(guard=guard, guard_params=params, entries=entries)
    again = store.append_guarded(guard=guard, guard_params=params, entries=entries)

    assert (first, again) == (1, 0)


def test_many_entries_and_payloads_go_in_one_statement_with_ids_in_order():
    head = open_stream()
    drafts = [draft(data={"n": n}, payloads={"p": n, "q": str(n)}) for n in range(200)]

    after, count = append(head, *drafts)

    entries = store.read_verified(stream=head.stream, limit=1_000)
    assert count == 200
    assert [entry.data["n"] for entry in entries] == list(range(200))
    assert [entry.payloads for entry in entries] == [{"p": n, "q": str(n)} for n in range(200)]
    numbers = Entry.objects.filter(stream=head.stream).order_by("seq").values_list("pk", flat=True)
    assert all(low < high for low, high in pairwise(numbers))
    assert after.seq == 200


def test_a_statement_has_few_texts_and_stays_prepared():
    head = open_stream()
    texts = set()
    for _ in range(6):
        after, entries = extend(head=head, drafts=[draft(payloads={"a": 1})], salts=ids.salt)
        statement = store.append_statement(
            guard=GUARD,
            guard_params=(after.seq, after.head, head.stream, head.seq),
            entries=entries,
        )
        texts.add(statement.sql)
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, statement.params)
            assert [row[1] for row in cursor.fetchall()] == [after.seq]
        head = after

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'WITH g AS%%'"
            " AND statement LIKE '%%INSERT INTO audit_pending%%' AND from_sql = false"
            " AND statement LIKE '%%audit_payload%%'"
        )
        (prepared,) = cursor.fetchone()
    assert len(texts) == 1
    assert prepared >= 1


def test_entries_of_two_streams_do_not_go_in_one_append():
    _, one = extend(head=StreamHead(stream=ids.uuid7()), drafts=[draft()], salts=ids.salt)
    _, other = extend(head=StreamHead(stream=ids.uuid7()), drafts=[draft()], salts=ids.salt)

    with pytest.raises(AssertionError, match="one stream"):
        store.append_statement(guard=GUARD, guard_params=(), entries=[*one, *other])


def test_an_append_of_nothing_is_refused():
    with pytest.raises(AssertionError, match="silently"):
        store.append_statement(guard=GUARD, guard_params=(), entries=[])


# --- streams without a guard row elsewhere ------------------------------------------------------


def test_a_named_stream_is_opened_by_its_first_entry_and_then_grows():
    first = store.append(stream="access", drafts=[draft()])
    second = store.append(stream="access", drafts=[draft(), draft()])

    row = Stream.objects.get(name="access")
    assert (first.seq, second.seq) == (1, 3)
    assert first.stream_id == row.pk == stream_id_of("access")
    assert (row.seq, bytes(row.head)) == (3, second.leaf)
    assert len(store.read_verified(stream=row.pk, limit=10)) == 3


def test_an_append_by_name_needs_two_round_trips_once_the_stream_is_there():
    store.append(stream="access", drafts=[draft()])

    with CaptureQueriesContext(connection) as queries:
        store.append(stream="access", drafts=[draft(payloads={"a": 1})])

    assert len(queries) == 2


@pytest.mark.django_db(transaction=True)
def test_an_append_by_name_needs_a_transaction():
    with pytest.raises(TransactionManagementError):
        store.append(stream="access", drafts=[draft()])

    with transaction.atomic():
        assert store.append(stream="access", drafts=[draft()]).seq == 1


def test_a_stream_whose_head_is_elsewhere_cannot_be_appended_to_by_name():
    stream = ids.uuid7()

    for noun in registry.stream_heads():
        with pytest.raises(StreamNameError):
            store.append(stream=f"{noun}:{stream}", drafts=[draft()])

    assert {"run", "workflow", "request"} <= registry.stream_heads().keys()
    assert store.append(stream=f"project:{stream}", drafts=[draft()]).stream_id == stream


def test_the_source_address_is_kept_beside_the_entry():
    origin = Origin(actor=PERSON, via=ORIGIN.via, source_address="192.0.2.7")

    place = store.append(stream="access", drafts=[draft(origin=origin)])

    (entry,) = store.read_verified(stream=place.stream_id, limit=1)
    assert entry.payloads == {"source": "192.0.2.7"}
    assert b"192.0.2.7" not in entry.body


# --- reading ------------------------------------------------------------------------------------


def test_reading_takes_one_query_and_goes_on_where_it_ended():
    head = fill(entry_count=5)

    with CaptureQueriesContext(connection) as queries:
        first = store.read_stream(stream=head.stream, limit=2)
    rest = store.read_stream(stream=head.stream, after_seq=2, limit=100)

    assert len(queries) == 1
    assert [entry.seq for entry in (*first, *rest)] == [1, 2, 3, 4, 5]
    assert first[1].payloads == {"comment": "ok", "form": {"n": 1}}
    assert (first[0].payloads, first[0].data, first[0].erased) == ({}, {"n": 0}, frozenset())
    assert (first[0].kind, first[0].at) == ("vote.cast", AT)


def test_reading_may_leave_large_payloads_where_they_are():
    head = fill(entry_count=3)

    every = store.read_stream(stream=head.stream, limit=9)
    some = store.read_stream(stream=head.stream, limit=9, payload_names=["comment"])
    none = store.read_stream(stream=head.stream, limit=9, payload_names=[])

    assert every[1].payloads == {"comment": "ok", "form": {"n": 1}}
    assert some[1].payloads == {"comment": "ok"}
    assert [entry.payloads for entry in none] == [{}, {}, {}]
    assert [entry.seq for entry in every] == [entry.seq for entry in none] == [1, 2, 3]


def test_a_stream_nobody_wrote_to_is_empty():
    assert store.read_stream(stream=ids.uuid7(), limit=10) == []
    assert store.read_verified(stream=ids.uuid7(), limit=10) == []


def test_verified_reading_goes_on_from_a_head():
    head = fill(entry_count=4)
    first = store.read_verified(stream=head.stream, limit=2)

    rest = store.read_verified(
        stream=head.stream, after_seq=2, after_head=first[-1].leaf, limit=100
    )

    assert [entry.seq for entry in rest] == [3, 4]
    assert read_entry(rest[0].body).prev == first[-1].leaf


def test_verified_reading_refuses_a_wrong_head():
    head = fill(entry_count=3)

    for wrong in ({"after_seq": 1, "after_head": EMPTY_HEAD}, {"after_head": b"\x01" * 32}):
        with pytest.raises(LedgerCorruptError) as caught:
            store.read_verified(stream=head.stream, limit=10, **wrong)
        assert caught.value.details["field"] == "prev"


@pytest.mark.parametrize(("after", "limit", "found"), [(0, 9, [1, 2, 3]), (1, 1, [2]), (3, 9, [])])
def test_a_row_is_read_beside_what_its_stream_has_after_a_place(after, limit, found):
    head = fill(entry_count=3)
    known = [EMPTY_HEAD, *(entry.leaf for entry in store.read_stream(stream=head.stream, limit=9))]

    beside = store.read_beside(
        row="SELECT 7, %s::text", params=("a",), stream=head.stream, after_seq=after, limit=limit
    )
    assert beside is not None
    row, tail = beside
    entries = store.verify(tail, after_seq=after, after_head=known[after])

    assert row == (7, "a")
    assert [entry.seq for entry in entries] == found
    whole = store.read_verified(stream=head.stream, limit=9)
    assert entries == [entry for entry in whole if entry.seq in found]


def test_without_the_row_nothing_is_read_beside_it():
    head = fill(entry_count=1)

    assert (
        store.read_beside(
            row="SELECT 7 WHERE false", params=(), stream=head.stream, after_seq=0, limit=9
        )
        is None
    )


def test_what_was_read_beside_a_row_is_checked_too():
    head = fill(entry_count=3)
    beside = store.read_beside(row="SELECT 7", params=(), stream=head.stream, after_seq=1, limit=9)
    assert beside is not None
    _, tail = beside

    with pytest.raises(LedgerCorruptError):
        store.verify(tail, after_seq=1, after_head=EMPTY_HEAD)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("UPDATE audit_entry SET body = set_byte(body, 20, 63) WHERE seq = 2", "leaf"),
        ("UPDATE audit_entry SET body = set_byte(body, 0, 63) WHERE seq = 2", "body"),
        ("UPDATE audit_entry SET body = '[]' WHERE seq = 2", "body"),
        ("UPDATE audit_entry SET leaf = sha256(leaf) WHERE seq = 2", "leaf"),
        ("UPDATE audit_entry SET kind = 'vote.spoilt' WHERE seq = 2", "kind"),
        ("UPDATE audit_entry SET seq = 9 WHERE seq = 2", "seq"),
        ("UPDATE audit_payload SET value = '\"no\"' WHERE name = 'comment'", "payload comment"),
        ("UPDATE audit_payload SET salt = sha256(salt) WHERE name = 'form'", "payload form"),
        ("UPDATE audit_payload SET name = 'other' WHERE name = 'form'", "payload other"),
        ("DELETE FROM audit_payload WHERE name = 'form'", "payloads"),
    ],
)  # fmt: skip
def test_verified_reading_refuses_what_was_changed_behind_the_triggers(change, field):
    head = fill(entry_count=3)
    assert len(store.read_verified(stream=head.stream, limit=10)) == 3
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("audit_entry", "audit_payload"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(change)

    with pytest.raises(LedgerCorruptError) as caught:
        store.read_verified(stream=head.stream, limit=10)

    assert caught.value.details["field"] == field
    assert caught.value.details["stream"] == str(head.stream)


def test_an_erased_payload_reads_as_erased():
    head = fill(entry_count=2)
    Payload.objects.filter(name="form").update(value=None, salt=None)

    entry = store.read_verified(stream=head.stream, limit=10)[1]

    assert entry.payloads == {"comment": "ok"}
    assert entry.erased == {"form"}
