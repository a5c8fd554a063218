"""The tree check: what was sealed holds, and everything else is named."""

import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.domain.checkpoints import Checkpoint, write_checkpoint
from audit.domain.merkle import Frontier, tree_root
from audit.domain.notes import Note, SigningKey, write_note
from audit.domain.tree_verification import (
    LeafRow,
    NodeRow,
    TreeHeadRow,
    TreeTally,
    is_continued,
    verify_tree,
)
from tests.fakes.streams import every_flip

OLD = SigningKey.generate("log.example.org/a", seed=bytes(32))
NEW = SigningKey.generate("log.example.org/b", seed=bytes([1]) * 32)
KEYS = (OLD.verifier, NEW.verifier)


def hashes(count):
    return [sha256(b"%d" % n).digest() for n in range(count)]


def note_of(size, root, *, key=OLD, origin=None, says=None):
    checkpoint = Checkpoint(origin=origin or key.name, size=says or size, root=root)
    text = write_checkpoint(checkpoint)
    return write_note(Note(text=text, signatures=(key.sign(text),)))


class Stored:
    """A log as a sealer stores it, with heads at some sizes."""

    def __init__(self, count=300, sizes=(7, 256, 300)):
        leaves = hashes(count)
        frontier = Frontier()
        self.leaves = [LeafRow(n, leaf) for n, leaf in enumerate(leaves)]
        self.nodes = [NodeRow(*node) for leaf in leaves for node in frontier.append(leaf)]
        self.heads = []
        for size in sizes:
            root = tree_root(leaves[:size])
            self.heads.append(TreeHeadRow(size, root, note_of(size, root)))

    def check(self, *, restored=None, tally=None, keys=KEYS):
        return verify_tree(
            leaves=self.leaves,
            nodes=self.nodes,
            heads=self.heads,
            keys=keys,
            restored=restored or {},
            tally=tally or TreeTally(),
        )

    def field(self, **options):
        found = self.check(**options)
        assert found is not None
        return found.field


def test_what_was_sealed_holds_and_is_counted():
    tally = TreeTally()

    assert Stored().check(tally=tally) is None
    assert tally == TreeTally(leaf_count=300, node_count=1, head_count=3, origin=OLD.name)


def test_a_log_nobody_sealed_holds():
    assert Stored(count=0, sizes=()).check() is None


@given(st.lists(st.integers(min_value=1, max_value=300), min_size=1, max_size=6, unique=True))
def test_heads_at_any_sizes_hold(sizes):
    sizes = sorted(sizes)

    assert Stored(count=sizes[-1], sizes=sizes).check() is None


def test_every_bit_of_a_leaf_is_found_by_the_next_head():
    for flipped in every_flip(hashes(300)[9]):
        log = Stored()
        log.leaves[9] = LeafRow(9, flipped)
        assert log.field() == "node 0 of level 1"


def test_every_bit_of_a_node_is_found_and_named():
    log = Stored()
    (node,) = log.nodes
    for flipped in every_flip(node.hash):
        log.nodes = [node._replace(hash=flipped)]
        assert log.field() == "node 0 of level 1"


def test_every_bit_of_a_root_is_found_and_named():
    log = Stored(count=7, sizes=(7,))
    (head,) = log.heads
    for flipped in every_flip(head.root):
        log.heads = [head._replace(root=flipped)]
        assert log.field() == "tree head 7, root"


def test_every_bit_of_a_note_is_found_and_named():
    log = Stored(count=7, sizes=(7,))
    (head,) = log.heads
    tried = 0
    for flipped in every_flip(head.note.encode()):
        try:
            text = flipped.decode()
        except UnicodeDecodeError:
            continue  # a text column holds no such bytes
        tried += 1
        log.heads = [head._replace(note=text)]
        assert log.field() == "tree head 7, note"
    assert tried > 1_000


def test_leaves_are_dense_from_zero_and_have_entries():
    gap, doubled, empty = Stored(), Stored(), Stored()
    del gap.leaves[40]
    doubled.leaves.insert(41, doubled.leaves[40])
    empty.leaves[40] = LeafRow(40, None)

    assert (gap.field(), doubled.field(), empty.field()) == ("audit_leaf", "audit_leaf", "leaf 40")


def test_two_leaves_that_changed_places_are_found():
    log = Stored()
    first, second = log.leaves[2], log.leaves[3]
    log.leaves[2:4] = [LeafRow(2, second.leaf), LeafRow(3, first.leaf)]

    assert log.field() == "tree head 7, root"


def test_nodes_are_those_of_the_tree_and_no_others():
    missing, other, extra = Stored(), Stored(), Stored()
    missing.nodes = []
    other.nodes = [NodeRow(1, 1, other.nodes[0].hash)]
    extra.nodes.append(NodeRow(1, 1, bytes(32)))

    assert missing.field() == other.field() == "node 0 of level 1"
    assert extra.field() == "node 1 of level 1"


def test_heads_cover_every_leaf_and_nothing_more():
    beyond, short, unsigned = Stored(), Stored(sizes=(7, 256)), Stored(sizes=())
    beyond.heads.append(TreeHeadRow(301, bytes(32), "n"))

    assert beyond.field() == "tree head 301"
    assert short.field() == unsigned.field() == "audit_leaf"


def test_a_head_that_went_missing_between_others_does_not_hurt():
    log = Stored()
    del log.heads[1]

    assert log.check() is None, "the others still cover every leaf"


def test_a_head_of_a_key_nobody_knows_is_named():
    log = Stored()

    assert log.field(keys=(NEW.verifier,)) == "tree head 7, note"


def test_a_key_signs_only_for_the_log_it_is_named_after():
    log = Stored(count=7, sizes=(7,))
    root = log.heads[0].root
    log.heads = [TreeHeadRow(7, root, note_of(7, root, key=NEW, origin=OLD.name))]

    assert log.field() == "tree head 7, note"


def test_a_note_of_another_size_or_root_is_named():
    log = Stored(count=7, sizes=(7,))
    root = log.heads[0].root

    log.heads = [TreeHeadRow(7, root, note_of(7, root, says=8))]
    assert log.field() == "tree head 7, note"
    log.heads = [TreeHeadRow(7, root, note_of(7, bytes(32)))]
    assert log.field() == "tree head 7, note"


def test_a_log_changes_its_name_only_by_a_restore_on_record():
    log = Stored()
    head = log.heads[2]
    log.heads[2] = head._replace(note=note_of(head.size, head.root, key=NEW))

    assert log.field() == "tree head 300, origin"
    assert log.check(restored={OLD.name: NEW.name}) is None
    assert log.field(restored={NEW.name: OLD.name}) == "tree head 300, origin"


def test_a_log_may_be_restored_several_times_and_never_back():
    restored = {"a": "b", "b": "c"}

    assert is_continued(before="a", now="c", restored=restored)
    assert is_continued(before="a", now="a", restored={})
    assert not is_continued(before="c", now="a", restored=restored)
    assert not is_continued(before="a", now="d", restored={"a": "b", "b": "a"})


@pytest.mark.parametrize("seed", range(5))
def test_any_tree_but_the_one_that_was_sealed_is_refused(seed):
    chance = random.Random(seed)
    log = Stored()
    place = chance.randrange(300)
    log.leaves[place] = LeafRow(place, sha256(b"another").digest())
    frontier = Frontier()
    log.nodes = [NodeRow(*node) for row in log.leaves for node in frontier.append(row.leaf or b"")]

    assert log.field() == next(
        f"tree head {head.size}, root" for head in log.heads if head.size > place
    )
