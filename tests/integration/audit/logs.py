"""A log that a test seals itself: the smallest sealer there can be, without the real one's care."""

from audit.domain.checkpoints import Checkpoint, write_checkpoint
from audit.domain.merkle import Frontier
from audit.domain.notes import Note, SigningKey, write_note
from audit.models import Entry, Leaf, Node, Pending, TreeHead
from audit.stored_hashes import make_tree
from tests.fakes.drafts import AT

ORIGIN = "ledger.example/test"
KEY = SigningKey.generate(ORIGIN, seed=bytes(range(32)))


def seal(*, count=None):
    """Seal the entries that wait, all or the first few; return the tree head's size."""
    size = Leaf.objects.count()
    frontier = Frontier(make_tree(size=size))
    waiting = list(Pending.objects.order_by("pk").values_list("pk", flat=True)[:count])
    leaves = dict(Entry.objects.filter(pk__in=waiting).values_list("pk", "leaf"))
    nodes = [node for pk in waiting for node in frontier.append(bytes(leaves[pk]))]
    Leaf.objects.bulk_create(
        Leaf(leaf_index=size + place, entry_id=pk) for place, pk in enumerate(waiting)
    )
    Node.objects.bulk_create(
        Node(level=level, index=index, hash=hash_) for level, index, hash_ in nodes
    )
    Pending.objects.filter(pk__in=waiting).delete()
    text = write_checkpoint(Checkpoint(origin=ORIGIN, size=frontier.size, root=frontier.root()))
    note = write_note(Note(text=text, signatures=(KEY.sign(text),)))
    TreeHead.objects.create(tree_size=frontier.size, root=frontier.root(), note=note, at=AT)
    return frontier.size
