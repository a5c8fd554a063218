"""Tables of what is ordered to be erased, kept and was erased. Read `Redaction`.

`audit.redactions.rows` is the only writer.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from audit.domain.redaction import HoldKind, OrderStatus, Part, TargetKind
from core.kernel import ids, limits


class Redaction(models.Model):
    """An order to erase payloads: who asked, who approved, why, and how far it has come.

    `target_id` is a stream's id or a person's; `seq` and `name` are for an entry (0 and "": all).
    Accounts are named by id, because this table knows no other. `blocked` says in words what an
    approved order waits for, "" if nothing.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    target_kind = models.CharField(max_length=10)
    target_id = models.UUIDField()
    seq = models.BigIntegerField(default=0)
    name = models.TextField(blank=True, default="")
    label = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    basis = models.CharField(max_length=20)
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX)
    reference = models.CharField(max_length=limits.REDACTION_REFERENCE_CHARS_MAX, blank=True)
    status = models.CharField(max_length=10)
    requested_by = models.UUIDField()
    requested_person = models.UUIDField()
    requested_at = models.DateTimeField()
    decided_by = models.UUIDField(null=True)
    decided_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    blocked = models.CharField(max_length=limits.ERROR_CHARS_MAX, blank=True, default="")
    payload_count = models.BigIntegerField(default=0)
    stream_count = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(status__in=[item.value for item in OrderStatus]),
                name="audit_redaction_status_check",
            ),
            models.CheckConstraint(
                condition=Q(target_kind__in=[item.value for item in TargetKind]),
                name="audit_redaction_target_kind_check",
            ),
        )
        indexes: ClassVar = (
            models.Index(
                fields=["id"], condition=Q(status="approved"), name="audit_redaction_approved"
            ),
        )

    def __str__(self) -> str:
        return f"redaction of {self.label}"


class RedactedStream(models.Model):
    """A stream of which something was erased, and by what; the newest place that says so.

    `part` is the part of a period of retention, "" for an order, which erases what it names.
    `entry_seq` is the place in the stream `ledger`, 0 if there was nothing to erase.
    """

    pk = models.CompositePrimaryKey("stream", "part")
    stream = models.UUIDField()
    part = models.CharField(max_length=10, blank=True)
    redaction = models.ForeignKey(
        Redaction, on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    at = models.DateTimeField()
    entry_seq = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        db_table = "audit_redacted_stream"

    def __str__(self) -> str:
        return f"{self.stream} {self.part}"


class Hold(models.Model):
    """What may not be erased, and why. `released_at` ends it; the row stays."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    kind = models.CharField(max_length=10)
    target_id = models.UUIDField()
    label = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX)
    reference = models.CharField(max_length=limits.REDACTION_REFERENCE_CHARS_MAX, blank=True)
    placed_by = models.UUIDField()
    placed_at = models.DateTimeField()
    released_by = models.UUIDField(null=True)
    released_at = models.DateTimeField(null=True)
    release_reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")

    class Meta:
        default_permissions = ()
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(kind__in=[item.value for item in HoldKind]),
                name="audit_hold_kind_check",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | Q(released_by__isnull=False),
                name="audit_hold_released_check",
            ),
        )
        indexes: ClassVar = (
            models.Index(
                fields=["kind", "target_id"],
                condition=Q(released_at__isnull=True),
                name="audit_hold_standing",
            ),
        )

    def __str__(self) -> str:
        return f"hold on {self.label}"


class Retention(models.Model):
    """How long a project keeps the payloads of a part; without a row, for ever.

    `looked_id` is the last stream the keeper has looked at in the pass it is making, in the order
    of their ids, which is that of their making.
    """

    pk = models.CompositePrimaryKey("project_id", "part")
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    part = models.CharField(max_length=10)
    days = models.PositiveIntegerField()
    changed_at = models.DateTimeField()
    changed_by = models.UUIDField()
    looked_id = models.UUIDField(null=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(part__in=[item.value for item in Part]),
                name="audit_retention_part_check",
            ),
            models.CheckConstraint(condition=Q(days__gte=1), name="audit_retention_days_min_check"),
        )

    def __str__(self) -> str:
        return f"{self.part} of {self.project_id} for {self.days} days"
