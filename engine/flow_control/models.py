"""Tables of flow control; each is written by the module its docstring names. Read `Turn`."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.kernel import ids, limits
from engine.domain.plan import OnConflict


class Turn(models.Model):
    """A run's place in its concurrency group; written by `engine.flow_control.turns`.

    Granted to at most as many as the group lets go on at once; `taken_at` is when its run was told.
    The row is gone once its run has closed, so nothing has to be counted back.
    """

    run = models.OneToOneField(
        "engine.Run", on_delete=models.CASCADE, related_name="+", primary_key=True
    )
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    workflow = models.ForeignKey(
        "engine.Workflow", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=limits.NAME_CHARS_MAX)
    run_count_max = models.PositiveSmallIntegerField()
    on_conflict = models.CharField(max_length=20)
    priority = models.SmallIntegerField(default=0)
    since = models.DateTimeField()
    granted_at = models.DateTimeField(null=True)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(on_conflict__in=[item.value for item in OnConflict]),
                name="engine_turn_on_conflict_check",
            ),
            models.CheckConstraint(
                condition=Q(taken_at__isnull=True) | Q(granted_at__isnull=False),
                name="engine_turn_taken_check",
            ),
        )
        indexes: ClassVar = (
            models.Index(
                fields=["project", "name"],
                condition=Q(granted_at__isnull=False),
                name="engine_turn_granted",
            ),
            models.Index(
                fields=["project", "name", "-priority", "since", "run"],
                condition=Q(granted_at__isnull=True),
                name="engine_turn_queue",
            ),
            models.Index(
                fields=["project", "name"],
                condition=Q(granted_at__isnull=True) & ~Q(on_conflict=OnConflict.QUEUE.value),
                name="engine_turn_impatient",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} for {self.run_id}"


class TurnChange(models.Model):
    """A group in which something changed, to be looked at; written by `turns`.

    It is there from the change on until the group was looked at, so a process that dies in between
    leaves it to the sweep. Rows are only inserted and deleted: whoever closes a run waits for
    nobody here.
    """

    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=limits.NAME_CHARS_MAX)
    at = models.DateTimeField()

    class Meta:
        db_table = "engine_turn_change"
        default_permissions = ()
        indexes: ClassVar = (
            models.Index(fields=["project", "name"], name="engine_turn_change_group"),
            models.Index(fields=["at"], name="engine_turn_change_old"),
        )

    def __str__(self) -> str:
        return f"change in {self.name}"


class Pause(models.Model):
    """A workflow, or a whole project, in which no run begins; written by `pauses`."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    workflow = models.ForeignKey(
        "engine.Workflow", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX)
    paused_at = models.DateTimeField()
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["project", "workflow"],
                nulls_distinct=False,
                name="engine_pause_project_workflow_uniq",
            ),
        )

    def __str__(self) -> str:
        return f"pause of {self.workflow_id or self.project_id}"


class Quota(models.Model):
    """How much a project may start; `None` is what the settings say. Written by `quotas`."""

    project = models.OneToOneField(
        "identity.Project", on_delete=models.PROTECT, related_name="+", primary_key=True
    )
    open_run_count_max = models.PositiveIntegerField(null=True)
    hour_start_count_max = models.PositiveIntegerField(null=True)
    day_start_count_max = models.PositiveIntegerField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"quota of {self.project_id}"


class QuotaUse(models.Model):
    """How many runs a project with a quota started in an hour or a day; written by `quotas`."""

    pk = models.CompositePrimaryKey("project_id", "span", "begins_at")
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    span = models.CharField(max_length=4)  # hour or day, of UTC
    begins_at = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        db_table = "engine_quota_use"
        default_permissions = ()
        indexes: ClassVar = (models.Index(fields=["begins_at"], name="engine_quota_use_begin"),)

    def __str__(self) -> str:
        return f"{self.count} in a {self.span}"
