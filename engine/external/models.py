"""The table of claims; written by `engine.external.rows`. Read `Claim`."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.kernel import limits
from engine.domain.external import ClaimStatus

_STATUSES = [(item.value, item.value) for item in ClaimStatus]
_HELD = ClaimStatus.HELD.value


class Claim(models.Model):
    """An attempt that a program outside has taken, or had.

    It has the id of the attempt's row in `engine_task`, and outlasts it by `limits.CLAIM_RETENTION`
    so that who tells of an end twice gets the same answer. `token` is known to the program only: it
    fences the claim. `answer` is the digest of the end it told. `is_wanted` turns false when the
    run needs no result any more.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    token = models.UUIDField()
    run = models.ForeignKey(
        "engine.Run", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    worker = models.CharField(max_length=limits.WORKER_NAME_CHARS_MAX)
    topic = models.CharField(max_length=limits.TOPIC_CHARS_MAX)
    key = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX)
    attempt = models.IntegerField()
    round = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=_STATUSES)
    is_wanted = models.BooleanField(default=True, db_default=True)
    lease_seconds = models.PositiveIntegerField()
    claimed_at = models.DateTimeField()
    lease_until = models.DateTimeField()  # never after `deadline_at`
    deadline_at = models.DateTimeField()  # when the attempt's time is over
    ended_at = models.DateTimeField(null=True)
    answer = models.BinaryField(null=True)

    class Meta:
        default_permissions = ()
        db_table = "engine_claim"
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=[value for value, _ in _STATUSES]),
                name="engine_claim_status_check",
            ),
            models.CheckConstraint(
                condition=Q(status=_HELD, ended_at__isnull=True)
                | Q(ended_at__isnull=False) & ~Q(status=_HELD),
                name="engine_claim_ended_at_check",
            ),
        )
        indexes: ClassVar = (
            models.Index(
                fields=["lease_until"],
                condition=Q(status=_HELD),
                name="engine_claim_lease",
            ),
            models.Index(fields=["run"], condition=Q(status=_HELD), name="engine_claim_run"),
            models.Index(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False),
                name="engine_claim_ended",
            ),
        )

    def __str__(self) -> str:
        return f"{self.key} attempt {self.attempt} with {self.worker}"
