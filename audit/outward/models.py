"""Tables of what left the ledger: how far each anchor and sink is, and what anchors answered.

`audit.outward.rows` is their only writer.
"""

from django.db import models


class OutwardCursor(models.Model):
    """How far an anchor or a sink is.

    `position` is a tree size: a sink has been sent every leaf below it, an anchor has the tree head
    of that size. `mark` is what was there then: the last leaf sent, or the root anchored. It never
    goes back but by a new `generation`, which is on record in the ledger. `aim` is where the batch
    ends that is being sent, so that trying again sends the same one.
    """

    pk = models.CompositePrimaryKey("role", "name", "origin")
    role = models.TextField()  # anchor or sink
    name = models.TextField()
    origin = models.TextField()  # of the log; "" for a sink, which goes on in a new one
    position = models.BigIntegerField(default=0)
    mark = models.BinaryField(null=True)
    aim = models.BigIntegerField(null=True)
    generation = models.IntegerField(default=0)
    state = models.TextField()  # going, stopped or disputed
    attempt_count = models.IntegerField(default=0)  # since the last success
    next_at = models.DateTimeField()
    moved_at = models.DateTimeField(null=True)  # of the last success
    last_error = models.TextField(default="")
    error_at = models.DateTimeField(null=True)
    told_size = models.BigIntegerField(null=True)  # the size an anchor knows that we do not
    told_root = models.BinaryField(null=True)

    class Meta:
        default_permissions = ()
        db_table = "audit_outward_cursor"

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


class AnchorReceipt(models.Model):
    """That an anchor took a tree head, and what it answered: for a witness, its cosignatures."""

    id = models.BigAutoField(primary_key=True)
    anchor = models.TextField()
    kind = models.TextField()
    origin = models.TextField()
    tree_size = models.BigIntegerField()
    root = models.BinaryField()  # SHA-256, 32 bytes
    answer = models.TextField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        db_table = "audit_anchor_receipt"
        constraints = (
            models.UniqueConstraint(
                fields=["anchor", "origin", "tree_size"],
                name="audit_anchor_receipt_anchor_origin_size_uniq",
            ),
        )
        indexes = (models.Index(fields=["tree_size"], name="audit_anchor_receipt_size_idx"),)

    def __str__(self) -> str:
        return f"{self.anchor} {self.tree_size}"
