"""The tables of people deciding. Read `Request` first: its row heads the request's ledger stream.

Only `approvals.store` writes requests, rounds, stages, audiences, exclusions and votes, and only
`approvals.services.outbox` writes the outbox. Votes are append-only by trigger. Persons and
accounts are referenced with PROTECT: two deleted voters must never merge into one.
"""

from django.conf import settings
from django.db import models
from django.db.models import Func, Q

from approvals.domain.decision import Closure
from approvals.domain.quorum import Answer, Choice
from core.kernel import ids, limits
from engine.domain.verbs import WaitOutcome

EMPTY_HEAD = bytes(32)


class NextNumber(Func):
    """The next human-readable number of a request."""

    template = "nextval('approvals_request_number_seq')"
    output_field = models.BigIntegerField()


class RequestStatus(models.TextChoices):
    """Whether people are still asked."""

    OPEN = "open"
    CLOSED = "closed"


class StageStatus(models.TextChoices):
    """Where one stage stands. `ended`: the request closed before the stage was decided."""

    WAITING = "waiting"
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    ENDED = "ended"


class Channel(models.TextChoices):
    """How a notice reaches its recipient."""

    EMAIL = "email"


class DeliveryStatus(models.TextChoices):
    """What became of a notice."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"  # given up; that is on record, and the request shows it
    DROPPED = "dropped"  # no longer worth sending


class Request(models.Model):
    """One approval request: of a step of a run, or standing alone; or one question about a step.

    `kind` is `question` for the latter and never otherwise; `requester` is then who started the
    run, and `if_approved` and `if_rejected` are empty.

    The columns from `rule` on hold what stood when the current round opened and never change
    within it, except `form_values`, which the first approval gives, and `shown_digest`, which
    follows. `seq` and `head` are those of the request's ledger stream.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    number = models.BigIntegerField(db_default=NextNumber())
    run = models.ForeignKey(
        "engine.Run", on_delete=models.PROTECT, related_name="requests", null=True, db_index=False
    )
    step_key = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX, blank=True, default="")
    scope = models.ForeignKey(
        "identity.Scope", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    project_scope = models.ForeignKey(
        "identity.Scope", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    project_slug = models.CharField(max_length=100)
    workflow_slug = models.CharField(max_length=100, blank=True, default="")
    run_number = models.BigIntegerField(null=True)
    run_title = models.CharField(max_length=300, blank=True, default="")
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    requester_person = models.ForeignKey(
        "identity.Person", on_delete=models.PROTECT, related_name="+"
    )

    round = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=6, choices=RequestStatus.choices)
    outcome = models.CharField(max_length=20, blank=True, default="")
    closure = models.CharField(max_length=10, blank=True, default="")
    blocked = models.BooleanField(default=False)

    rule = models.JSONField()
    variables = models.JSONField(default=dict)
    notes = models.JSONField(default=list)
    version_digest = models.BinaryField()
    version_rev = models.PositiveIntegerField(null=True)
    title = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    kind = models.CharField(max_length=10)
    risk = models.CharField(max_length=6)
    amount_value = models.BigIntegerField(null=True)
    amount_currency = models.CharField(max_length=3, blank=True, default="")
    if_approved = models.CharField(max_length=limits.REQUEST_LINE_CHARS_MAX)
    if_rejected = models.CharField(max_length=limits.REQUEST_LINE_CHARS_MAX)
    confirm = models.CharField(max_length=limits.REQUEST_LINE_CHARS_MAX, blank=True, default="")
    subject = models.JSONField()
    form_schema = models.JSONField(null=True)
    form_values = models.JSONField(null=True)
    shown_digest = models.BinaryField()

    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    closed_by_name = models.CharField(max_length=limits.TITLE_CHARS_MAX, blank=True, default="")
    redacted_at = models.DateTimeField(null=True)  # what it showed was erased
    seq = models.BigIntegerField(default=0)
    head = models.BinaryField(default=EMPTY_HEAD)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["number"], name="approvals_request_number_uniq"),
            # A step that begins anew, or fails again, asks anew: what was decided stays as it is.
            models.UniqueConstraint(
                fields=["run", "step_key"],
                condition=Q(run__isnull=False, status="open"),
                name="approvals_request_run_step_key_open_uniq",
            ),
            models.CheckConstraint(
                condition=Q(status__in=RequestStatus.values),
                name="approvals_request_status_check",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=RequestStatus.OPEN, outcome="", closure="", closed_at__isnull=True
                )
                | Q(
                    status=RequestStatus.CLOSED,
                    outcome__in=[*(item.value for item in WaitOutcome), *Answer],
                    closure__in=[item.value for item in Closure],
                    closed_at__isnull=False,
                ),
                name="approvals_request_outcome_check",
            ),
        )
        indexes = (
            models.Index(fields=["run", "step_key"], name="approvals_request_run_step"),
            models.Index(
                fields=["expires_at"],
                condition=Q(status="open", expires_at__isnull=False),
                name="approvals_request_due",
            ),
            models.Index(fields=["scope", "-id"], name="approvals_request_scope"),
            models.Index(fields=["project_scope", "-id"], name="approvals_request_project"),
            models.Index(
                fields=["-id"], condition=Q(status="closed"), name="approvals_request_closed"
            ),
            models.Index(
                fields=["-closed_at", "-id"],
                condition=Q(status="closed"),
                name="approvals_request_decided",
            ),
        )

    def __str__(self) -> str:
        return f"A-{self.number}"


class Round(models.Model):
    """One time the same request was put to people, from 1. What it showed is in its digest."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    request = models.ForeignKey(
        Request, on_delete=models.PROTECT, related_name="rounds", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    shown_digest = models.BinaryField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, blank=True, default="")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["request", "number"], name="approvals_round_request_number_uniq"
            ),
        )

    def __str__(self) -> str:
        return f"{self.request_id} round {self.number}"


class Stage(models.Model):
    """One stage of a round. `position` counts from 0, in the order of the rule.

    `approver_keys` are the audience keys the stage's approvers resolved to when the round opened:
    rows, not names, so that a later group of the same name is not meant.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    request = models.ForeignKey(
        Request, on_delete=models.PROTECT, related_name="stages", db_index=False
    )
    round = models.PositiveSmallIntegerField()
    position = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=64)
    status = models.CharField(max_length=8, choices=StageStatus.choices)
    approver_keys = models.JSONField(default=list)
    opened_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["request", "round", "position"],
                name="approvals_stage_request_round_position_uniq",
            ),
            models.UniqueConstraint(
                fields=["request", "round", "key"], name="approvals_stage_request_round_key_uniq"
            ),
            # Stages come in sequence in this version.
            models.UniqueConstraint(
                fields=["request"],
                condition=Q(status="open"),
                name="approvals_stage_request_open_uniq",
            ),
            models.CheckConstraint(
                condition=Q(status__in=StageStatus.values), name="approvals_stage_status_check"
            ),
        )

    def __str__(self) -> str:
        return self.key


class Audience(models.Model):
    """One key of those a stage is put to; the inbox finds open rows by key, newest first.

    Rows of a stage that is no longer open stay: they say whom it was put to.
    """

    id = models.BigAutoField(primary_key=True)
    request = models.ForeignKey(
        Request, on_delete=models.PROTECT, related_name="audience", db_index=False
    )
    stage = models.ForeignKey(
        Stage, on_delete=models.PROTECT, related_name="audience", db_index=False
    )
    key = models.CharField(max_length=100)
    is_open = models.BooleanField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["stage", "key"], name="approvals_audience_stage_key_uniq"
            ),
        )
        indexes = (
            models.Index(
                fields=["key", "-request"],
                condition=Q(is_open=True),
                name="approvals_audience_open",
            ),
        )

    def __str__(self) -> str:
        return self.key


class Vote(models.Model):
    """One revision of one person's decision in one stage. Append-only.

    `name` is what the person was called then. `result` is what the person was answered. `seq` and
    `leaf` (32 bytes) place the vote's entry in the request's stream, `shown_digest` (32 bytes) is
    what the person signed, `command_digest` (32 bytes) tells one body from another under the same
    key. Comments and form values are not here, so that they can be erased.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    request = models.ForeignKey(
        Request, on_delete=models.PROTECT, related_name="votes", db_index=False
    )
    round = models.PositiveSmallIntegerField()
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="votes", db_index=False)
    person = models.ForeignKey(
        "identity.Person", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    revision = models.PositiveSmallIntegerField()
    decision = models.CharField(max_length=10)
    shown_digest = models.BinaryField()
    cast_at = models.DateTimeField()
    via = models.CharField(max_length=10)
    idempotency_key = models.CharField(
        max_length=limits.IDEMPOTENCY_KEY_CHARS_MAX, blank=True, default=""
    )
    command_digest = models.BinaryField()
    result = models.JSONField()
    seq = models.BigIntegerField()
    leaf = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["request", "round", "stage", "person", "revision"],
                name="approvals_vote_request_round_stage_person_revision_uniq",
            ),
            models.UniqueConstraint(
                fields=["request", "person", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="approvals_vote_request_person_idempotency_key_uniq",
            ),
            models.CheckConstraint(
                condition=Q(decision__in=[item.value for item in Choice]),
                name="approvals_vote_decision_check",
            ),
        )
        indexes = (models.Index(fields=["person", "-id"], name="approvals_vote_person"),)

    def __str__(self) -> str:
        return f"{self.decision} by {self.name}"


class Comment(models.Model):
    """What a person wrote with a vote. Apart from the vote, because it may have to be erased."""

    vote = models.OneToOneField(
        Vote, on_delete=models.PROTECT, primary_key=True, related_name="comment"
    )
    text = models.CharField(max_length=limits.REASON_CHARS_MAX)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.text[:40]


class Exclusion(models.Model):
    """A person who may not decide in a round, frozen with the reason. Rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    request = models.ForeignKey(
        Request, on_delete=models.PROTECT, related_name="exclusions", db_index=False
    )
    round = models.PositiveSmallIntegerField()
    person = models.ForeignKey("identity.Person", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=20)
    expression = models.CharField(max_length=limits.EXPRESSION_CHARS_MAX, blank=True, default="")
    error = models.CharField(max_length=limits.ERROR_CHARS_MAX, blank=True, default="")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["request", "round", "person", "reason"],
                name="approvals_exclusion_request_round_person_reason_uniq",
            ),
        )

    def __str__(self) -> str:
        return self.reason


class Notice(models.Model):
    """One notice to one recipient, to be delivered after commit, at least once.

    It is about a request or, without one, about a run. `dedupe_key` makes writing it idempotent.
    `next_at` is when it is to be tried next; `attempts` counts tries. `facts` is what the text
    needs beside the request or run itself.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    event = models.CharField(max_length=30)
    request = models.ForeignKey(
        Request, on_delete=models.PROTECT, related_name="notices", null=True, db_index=False
    )
    run = models.ForeignKey(
        "engine.Run", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    channel = models.CharField(max_length=10, choices=Channel.choices)
    facts = models.JSONField(default=dict)
    status = models.CharField(
        max_length=7, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    last_error = models.CharField(max_length=limits.ERROR_CHARS_MAX, blank=True, default="")
    dedupe_key = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "approvals_outbox"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["dedupe_key"], name="approvals_outbox_dedupe_key_uniq"),
            models.CheckConstraint(
                condition=Q(status__in=DeliveryStatus.values), name="approvals_outbox_status_check"
            ),
            models.CheckConstraint(
                condition=Q(request__isnull=False, run__isnull=True)
                | Q(request__isnull=True, run__isnull=False),
                name="approvals_outbox_about_check",
            ),
        )
        indexes = (
            models.Index(
                fields=["next_at"], condition=Q(status="pending"), name="approvals_outbox_due"
            ),
            models.Index(
                fields=["request"], condition=Q(status="dead"), name="approvals_outbox_dead"
            ),
        )

    def __str__(self) -> str:
        return f"{self.event} for {self.recipient_id}"
