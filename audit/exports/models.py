"""The tables of exports. Read `Export`; `audit.exports.store` is their only writer."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from core.kernel import ids, limits


class ExportStatus(models.TextChoices):
    """Where an export stands."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # it was ready, and its file is gone


class Export(models.Model):
    """One export somebody asked for, and how far it has come.

    `scope` is the identity scope that was asked about, null for everything; `covered` are the
    scopes the requester saw the audit of when asking, null for all. Of `tree_size`,
    `unsealed_count` and `total_count` nothing is known until it began. `turn` counts how often it
    was taken: a worker of an earlier turn can write no more.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    kind = models.CharField(max_length=10)
    subject = models.CharField(max_length=60, blank=True, default="")
    scope = models.UUIDField(null=True)
    covered = ArrayField(models.UUIDField(), null=True)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    format = models.CharField(max_length=20)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    idempotency_key = models.CharField(
        max_length=limits.IDEMPOTENCY_KEY_CHARS_MAX, blank=True, default=""
    )
    request_digest = models.BinaryField()

    status = models.CharField(
        max_length=9, choices=ExportStatus.choices, default=ExportStatus.QUEUED
    )
    turn = models.PositiveIntegerField(default=0)
    restart_count = models.PositiveSmallIntegerField(default=0)
    tree_size = models.BigIntegerField(null=True)
    pinned_entry = models.BigIntegerField(null=True)  # the newest of the ledger's stream by then
    unsealed_count = models.BigIntegerField(null=True)
    total_count = models.BigIntegerField(null=True)
    done_count = models.BigIntegerField(default=0)
    payload_count = models.BigIntegerField(default=0)
    is_complete = models.BooleanField(null=True)
    size_bytes = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True, default="")
    error_code = models.CharField(max_length=60, blank=True, default="")

    created_at = models.DateTimeField(auto_now_add=True)
    hinted_at = models.DateTimeField(auto_now_add=True)
    lease_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="audit_export_requested_by_idempotency_key_uniq",
            ),
        )
        indexes = (
            models.Index(fields=["requested_by", "id"], name="audit_export_requested_id_idx"),
            # What the sweep looks at: a handful of rows, however many there were.
            models.Index(
                fields=["status"],
                condition=Q(status__in=["queued", "running", "ready"]),
                name="audit_export_status_idx",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class ExportPart(models.Model):
    """A part of an export that is written. A worker that takes over goes on after the last one.

    `files` describe what it wrote, in order: `audit.exports.files.PartFile` as JSON.
    """

    pk = models.CompositePrimaryKey("export_id", "number")
    export = models.ForeignKey(
        Export, on_delete=models.CASCADE, related_name="parts", db_index=False
    )
    number = models.PositiveIntegerField()
    last_leaf = models.BigIntegerField()
    entry_count = models.PositiveIntegerField()
    payload_count = models.PositiveIntegerField()
    files = models.JSONField()

    class Meta:
        default_permissions = ()
        db_table = "audit_export_part"

    def __str__(self) -> str:
        return f"{self.export_id}/{self.number}"
