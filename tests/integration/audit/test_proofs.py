"""Proofs from the database: right, in few statements, and never of what was not signed."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.domain.entry import read_entry
from audit.domain.errors import (
    EntryMissingError,
    EntryNotSealedError,
    HeadMissingError,
    LedgerCorruptError,
    LogMissingError,
    ProofInvalidError,
)
from audit.domain.merkle import EMPTY_ROOT, check_consistency, check_inclusion, tree_root
from audit.domain.notes import open_note
from audit.models import Entry, Leaf
from audit.selectors import proofs
from audit.stored_hashes import StoredHashes, read_hashes
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from tests.fakes.drafts import draft
from tests.integration.audit import logs
from tests.integration.audit.streams import append, open_stream
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World()


@pytest.fixture
def auditor(world):
    """Return somebody who may read everything."""
    world.user("ada")
    assign_role(
        principal=world.system,
        role="auditor",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=world.users["ada"].pk,
    )
    return world.principal("ada")


@pytest.fixture
def fill(world):
    """Return a way to have so many sealed entries; it returns their ids in leaf order."""

    def more(count):
        logs.seal()
        missing = count - Leaf.objects.count()
        assert missing >= 0, "the world is larger than the test wants"
        append(open_stream(), *[draft(data={"n": number}) for number in range(missing)])
        logs.seal()
        return list(Leaf.objects.order_by("pk").values_list("entry_id", flat=True))

    return more


def leaves():
    """Return the leaf hashes in the log's order."""
    rows = Leaf.objects.order_by("pk").values_list("entry__leaf", flat=True)
    return [bytes(row) for row in rows]


def tamper(sql, *params):
    """Change a row as somebody can who owns the database."""
    table = sql.split()[1] if sql.startswith("UPDATE") else sql.split()[2]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")  # until it is rolled back
        cursor.execute(sql, params)


def test_every_entry_is_proved_to_be_in_the_newest_signed_tree(auditor, fill):
    ids = fill(600)
    head = proofs.latest_head()
    assert head is not None
    assert head.root == tree_root(leaves())
    assert open_note(head.note, [logs.KEY.verifier]).text.startswith(f"{logs.ORIGIN}\n600\n")

    for index in (0, 1, 255, 256, 300, 511, 512, 598, 599):
        found = proofs.prove_inclusion(principal=auditor, entry_id=ids[index])

        assert (found.index, found.size, found.note) == (index, 600, head.note)
        assert found.body == bytes(Entry.objects.get(pk=ids[index]).body)
        check_inclusion(
            leaf=found.leaf, index=index, size=600, path=list(found.path), root=head.root
        )


def test_an_entry_is_proved_for_any_tree_that_was_signed(auditor, fill):
    size = 320
    ids = fill(size)
    append(open_stream(), *[draft()] * 10)
    logs.seal(count=4)
    logs.seal()

    for wanted in (size, size + 4, size + 10):
        found = proofs.prove_inclusion(principal=auditor, entry_id=ids[7], size=wanted)
        assert found.size == wanted
        assert found.root == tree_root(leaves()[:wanted])

    assert proofs.prove_inclusion(principal=auditor, entry_id=ids[7]).size == size + 10
    with pytest.raises(HeadMissingError):
        proofs.prove_inclusion(principal=auditor, entry_id=ids[7], size=size + 1)
    late = Leaf.objects.get(pk=size + 5).entry_id
    with pytest.raises(ProofInvalidError, match=f"no leaf {size + 5}"):
        proofs.prove_inclusion(principal=auditor, entry_id=late, size=size)


def test_what_waits_for_the_sealer_says_so_and_when_to_come_back(auditor, fill, settings):
    settings.LEDGER_SEAL_SECONDS = 30
    fill(300)
    head, _ = append(open_stream())
    entry = Entry.objects.get(stream=head.stream)

    for size in (None, 300):
        with pytest.raises(EntryNotSealedError) as caught:
            proofs.prove_inclusion(principal=auditor, entry_id=entry.pk, size=size)
        assert caught.value.details["retry_after_seconds"] == 31
    logs.seal()
    assert proofs.prove_inclusion(principal=auditor, entry_id=entry.pk).index == 300


def test_an_entry_with_a_leaf_beyond_every_signed_tree_is_not_sealed_yet(auditor):
    append(open_stream())
    entry_id = Entry.objects.order_by("-pk").values_list("pk", flat=True)[0]
    Leaf.objects.create(leaf_index=0, entry_id=entry_id)

    assert proofs.latest_head() is None
    with pytest.raises(EntryNotSealedError):
        proofs.prove_inclusion(principal=auditor, entry_id=entry_id)


def test_nobody_gets_a_proof_of_what_they_may_not_see(world, auditor, fill):
    ids = fill(300)
    world.user("paul", "auditor")  # of the project
    own, _ = append(open_stream(), draft(scope=world.project.scope_id))
    logs.seal()
    paul = world.principal("paul")

    for entry_id in (ids[0], 10**9):
        with pytest.raises(EntryMissingError):
            proofs.prove_inclusion(principal=paul, entry_id=entry_id)
    own_id = Entry.objects.get(stream=own.stream).pk
    assert proofs.prove_inclusion(principal=paul, entry_id=own_id).index >= 300


def test_heads_are_for_whoever_reads_the_ledger_anywhere(world, auditor, fill):
    fill(290)
    world.user("paul", "auditor")
    world.user("vera", "viewer")

    (head, *_) = proofs.list_heads(principal=world.principal("paul"), limit=10)

    assert head == proofs.latest_head()
    assert proofs.list_heads(principal=auditor, after=head.size, limit=10) != [head]
    assert not proofs.can_read_everything(principal=world.principal("paul"))
    assert proofs.can_read_everything(principal=auditor)
    for nobody in (None, world.principal("vera")):
        with pytest.raises(LogMissingError):
            proofs.require_log(principal=nobody)
    with pytest.raises(LogMissingError):
        proofs.list_heads(principal=world.principal("vera"), limit=10)


def test_heads_are_found_by_what_they_cover(fill):
    fill(300)
    append(open_stream(), draft(), draft())
    logs.seal()

    sizes = [getattr(proofs.head_covering(index=index), "size", None) for index in (299, 300, 302)]
    assert sizes == [300, 302, None]
    found = proofs.find_head(size=300)
    assert found is not None
    assert found.size == 300
    assert proofs.find_head(size=301) is None
    assert proofs.tree(size=300).root() == found.root


def test_any_two_trees_are_proved_to_be_one_log(fill):
    fill(600)
    all_leaves = leaves()

    for first, second in [
        (0, 600),
        (1, 600),
        (256, 600),
        (300, 599),
        (511, 512),
        (600, 600),
        (0, 0),
    ]:
        found = proofs.prove_consistency(first=first, second=second)
        assert found.first_root == tree_root(all_leaves[:first])
        assert found.second_root == tree_root(all_leaves[:second])
        check_consistency(
            first=first,
            first_root=found.first_root,
            second=second,
            second_root=found.second_root,
            path=list(found.path),
        )
    assert proofs.prove_consistency(first=0, second=9).first_root == EMPTY_ROOT
    with pytest.raises(HeadMissingError):
        proofs.prove_consistency(first=1, second=601)
    for first in (-1, 20):
        with pytest.raises(ProofInvalidError):
            proofs.prove_consistency(first=first, second=10)


def test_an_empty_log_proves_nothing():
    assert proofs.latest_head() is None
    with pytest.raises(HeadMissingError):
        proofs.prove_consistency(first=0, second=0)


def test_a_proof_takes_few_statements(auditor, fill):
    ids = fill(600)
    head = proofs.latest_head()
    assert head is not None

    for index in (3, 300, 599):
        with CaptureQueriesContext(connection) as seen:
            proofs.prove_inclusion(principal=auditor, entry_id=ids[index])
        assert len(seen) <= 6, [item["sql"] for item in seen]
    with CaptureQueriesContext(connection) as seen:
        proofs.prove_consistency(first=300, second=600)
    assert len(seen) <= 3, [item["sql"] for item in seen]
    with CaptureQueriesContext(connection) as seen:
        StoredHashes([(0, 0, 256), (0, 512, 88), (1, 0, 2)])
        StoredHashes()
    assert len(seen) == 1


def test_a_stored_hash_that_changed_or_is_gone_gives_no_proof(auditor, fill):
    ids = fill(600)
    other = b"\x07" * 32
    broken = [
        ("UPDATE audit_node SET hash = %s WHERE index = 0", [other]),
        ("UPDATE audit_tree_head SET root = %s WHERE tree_size = 600", [other]),
        ("UPDATE audit_entry SET leaf = %s WHERE id = %s", [other, ids[301]]),
        ("UPDATE audit_entry SET leaf = %s WHERE id = %s", [other, ids[300]]),
        ("DELETE FROM audit_node WHERE index = 0", []),
        ("DELETE FROM audit_leaf WHERE leaf_index = 301", []),
        ("UPDATE audit_leaf SET leaf_index = 9999 WHERE leaf_index = 599", []),
    ]
    for sql, params in broken:
        with connection.cursor() as cursor:
            cursor.execute("SAVEPOINT before")
        tamper(sql, *params)
        with pytest.raises(LedgerCorruptError):
            proofs.prove_inclusion(principal=auditor, entry_id=ids[300])
        if "audit_entry SET leaf" not in sql or params[1] == ids[301]:
            with pytest.raises(LedgerCorruptError):
                proofs.prove_consistency(first=301, second=600)
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK TO SAVEPOINT before")
    assert proofs.prove_inclusion(principal=auditor, entry_id=ids[300]).index == 300


def test_an_entry_whose_bytes_changed_gives_no_proof(auditor, fill):
    ids = fill(300)
    body = bytes(Entry.objects.get(pk=ids[5]).body)
    tamper("UPDATE audit_entry SET body = %s WHERE id = %s", body.replace(b"{", b" {", 1), ids[5])

    with pytest.raises(LedgerCorruptError, match="not that of its bytes"):
        proofs.prove_inclusion(principal=auditor, entry_id=ids[5])
    assert read_entry(body).seq


def test_hashes_say_which_one_is_missing(fill):
    fill(300)
    assert read_hashes(0, 0, 256) == leaves()[:256]
    assert read_hashes(0, 256, 44) == leaves()[256:]
    assert StoredHashes()(1, 0, 1) == [tree_root(leaves()[:256])]

    with pytest.raises(LedgerCorruptError, match="hash 300 of level 0"):
        read_hashes(0, 256, 45)
    with pytest.raises(LedgerCorruptError, match="hash 1 of level 1"):
        read_hashes(1, 0, 2)
