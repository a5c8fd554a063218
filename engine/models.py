"""The engine's tables. Read `Run` first: its row is the head of the run's ledger stream.

Only `engine.store` writes `Run`, `Worker` and `Dedupe`; only `engine.services` writes the others.
"""

from django.conf import settings
from django.db import models
from django.db.models import Func, Q

from core.kernel import ids
from engine.domain.state import RunStatus

EMPTY_HEAD = bytes(32)
_STATUSES = [(item.value, item.value) for item in RunStatus]


class NextNumber(Func):
    """The next value of a sequence, for human-readable numbers."""

    template = "nextval('engine_run_number_seq')"
    output_field = models.BigIntegerField()


class Workflow(models.Model):
    """A name for versions, inside a project. `seq` and `head` are those of its ledger stream."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="workflows"
    )
    scope = models.OneToOneField(
        "identity.Scope", on_delete=models.PROTECT, related_name="workflow"
    )
    slug = models.CharField(max_length=100)
    title = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True)
    seq = models.BigIntegerField(default=0)
    head = models.BinaryField(default=EMPTY_HEAD)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["project", "slug"], name="engine_workflow_project_slug_uniq"
            ),
        )

    def __str__(self) -> str:
        return self.slug


class VersionStatus(models.TextChoices):
    """How far a version has come."""

    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class Version(models.Model):
    """One immutable revision of a workflow's definition.

    Content never changes; only `status` and its instants move (a trigger sees to it). `digest` is
    the plan's, 32 bytes; `source_digest` that of the text.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="versions")
    rev = models.PositiveIntegerField()
    label = models.CharField(max_length=50)
    digest = models.BinaryField()
    source_digest = models.BinaryField()
    source = models.TextField()
    plan = models.JSONField()
    inputs_schema = models.JSONField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    message = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField()
    status = models.CharField(
        max_length=10, choices=VersionStatus.choices, default=VersionStatus.DRAFT
    )
    published_at = models.DateTimeField(null=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["workflow", "rev"], name="engine_version_workflow_rev_uniq"
            ),
            models.CheckConstraint(
                condition=Q(status__in=VersionStatus.values), name="engine_version_status_check"
            ),
        )
        indexes = (
            models.Index(
                fields=["workflow", "-rev"],
                condition=Q(status="published"),
                name="engine_version_published",
            ),
        )

    def __str__(self) -> str:
        return f"{self.workflow_id} rev {self.rev}"


class Run(models.Model):
    """One run of a version; the guard row of its stream (`seq`, `head`).

    `epoch` counts takeovers: a driver that holds an older one cannot append. `fault_count` counts
    drivers in a row that a bug stopped. `wake_at`: for WAITING the next timer, for READY the
    instant it became so. `request_digest` is what `idempotency_key` was first used with.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    number = models.BigIntegerField(db_default=NextNumber())
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="runs")
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="runs")
    initiator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    on_behalf_of = models.ForeignKey(
        "identity.Person", on_delete=models.PROTECT, related_name="+", null=True
    )
    rerunner = models.ForeignKey(
        "identity.Person", on_delete=models.PROTECT, related_name="+", null=True
    )
    agent_owner = models.ForeignKey(
        "identity.Person", on_delete=models.PROTECT, related_name="+", null=True
    )
    parent = models.ForeignKey("self", on_delete=models.PROTECT, related_name="+", null=True)
    title = models.CharField(max_length=300)
    status = models.CharField(max_length=8, choices=_STATUSES)
    outcome = models.CharField(max_length=20, blank=True, default="")
    epoch = models.IntegerField(default=0)
    fault_count = models.PositiveSmallIntegerField(default=0, db_default=0)
    worker = models.UUIDField(null=True)
    seq = models.BigIntegerField()
    head = models.BinaryField()
    wake_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    priority = models.SmallIntegerField(default=0)
    concurrency_key = models.CharField(max_length=200, blank=True, default="")
    idempotency_key = models.CharField(max_length=200, blank=True, default="")
    request_digest = models.BinaryField()
    snapshot_seq = models.BigIntegerField(default=0)
    snapshot = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["number"], name="engine_run_number_uniq"),
            models.UniqueConstraint(
                fields=["workflow", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="engine_run_workflow_idempotency_key_uniq",
            ),
            models.CheckConstraint(
                condition=Q(status__in=list(RunStatus)),
                name="engine_run_status_check",
            ),
            models.CheckConstraint(
                condition=Q(status="RUNNING", worker__isnull=False) | ~Q(status="RUNNING"),
                name="engine_run_running_worker_check",
            ),
        )
        indexes = (
            models.Index(fields=["workflow", "-id"], name="engine_run_workflow"),
            models.Index(
                fields=["wake_at"],
                condition=Q(status="WAITING", wake_at__isnull=False),
                name="engine_run_due",
            ),
            models.Index(fields=["wake_at"], condition=Q(status="READY"), name="engine_run_ready"),
            models.Index(
                fields=["worker"], condition=Q(status="RUNNING"), name="engine_run_running"
            ),
            models.Index(
                fields=["deadline_at"],
                condition=Q(deadline_at__isnull=False) & ~Q(status="CLOSED"),
                name="engine_run_deadline",
            ),
            models.Index(fields=["-id"], condition=~Q(status="CLOSED"), name="engine_run_open"),
        )

    def __str__(self) -> str:
        return f"run {self.number}"


class Dedupe(models.Model):
    """A signal that has counted for a run, so that it counts once."""

    pk = models.CompositePrimaryKey("run_id", "key")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class Worker(models.Model):
    """A process that drives runs, alive until `lease_until`."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    name = models.CharField(max_length=200)
    lease_until = models.DateTimeField()
    versions = models.JSONField(default=dict)
    started_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=["lease_until"], name="engine_worker_lease"),)

    def __str__(self) -> str:
        return self.name
