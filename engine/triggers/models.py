"""Tables of what starts runs by itself; written by `engine.triggers.rows`. Read `Trigger`."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from core.kernel import ids, limits
from engine.domain.triggers import Trigger as Kind


class Trigger(models.Model):
    """An automatic trigger of a published version.

    `position` is its place in the plan's `automatic`. A version that is published ends those of the
    one before (`ended_at`); the row stays until its firings are through.
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

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["version", "position"], name="engine_trigger_version_position_uniq"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[Kind.SCHEDULE.value, Kind.EVENT.value]),
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
