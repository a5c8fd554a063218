"""What every ledger sink does, and what the doorway to it refuses."""

import hashlib
from uuid import UUID

import pytest
from django.db import transaction
from django.db.transaction import TransactionManagementError

from core.kernel.canonical import UncanonicalError
from core.toolkit import ledger
from tests.fakes import ledger as fake
from tests.fakes.drafts import draft

PROJECT = UUID("0198c0de-0000-7000-8000-0000000000cc")


@pytest.fixture(params=["audit.sink.LedgerSink", fake.PATH])
def sink(request, settings):
    settings.LEDGER_SINK = request.param
    return request.param


def record(stream="identity", **changes):
    return ledger.record(stream=stream, draft=draft(**changes))


@pytest.mark.django_db
def test_entries_of_a_stream_are_numbered_from_one_without_gaps(sink):
    assert [record().seq, record().seq, record().seq] == [1, 2, 3]


@pytest.mark.django_db
def test_each_stream_counts_for_itself(sink):
    record()

    assert record(stream="access").seq == 1
    assert record(stream=f"project:{PROJECT}").seq == 1
    assert record().seq == 2


@pytest.mark.django_db
def test_a_stream_of_one_thing_has_that_things_id(sink):
    assert record(stream=f"project:{PROJECT}").stream_id == PROJECT


@pytest.mark.django_db
def test_a_stream_with_a_name_only_has_an_id_made_of_the_name(sink):
    digest = hashlib.sha256(b"identity").digest()

    assert record().stream_id == UUID(bytes=digest[:16])


@pytest.mark.django_db
def test_leaves_are_32_bytes_and_tell_equal_drafts_apart(sink):
    one, other = record().leaf, record().leaf

    assert len(one) == len(other) == 32
    assert one != other


@pytest.mark.django_db
def test_an_entry_that_was_rolled_back_leaves_no_gap(sink):
    record()
    with transaction.atomic():
        record()
        transaction.set_rollback(True)

    assert record().seq == 2


@pytest.mark.django_db
def test_data_without_one_spelling_is_refused_and_nothing_is_appended(sink):
    with pytest.raises(UncanonicalError):
        record(data={"price": 1.5})

    assert record(data={"price": "1.5"}).seq == 1


@pytest.mark.django_db
def test_payloads_hold_any_json(sink):
    entry = record(payloads={"form": {"größe": 1.5, "none": None, "list": [True, {}]}, "note": ""})

    assert entry.seq == 1


@pytest.mark.django_db(transaction=True)
def test_nothing_is_recorded_outside_a_transaction(sink):
    with pytest.raises(TransactionManagementError):
        record()

    with transaction.atomic():
        assert record().seq == 1
    fake.forget()
