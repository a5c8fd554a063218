"""`verify_ledger` on a sealed log in PostgreSQL: whatever was done to the tree is named."""

import pytest

from audit.models import Entry
from audit.sealing.doctor import examine
from audit.selectors.verification import verify_ledger
from core.kernel.clock import SYSTEM_CLOCK
from tests.fakes.drafts import draft
from tests.integration.audit.streams import append, open_stream
from tests.integration.audit.tampering import tamper
from tests.sealed import SealedLog

pytestmark = pytest.mark.django_db(transaction=True)

EXCHANGE_NOTES = """
UPDATE audit_tree_head a SET note = b.note FROM audit_tree_head b
WHERE a.tree_size = 4 AND b.tree_size = 260"""
EXCHANGE_LEAVES = """
UPDATE audit_leaf SET leaf_index = CASE leaf_index WHEN 1 THEN -2 ELSE -1 END
WHERE leaf_index IN (1, 2);
UPDATE audit_leaf SET leaf_index = -leaf_index WHERE leaf_index < 0"""


@pytest.fixture
def log(tmp_path):
    """Return a log of 260 entries with heads of 4 and 260."""
    log = SealedLog(tmp_path)
    append(open_stream(), *[draft()] * 3)
    log.seal()
    append(open_stream(), *[draft()] * 256)
    log.seal()
    return log


def test_a_sealed_log_verifies_and_is_counted(log):
    found = verify_ledger(trusted=[key.verifier for key in log.keys])

    assert found.discrepancy is None
    assert (found.leaf_count, found.node_count, found.head_count) == (260, 1, 2)
    assert (found.origin, found.warnings) == (log.origin, ())


@pytest.mark.parametrize(
    ("statement", "field"),
    [
        ("UPDATE audit_node SET hash = sha256(hash)", "node 0 of level 1"),
        ("UPDATE audit_node SET index = 1", "node 0 of level 1"),
        ("UPDATE audit_node SET level = 2", "node 0 of level 1"),
        ("DELETE FROM audit_node", "node 0 of level 1"),
        ("INSERT INTO audit_node VALUES (2, 0, sha256('x'))", "node 0 of level 2"),
        ("UPDATE audit_tree_head SET root = sha256(root)", "tree head 4, root"),
        (
            "UPDATE audit_tree_head SET root = sha256(root) WHERE tree_size = 260",
            "tree head 260, root",
        ),
        ("UPDATE audit_tree_head SET tree_size = 5 WHERE tree_size = 4", "tree head 5, root"),
        ("UPDATE audit_tree_head SET note = upper(note)", "tree head 4, note"),
        (
            EXCHANGE_NOTES,
            "tree head 4, note",
        ),
        ("DELETE FROM audit_tree_head WHERE tree_size = 260", "audit_leaf"),
        (
            EXCHANGE_LEAVES,
            "tree head 4, root",
        ),
        ("UPDATE audit_key SET name = 'another'", "key "),
        ("UPDATE audit_key SET vkey = replace(vkey, '+', '-')", "key "),
        ("UPDATE audit_key SET added_at = added_at + interval '1 microsecond'", "key "),
        ("DELETE FROM audit_key", "audit_key"),
        (
            "INSERT INTO audit_key SELECT '00000000', name, vkey || 'x', added_at FROM audit_key",
            "key 00000000",
        ),
    ],
)
def test_whatever_was_done_to_the_tree_is_named(log, statement, field):
    tamper(statement)

    found = verify_ledger().discrepancy

    assert found is not None
    assert found.field.startswith(field)


def test_a_whole_history_rewritten_with_the_database_alone_is_found(log):
    """Chains, heads of streams and nodes can all be made anew; a signature cannot."""
    tamper("DELETE FROM audit_pending", "DELETE FROM audit_leaf WHERE leaf_index >= 4")
    stream = Entry.objects.latest("pk").stream
    tamper(
        "DELETE FROM audit_node",
        "DELETE FROM audit_tree_head WHERE tree_size > 4",
        f"DELETE FROM audit_entry WHERE stream = '{stream}'",
        f"DELETE FROM audit_stream WHERE id = '{stream}'",
    )

    assert verify_ledger().discrepancy is None, "the database alone cannot tell"
    assert log.folder.read_last_signed() is not None

    codes = [finding.code for finding in examine(folder=log.folder, origin=log.origin)]
    assert codes == ["behind_last_signed"], "what was signed outside it can"


def test_entries_that_wait_too_long_are_a_warning_and_no_discrepancy(log):
    append(open_stream(), draft())
    found = verify_ledger()

    assert found.discrepancy is None
    (warning,) = found.warnings
    assert warning.startswith("1 entries wait to be sealed, the first for ")


def test_entries_that_came_just_now_are_no_warning(log):
    append(open_stream(), draft(at=SYSTEM_CLOCK.now()))

    assert verify_ledger().warnings == ()
