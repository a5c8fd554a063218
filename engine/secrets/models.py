"""The table of named secrets; written by `engine.services.secrets`. Read `Secret`."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.kernel import ids, limits


class Secret(models.Model):
    """A named value of a project that its workflows may hand to actions.

    `sealed` is what `core.toolkit.sealing` made of the value, `number` counts how often it was set.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    project = models.ForeignKey("identity.Project", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=limits.SECRET_NAME_CHARS_MAX)
    description = models.CharField(max_length=limits.SECRET_LINE_CHARS_MAX, blank=True, default="")
    sealed = models.TextField()
    number = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()  # when the value was last set
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["project", "name"], name="engine_secret_project_name_uniq"
            ),
            models.CheckConstraint(
                condition=Q(name__regex=r"^[A-Z][A-Z0-9_]*$"), name="engine_secret_name_check"
            ),
        )

    def __str__(self) -> str:
        return self.name


def about_secret(secret: Secret) -> str:
    """Return what a secret's value is sealed for: it opens for this name of this project only."""
    return f"engine_secret:{secret.project_id}:{secret.name}"
