"""The engine's tables. Read `Run` first: its row is the head of the run's ledger stream.

Only `engine.store` writes `Run`, `Worker` and `Dedupe`; only `engine.services` writes `Workflow`
and `Version`. Every other table has one module that writes it, named in its docstring.
"""

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Func, Q

from core.kernel import ids, limits
from engine.domain.state import RunStatus
from engine.external.models import Claim
from engine.flow_control.models import Pause, Quota, QuotaUse, Turn, TurnChange
from engine.gates.models import Cache, Circuit, Rate
from engine.reruns.models import Lineage, Rerunner
from engine.secrets.models import Secret  # noqa: F401 - a table with a module of its own
from engine.triggers.models import Firing, Trigger, Window

# Tables with a module of their own.
__all__ = (
    "Cache",
    "Circuit",
    "Claim",
    "Firing",
    "Lineage",
    "Pause",
    "Quota",
    "QuotaUse",
    "Rate",
    "Rerunner",
    "Trigger",
    "Turn",
    "TurnChange",
    "Window",
)

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

    A run that another one called has a `parent` and the key of the calling step there; once its end
    is on the parent's record, or nobody waits for it, it is `parent_reported`. A run that goes on
    where another ended as continued has a `predecessor`, and may have the events that reached the
    first of them from `events_since` on (empty: since it was created).
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
    parent_key = models.CharField(
        max_length=limits.STEP_KEY_CHARS_MAX, blank=True, default="", db_default=""
    )
    parent_reported = models.BooleanField(default=False, db_default=False)
    predecessor = models.ForeignKey("self", on_delete=models.PROTECT, related_name="+", null=True)
    events_since = models.DateTimeField(null=True)
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
    redacted_at = models.DateTimeField(null=True)  # values of its record were erased

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
                fields=["workflow"], condition=Q(status="READY"), name="engine_run_ready_workflow"
            ),
            models.Index(
                fields=["worker"], condition=Q(status="RUNNING"), name="engine_run_running"
            ),
            models.Index(
                fields=["deadline_at"],
                condition=Q(deadline_at__isnull=False) & ~Q(status="CLOSED"),
                name="engine_run_deadline",
            ),
            models.Index(fields=["-id"], condition=~Q(status="CLOSED"), name="engine_run_open"),
            models.Index(
                fields=["closed_at"],
                condition=Q(status="CLOSED", parent__isnull=False, parent_reported=False),
                name="engine_run_unreported",
            ),
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
    """A process that drives runs, alive until `lease_until`.

    `queues` are the labels whose tasks it takes. `hung` lists the attempts for which it ended
    itself: `[{"run", "key", "attempt", "kind", "progress"}]`, kind `timeout` or `heartbeat`.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    name = models.CharField(max_length=200)
    lease_until = models.DateTimeField()
    versions = models.JSONField(default=dict)
    queues = models.JSONField(default=list, db_default=[])
    hung = models.JSONField(default=list, db_default=[])
    started_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=["lease_until"], name="engine_worker_lease"),)

    def __str__(self) -> str:
        return self.name


class Wait(models.Model):
    """A step or state that waits for an event; written by `engine.inbox`.

    `correlate` is what the event's data must hold. `shape` is the digest of its field names, so
    that the distinct ones of a type are found; `match` that of its names and values, empty where
    a value is null, because null matches nothing.
    """

    pk = models.CompositePrimaryKey("run_id", "key")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX)
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    type = models.CharField(max_length=limits.EVENT_TYPE_CHARS_MAX)
    correlate = models.JSONField()
    shape = models.BinaryField()
    match = models.BinaryField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = (
            models.Index(fields=["project", "type", "shape", "match"], name="engine_wait_match"),
        )

    def __str__(self) -> str:
        return f"{self.key} waits for {self.type}"


class Inbox(models.Model):
    """An event of a project or of one `run`; written by `engine.inbox`. `source`: who sent it."""

    id = models.UUIDField(primary_key=True, editable=False)
    project = models.ForeignKey(
        "identity.Project", models.PROTECT, related_name="+", db_index=False
    )
    run = models.ForeignKey("Run", models.PROTECT, related_name="+", db_index=False, null=True)
    type = models.CharField(max_length=limits.EVENT_TYPE_CHARS_MAX)
    data = models.JSONField()
    source = models.JSONField()
    received_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = (
            models.Index(fields=["project", "type", "received_at"], name="engine_inbox_type"),
            GinIndex(fields=["data"], opclasses=["jsonb_path_ops"], name="engine_inbox_data"),
            models.Index(fields=["expires_at"], name="engine_inbox_expiry"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class Delivery(models.Model):
    """An event that a wait may have; written by `engine.inbox`. The wait decides when asked."""

    pk = models.CompositePrimaryKey("event_id", "run_id", "key")
    event = models.ForeignKey(Inbox, on_delete=models.PROTECT, related_name="+", db_index=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX)
    due_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=["due_at"], name="engine_delivery_due"),)

    def __str__(self) -> str:
        return f"{self.event_id} for {self.key}"


class Slot(models.Model):
    """A place in the queue for a mutex; written by `engine.gates.mutex`.

    Granted to one at a time; `taken_at` is when its run found out.
    """

    pk = models.CompositePrimaryKey("project_id", "name", "run_id", "key")
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=limits.NAME_CHARS_MAX)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX)
    priority = models.SmallIntegerField(default=0)
    since = models.DateTimeField()
    granted_at = models.DateTimeField(null=True)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(granted_at__isnull=False),
                name="engine_slot_granted_uniq",
            ),
            models.CheckConstraint(
                condition=Q(taken_at__isnull=True) | Q(granted_at__isnull=False),
                name="engine_slot_taken_check",
            ),
        )
        indexes = (
            models.Index(
                fields=["granted_at"],
                condition=Q(granted_at__isnull=False, taken_at__isnull=True),
                name="engine_slot_untaken",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} for {self.key}"


class TaskStatus(models.TextChoices):
    """How far an attempt of another queue has come."""

    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"
    LOST = "lost"


class Task(models.Model):
    """An attempt that workers of another queue execute; written by `engine.remote`.

    `arguments` and `ended` are canonical JSON; `ended` is `{"result"}` or `{"error", "message"}`.
    `due_at` of an open one is when workers are hinted again.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX)
    attempt = models.IntegerField()
    queue = models.CharField(max_length=limits.QUEUE_CHARS_MAX)
    action = models.CharField(max_length=200)
    arguments = models.BinaryField()
    timeout_seconds = models.FloatField()
    heartbeat_seconds = models.FloatField(null=True)
    round = models.PositiveIntegerField(default=1, db_default=1)
    status = models.CharField(
        max_length=7, choices=TaskStatus.choices, default=TaskStatus.OPEN, db_default="open"
    )
    worker = models.UUIDField(null=True)
    ended = models.BinaryField(null=True)
    due_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["run", "key", "attempt"], name="engine_task_attempt_uniq"
            ),
            models.CheckConstraint(
                condition=Q(status__in=TaskStatus.values), name="engine_task_status_check"
            ),
            models.CheckConstraint(
                condition=~Q(status="claimed") | Q(worker__isnull=False),
                name="engine_task_claimed_worker_check",
            ),
        )
        indexes = (
            models.Index(
                fields=["queue", "id"], condition=Q(status="open"), name="engine_task_open"
            ),
            models.Index(fields=["due_at"], condition=Q(status="open"), name="engine_task_due"),
            models.Index(
                fields=["worker"], condition=Q(status="claimed"), name="engine_task_claimed"
            ),
        )

    def __str__(self) -> str:
        return f"{self.key} attempt {self.attempt} on {self.queue}"
