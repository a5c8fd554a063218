"""Tables of what starts runs by itself; written by `engine.triggers.rows`. Read `Trigger`."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.kernel import ids, limits
from engine.domain.triggers import AUTOMATIC_KINDS
from engine.domain.triggers import Trigger as Kind


class Trigger(models.Model):
    """An automatic trigger of a published version.

    `position` is its place in the plan's `automatic`, `name` what addresses call it; `type` is that
    of the events it hears, or the workflow whose ends it waits for. A version that is published
    ends those of the one before (`ended_at`); the row stays until its firings are through. One that
    somebody paused (`paused_at`) is not pulled; the next version's of the same name is paused too.
    `refused_seq` is the place of the last refusal in the workflow's stream, 0 if there is none.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    workflow = models.ForeignKey("engine.Workflow", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey("engine.Version", on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=20)
    type = models.CharField(max_length=limits.EVENT_TYPE_CHARS_MAX, blank=True, default="")
    next_at = models.DateTimeField(null=True)  # of a schedule
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    fired_at = models.DateTimeField(null=True)  # when it last started a run
    fired_count = models.BigIntegerField(default=0)
    name = models.CharField(max_length=64, default="", db_default="")
    paused_at = models.DateTimeField(null=True)
    last_run = models.ForeignKey(
        "engine.Run", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    refused_at = models.DateTimeField(null=True)
    refused_seq = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["version", "position"], name="engine_trigger_version_position_uniq"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=sorted(kind.value for kind in AUTOMATIC_KINDS)),
                name="engine_trigger_kind_check",
            ),
        )
        indexes: ClassVar = (
            models.Index(
                fields=["project", "type"],
                condition=Q(kind=Kind.EVENT.value, ended_at=None),
                name="engine_trigger_type",
            ),
            models.Index(
                fields=["project", "type"],
                condition=Q(kind=Kind.RUN_FINISHED.value, ended_at=None),
                name="engine_trigger_finish",
            ),
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="engine_trigger_due"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.position} of {self.version_id}"


class Firing(models.Model):
    """A trigger that has been pulled and not yet looked at. It is gone once it was."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE, related_name="firings")
    heard = models.JSONField()  # what expressions see as `event`
    source = models.JSONField()  # who sent it
    due_at = models.DateTimeField()
    created_at = models.DateTimeField()
    attempt_count = models.PositiveSmallIntegerField(default=0)

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (models.Index(fields=["due_at"], name="engine_firing_due"),)

    def __str__(self) -> str:
        return f"firing of {self.trigger_id}"


class Window(models.Model):
    """A value of a trigger's `dedupe` that keeps other events out until `ends_at`.

    It is the workflow's, so that it outlasts the version whose trigger it was.
    """

    pk = models.CompositePrimaryKey("workflow_id", "value")
    workflow = models.ForeignKey(
        "engine.Workflow", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    value = models.BinaryField(max_length=32)  # SHA-256 of it, of the type and the expression
    ends_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (models.Index(fields=["ends_at"], name="engine_window_end"),)

    def __str__(self) -> str:
        return f"window of {self.workflow_id}"


class Endpoint(models.Model):
    """The secrets of a webhook's address, sealed. It is the workflow's, so it outlasts versions.

    `made_by` counts as the sender of what is signed with `sealed`; `previous_…` is the secret
    before, which holds until `previous_ends_at`.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    workflow = models.ForeignKey(
        "engine.Workflow", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=64)
    sealed = models.TextField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    made_at = models.DateTimeField()
    previous_sealed = models.TextField(blank=True, default="", db_default="")
    previous_made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    previous_ends_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["workflow", "name"], name="engine_endpoint_workflow_name_uniq"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} of {self.workflow_id}"


class Tally(models.Model):
    """How many refusals of one kind a workflow's record has taken, and left out, until `ends_at`.

    `since` is when the first came. `kind` is `door` for requests that nobody signed, so that a
    stranger takes no place from what a sender or author should read.
    """

    pk = models.CompositePrimaryKey("workflow_id", "kind")
    workflow = models.ForeignKey(
        "engine.Workflow", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=10)
    since = models.DateTimeField()
    ends_at = models.DateTimeField()
    noted_count = models.BigIntegerField()
    left_out_count = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (models.Index(fields=["ends_at"], name="engine_tally_end"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.workflow_id}"


class Backfill(models.Model):
    """A period whose instants of a schedule somebody wants made up for.

    `source` says who asked, as of an event. At most `run_count_max` of its runs are open at once.
    With `again`, instants that had a run have another; otherwise they are among `skipped_count`.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    workflow = models.ForeignKey(
        "engine.Workflow", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=64)
    source = models.JSONField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    since = models.DateTimeField()
    until = models.DateTimeField()
    again = models.BooleanField()
    run_count_max = models.PositiveSmallIntegerField()
    skipped_count = models.IntegerField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    is_cancelled = models.BooleanField(default=False, db_default=False)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["workflow", "name"],
                condition=Q(ended_at=None),
                name="engine_backfill_open_uniq",
            ),
        )
        indexes: ClassVar = (
            models.Index(fields=["workflow", "name", "-id"], name="engine_backfill_trigger"),
        )

    def __str__(self) -> str:
        return f"backfill of {self.name} of {self.workflow_id}"


class Occurrence(models.Model):
    """An instant of a schedule that has a run, or that a backfill is to make up for.

    `status`: `waiting`, `pulled` (a firing is there), `started`, `refused` (the workflow's record
    says why) or `cancelled`.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    workflow = models.ForeignKey(
        "engine.Workflow", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=64)
    due_at = models.DateTimeField()
    status = models.CharField(max_length=10)
    backfill = models.ForeignKey(
        Backfill, on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    run = models.ForeignKey(
        "engine.Run", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (
            models.Index(fields=["workflow", "name", "due_at"], name="engine_occurrence_due"),
            models.Index(
                fields=["backfill", "due_at"],
                condition=Q(backfill__isnull=False),
                name="engine_occurrence_backfill",
            ),
        )

    def __str__(self) -> str:
        return f"{self.due_at} of {self.name}: {self.status}"
