"""The ledger's tables. Read `Entry` first; `audit.store` is their only writer.

Entries, leaves and tree heads are append-only by trigger, see `audit.immutability`. Every column of
`Entry` but `id` is derived from `body` and checked against it by `manage.py verify_ledger`.
"""

from django.db import models
from django.db.models.functions import Substr

from audit.domain.entry import EMPTY_HEAD
from audit.exports.models import Export, ExportPart
from audit.outward.models import AnchorReceipt, OutwardCursor
from audit.redactions.models import Hold, RedactedStream, Redaction, Retention

# Tables with a module of their own.
__all__ = (
    "AnchorReceipt",
    "Export",
    "ExportPart",
    "Hold",
    "OutwardCursor",
    "RedactedStream",
    "Redaction",
    "Retention",
)


class Entry(models.Model):
    """One entry of one stream: its canonical bytes, and columns to find it by.

    `id` comes from a sequence without cache, drawn under the stream's guard row, so that within a
    stream it grows with `seq`.
    """

    id = models.BigAutoField(primary_key=True)
    stream = models.UUIDField()
    seq = models.BigIntegerField()
    kind = models.TextField()
    at = models.DateTimeField()
    actor = models.TextField()
    subject = models.TextField()
    scope = models.UUIDField(null=True)  # the identity scope whose readers may see the entry
    leaf = models.BinaryField()  # SHA-256, 32 bytes
    body = models.BinaryField()  # the canonical bytes, at most 65,535

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["stream", "seq"], name="audit_entry_stream_seq_uniq"),
        )
        indexes = (
            models.Index(
                fields=["scope", "id"],
                name="audit_entry_scope_id_idx",
                condition=models.Q(scope__isnull=False),
            ),
            # What readers narrow lists to; `id` behind it, because lists come newest first.
            models.Index(fields=["kind", "id"], name="audit_entry_kind_id_idx"),
            models.Index(fields=["actor", "id"], name="audit_entry_actor_id_idx"),
            models.Index(fields=["subject", "id"], name="audit_entry_subject_id_idx"),
            # Who has a hash, or its beginning, finds the entry. Only the first bytes, because keys
            # without an order are what an index costs an append.
            models.Index(Substr("leaf", 1, 8), name="audit_entry_leaf_start_idx"),
        )

    def __str__(self) -> str:
        return f"{self.stream}/{self.seq} {self.kind}"


class Payload(models.Model):
    """A value an entry commits to. Redaction erases `salt` and `value`; nothing else may change."""

    pk = models.CompositePrimaryKey("entry_id", "name")
    entry = models.ForeignKey(
        Entry,
        on_delete=models.PROTECT,
        related_name="payloads",
        db_index=False,  # the primary key begins with it
    )
    name = models.TextField()
    salt = models.BinaryField(null=True)  # 32 random bytes
    value = models.BinaryField(null=True)  # JCS bytes

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.entry_id}/{self.name}"


class Pending(models.Model):
    """An entry that waits for the sealer. A row leaves only once its leaf exists."""

    entry = models.OneToOneField(
        Entry, on_delete=models.PROTECT, primary_key=True, related_name="pending"
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.entry_id)


class Leaf(models.Model):
    """The place of an entry in the global tree: dense from 0, given once."""

    leaf_index = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="sealed")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.leaf_index)


class TreeHead(models.Model):
    """A signed statement about the first `tree_size` leaves. `note` is the signed text."""

    tree_size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField()  # SHA-256, 32 bytes
    note = models.TextField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        db_table = "audit_tree_head"

    def __str__(self) -> str:
        return str(self.tree_size)


class Node(models.Model):
    """The root of a complete subtree of 256 ** `level` leaves, the `index`th of its level.

    Level 0 is not here: those hashes are the entries' own.
    """

    pk = models.CompositePrimaryKey("level", "index")
    level = models.SmallIntegerField()  # from 1
    index = models.BigIntegerField()
    hash = models.BinaryField()  # SHA-256, 32 bytes

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.level}/{self.index}"


class Key(models.Model):
    """A public key that ever signed tree heads. The private one is in no database."""

    key_id = models.TextField(primary_key=True)  # 8 hex digits
    name = models.TextField()
    vkey = models.TextField(unique=True)  # its line, as C2SP signed-note writes it
    added_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.vkey


class Stream(models.Model):
    """The guard row of a stream that has none of its own elsewhere: where it ends now."""

    id = models.UUIDField(primary_key=True)
    name = models.TextField(unique=True)
    seq = models.BigIntegerField(default=0)
    head = models.BinaryField(default=EMPTY_HEAD)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
