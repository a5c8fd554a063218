"""Sealing on PostgreSQL: dense places, the right root, a head that verifies, and crashes."""

import threading

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit.domain.checkpoints import parse_checkpoint
from audit.domain.merkle import tree_root
from audit.domain.notes import open_note
from audit.models import Entry, Leaf, Node, Pending, TreeHead
from audit.sealing import rows
from audit.sealing.sealer import seal_batch
from tests.fakes.drafts import draft
from tests.integration.audit.streams import append, fill, open_stream
from tests.sealed import ORIGIN, SealedLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log(tmp_path):
    return SealedLog(tmp_path)


def leaves_in_order():
    return [bytes(leaf.entry.leaf) for leaf in Leaf.objects.order_by("pk").select_related("entry")]


def newest():
    return TreeHead.objects.latest("tree_size")


# --- one batch ----------------------------------------------------------------------------------


def test_entries_get_dense_places_and_a_signed_head(log):
    fill()
    fill(entry_count=5)

    assert log.seal() == 9  # with key.added

    assert list(Leaf.objects.order_by("pk").values_list("pk", flat=True)) == list(range(9))
    assert not Pending.objects.exists()
    head = newest()
    opened = open_note(head.note, [key.verifier for key in log.keys])
    checkpoint = parse_checkpoint(opened.text)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 9)
    assert checkpoint.root == bytes(head.root) == tree_root(leaves_in_order())


def test_places_follow_the_order_of_each_stream(log):
    first, second = open_stream(), open_stream()
    for _ in range(4):
        first, _ = append(first)
        second, _ = append(second)

    log.seal()

    for head in (first, second):
        places = Leaf.objects.filter(entry__stream=head.stream).order_by("pk")
        assert list(places.values_list("entry__seq", flat=True)) == [1, 2, 3, 4]


def test_what_commits_late_comes_late_and_nothing_is_lost(log, at_once):
    """Ids are drawn before the commit: a cursor over ids would pass over the slow one for ever."""
    slow, fast = open_stream(), open_stream()
    log.seal()
    drawn, committed = threading.Event(), threading.Event()

    def write_slowly():
        with transaction.atomic():
            append(slow)
            drawn.set()
            assert committed.wait(30)

    def write_fast():
        assert drawn.wait(30)
        append(fast)
        sealed = log.seal()
        committed.set()
        return sealed

    results = at_once(write_slowly, write_fast)

    assert results == [None, 1]
    assert log.seal() == 1
    ids_in_order = list(Leaf.objects.order_by("pk").values_list("entry_id", flat=True))
    assert ids_in_order[-2] > ids_in_order[-1]
    assert Leaf.objects.count() == Entry.objects.count()


def test_complete_subtrees_are_kept_across_batches(log, monkeypatch):
    head = open_stream()
    for count in (200, 100, 213, 3):
        head, _ = append(head, *[draft()] * count)
        log.seal()

    nodes = {(node.level, node.index): bytes(node.hash) for node in Node.objects.all()}
    leaves = leaves_in_order()
    assert len(leaves) == 517
    assert nodes == {(1, 0): tree_root(leaves[:256]), (1, 1): tree_root(leaves[256:512])}
    for stored in TreeHead.objects.all():
        assert bytes(stored.root) == tree_root(leaves[: stored.tree_size])


def test_a_batch_is_bounded_and_the_next_goes_on(log, monkeypatch):
    monkeypatch.setattr(rows, "SEAL_ENTRY_COUNT_MAX", 4)
    monkeypatch.setattr("audit.sealing.sealer.SEAL_ENTRY_COUNT_MAX", 4)
    fill(entry_count=8)

    assert log.seal() == 9

    assert list(TreeHead.objects.order_by("pk").values_list("pk", flat=True)) == [4, 8, 9]


def test_without_entries_nothing_is_signed(log):
    log.seal()
    before = TreeHead.objects.count()

    assert log.seal() == 0

    assert TreeHead.objects.count() == before


# --- what it costs -------------------------------------------------------------------------------


def test_an_idle_look_is_one_probe_of_an_index(log):
    log.seal()

    with CaptureQueriesContext(connection) as queries:
        assert not rows.has_pending()

    assert len(queries) == 1


def test_a_batch_costs_the_same_statements_whatever_its_size(log):
    log.seal()
    counts = []
    for size in (1, 60):
        append(open_stream(), *[draft()] * size)
        with CaptureQueriesContext(connection) as queries:
            seal_batch(folder=log.folder, origin=log.origin)
        counts.append(len(queries))

    assert counts == [11, 11]
