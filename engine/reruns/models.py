"""Tables of runs that were run again; written by `engine.reruns.rows`. Read `Lineage`."""

from typing import ClassVar

from django.db import models

from core.kernel import limits


class Lineage(models.Model):
    """Where a run comes from that is another one run again.

    `origin_seq` is how far the origin's record went, `from_key` the key of the step or visit that
    was chosen ("": all of it), `is_fork` that its inputs or its version are others.
    """

    run = models.OneToOneField(
        "engine.Run", on_delete=models.PROTECT, related_name="+", primary_key=True
    )
    origin = models.ForeignKey("engine.Run", on_delete=models.PROTECT, related_name="+")
    origin_seq = models.BigIntegerField()
    from_key = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX, blank=True)
    is_fork = models.BooleanField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.run_id} from {self.origin_id}"


class Rerunner(models.Model):
    """A person who had a run, or one that led to it, run again: the set only grows."""

    run = models.ForeignKey(
        "engine.Run", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    person = models.ForeignKey("identity.Person", on_delete=models.PROTECT, related_name="+")

    class Meta:
        default_permissions = ()
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["run", "person"], name="engine_rerunner_uniq"),
        )

    def __str__(self) -> str:
        return f"{self.person_id} of {self.run_id}"
