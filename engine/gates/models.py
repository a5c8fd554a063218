"""Tables of what is shared between runs; each is written by the module its docstring names.

Read `Rate`. The rows of mutexes are in `engine.models`, beside the runs that hold them.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from core.kernel import limits


class Rate(models.Model):
    """The newest instants reserved under a rate limit; written by `engine.gates.rate`."""

    pk = models.CompositePrimaryKey("project_id", "name")
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=limits.NAME_CHARS_MAX)
    instants = ArrayField(models.DateTimeField())
    idle_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (models.Index(fields=["idle_at"], name="engine_rate_idle"),)

    def __str__(self) -> str:
        return self.name


class Circuit(models.Model):
    """A circuit that has counted failures; written by `engine.gates.circuit`.

    `state` is that of `engine.domain.circuit` as JSON.
    """

    pk = models.CompositePrimaryKey("project_id", "name")
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=limits.NAME_CHARS_MAX)
    state = models.JSONField()
    idle_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (models.Index(fields=["idle_at"], name="engine_circuit_idle"),)

    def __str__(self) -> str:
        return self.name


class Cache(models.Model):
    """A result that may be used again until `expires_at`; written by `engine.gates.cache`.

    `key_digest` is the SHA-256 of the key's text; `run` and `step` say whose result it was.
    `result` is canonical JSON, because the database's own form keeps no NUL and no exponents.
    """

    pk = models.CompositePrimaryKey("project_id", "key_digest")
    project = models.ForeignKey(
        "identity.Project", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    key_digest = models.BinaryField()
    result = models.BinaryField()
    run = models.ForeignKey(
        "engine.Run", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    step = models.CharField(max_length=limits.STEP_KEY_CHARS_MAX)
    kept_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = (models.Index(fields=["expires_at"], name="engine_cache_expiry"),)

    def __str__(self) -> str:
        return f"result of {self.step}"
