"""The rows every installation starts with: the global scope and the builtin roles.

A migration writes them. Calling `seed` again changes nothing, or brings the builtin roles up to
date after the table in `domain.permissions` has changed: that takes a new migration that calls it.
"""

from collections.abc import Collection
from typing import Any, Final, Protocol
from uuid import UUID

from core.identity.domain.permissions import BUILTIN_ROLES, ScopeKind
from core.kernel import ids

# Known to the code, so that nobody has to look it up.
GLOBAL_SCOPE_ID: Final = UUID("00000000-0000-7000-8000-000000000001")


class Models(Protocol):
    """A registry of models: Django's `apps`, or a migration's state of it."""

    def get_model(self, app_label: str, model_name: str) -> Any:
        """Return a model class."""
        ...


def seed(models: Models, *, later: Collection[str] = ()) -> None:
    """Make the global scope, and the builtin roles with exactly the permissions they have.

    A migration leaves out permissions that come `later`: its tables do not know them yet.

    Idempotent. Transaction: the caller's, if there is one. Writes nothing to the ledger: these
    rows are part of the program, like its code.
    """
    scope = models.get_model("identity", "Scope")
    scope.objects.bulk_create(
        [scope(id=GLOBAL_SCOPE_ID, kind=ScopeKind.GLOBAL.value)], ignore_conflicts=True
    )
    _seed_roles(models)
    _seed_permissions(models, later=later)


def _seed_roles(models: Models) -> None:
    role = models.get_model("identity", "Role")
    role.objects.bulk_create(
        [
            role(id=ids.uuid7(), slug=item.slug, title=item.title, builtin=True)
            for item in BUILTIN_ROLES.values()
        ],
        update_conflicts=True,
        unique_fields=["slug"],
        update_fields=["title", "builtin"],
    )


def _seed_permissions(models: Models, *, later: Collection[str]) -> None:
    permission = models.get_model("identity", "RolePermission")
    role_ids = dict(models.get_model("identity", "Role").objects.values_list("slug", "id"))
    for item in BUILTIN_ROLES.values():
        held = [entry.value for entry in item.permissions if entry.value not in later]
        role_id = role_ids[item.slug]
        permission.objects.filter(role_id=role_id).exclude(permission__in=held).delete()
        permission.objects.bulk_create(
            [permission(id=ids.uuid7(), role_id=role_id, permission=name) for name in held],
            ignore_conflicts=True,
        )
