"""A log that a test fills and seals itself, with a key it knows. Read `write` and `seal`."""

from django.db import connection, transaction

from audit import store
from audit.domain import notes
from audit.domain.checkpoints import Checkpoint, write_checkpoint
from audit.domain.merkle import TILE_WIDTH, tree_root
from audit.models import Key, TreeHead
from core.kernel.clock import SYSTEM_CLOCK
from tests.fakes.drafts import draft

ORIGIN = "countersign.example/ledger"
KEY = notes.SigningKey.generate("countersign.example/ledger", seed=b"k" * 32)


def write(count=1, *, stream="access", **changes):
    """Append entries that nobody has sealed yet."""
    with transaction.atomic():
        for number in range(count):
            store.append(stream=stream, drafts=[draft(**{"data": {"n": number}, **changes})])


def seal(*, key=KEY, origin=ORIGIN):
    """Seal what waits, as the sealer does, and sign the new head; return its size."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_leaf")
        start = cursor.fetchone()[0]
        cursor.execute(
            """INSERT INTO audit_leaf (leaf_index, entry_id)
               SELECT %s + row_number() OVER (ORDER BY entry_id) - 1, entry_id
               FROM audit_pending""",
            (start,),
        )
        cursor.execute("DELETE FROM audit_pending")
        leaves = list_leaves()
        nodes = [
            (1, k, tree_root(leaves[k * TILE_WIDTH : (k + 1) * TILE_WIDTH]))
            for k in range(start // TILE_WIDTH, len(leaves) // TILE_WIDTH)
        ]
        cursor.executemany("INSERT INTO audit_node (level, index, hash) VALUES (%s, %s, %s)", nodes)
    add_head(len(leaves), tree_root(leaves), key=key, origin=origin)
    return len(leaves)


def sign_head(size, root, *, key=KEY, origin=ORIGIN):
    """Return a signed tree head, true or not."""
    text = write_checkpoint(Checkpoint(origin=origin, size=size, root=root))
    return notes.write_note(notes.Note(text=text, signatures=(key.sign(text),)))


def add_head(size, root, *, key=KEY, origin=ORIGIN):
    """Store a signed tree head."""
    now = SYSTEM_CLOCK.now()
    Key.objects.get_or_create(
        key_id=key.verifier.key_id.hex(),
        defaults={"name": key.name, "vkey": key.verifier.text, "added_at": now},
    )
    note = sign_head(size, root, key=key, origin=origin)
    TreeHead.objects.create(tree_size=size, root=root, note=note, at=now)


def list_leaves():
    """Return the leaf hashes in the order of the log."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.leaf FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id"
            " ORDER BY l.leaf_index"
        )
        return [bytes(row[0]) for row in cursor.fetchall()]
