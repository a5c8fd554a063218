"""Copies of django-auditlog's rows in the ledger. Read `copy_to_ledger` first.

django-auditlog notes who saved which configuration row, and what changed. Its rows can be edited
and `queryset.update` escapes it, so they are a convenience and never the evidence; each is copied
into the ledger in the same transaction. The receiver listens to the saving of those rows and not
to `auditlog.signals.post_log`, which version 3.4 does not send for changes of many-to-many fields:
somebody put into a team would be missing. It is the only signal we use.
"""

from typing import Any, Final

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.db.models import Subquery
from django.db.models.signals import post_save

from core.identity.attribution import current_origin
from core.identity.models import (
    ApiToken,
    Person,
    Project,
    ProjectGroupShare,
    ProjectUserShare,
    Role,
    RoleAssignment,
    RolePermission,
    Scope,
    User,
)
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.record import ActorKind, Draft
from core.toolkit import ledger

MASK: Final = "***"
_MASK_PATH: Final = f"{__name__}.mask_secret"
_ACTIONS: Final = {
    LogEntry.Action.CREATE: "create",
    LogEntry.Action.UPDATE: "update",
    LogEntry.Action.DELETE: "delete",
}

# What is left out of the log, and why; everything else is in it (a test compares with the tables).
LEFT_OUT: Final[dict[type[models.Model], frozenset[str]]] = {
    Person: frozenset({"created_at"}),
    # Signing in is no change of settings, and happens outside a transaction.
    User: frozenset({"created_at", "last_login"}),
    Scope: frozenset(),
    Project: frozenset({"created_at"}),
    Role: frozenset(),
    RolePermission: frozenset(),
    RoleAssignment: frozenset({"granted_at"}),
    # The digest would let whoever reads the log recognise a token.
    ApiToken: frozenset({"created", "digest", "token_key", "last_used_at"}),
    ProjectUserShare: frozenset(),
    ProjectGroupShare: frozenset(),
    Group: frozenset(),
}
_MASKED: Final[dict[type[models.Model], list[str]]] = {User: ["password"]}
_MANY: Final[dict[type[models.Model], set[str]]] = {
    User: {"groups", "user_permissions"},
    Group: {"permissions"},
}


def register() -> None:
    """Watch the tables of identity, and copy what is noted of any table; called in `ready()`."""
    for model, left_out in LEFT_OUT.items():
        auditlog.register(
            model,
            include_fields=[
                field.name
                for field in model._meta.fields  # noqa: SLF001  # Django's documented Meta API
                if field.name not in left_out
            ],
            mask_fields=list(_MASKED.get(model, ())),
            mask_callable=_MASK_PATH,
            m2m_fields=_MANY.get(model),
        )
    post_save.connect(copy_to_ledger, sender=LogEntry, dispatch_uid="identity.copy_to_ledger")


def copy_to_ledger(*, instance: LogEntry, created: bool, **_: Any) -> None:
    """Copy a new row of django-auditlog into the ledger, and say in the row who it was.

    Projects have their own streams, everything else is in `identity`. Values are payloads, because
    names and addresses are personal. Transaction: the caller's; without one, which only happens
    where the framework saves a row by itself, one of its own.
    """
    if not created:
        return
    origin = current_origin()
    with transaction.atomic():
        if instance.actor_id is None and origin.actor.kind is not ActorKind.SYSTEM:
            account = User.objects.filter(pk=origin.actor.id).values("pk")
            LogEntry.objects.filter(pk=instance.pk).update(actor_id=Subquery(account))
        changes, key = instance.changes or {}, str(instance.object_pk)
        label = f"{instance.content_type.app_label}.{instance.content_type.model}"
        is_project = instance.content_type.model_class() is Project
        ledger.record(
            stream=f"project:{key}" if is_project else "identity",
            draft=Draft(
                kind="setting.changed",
                at=SYSTEM_CLOCK.now(),
                origin=origin,
                subject=key,
                data={
                    "model": label,
                    "action": _ACTIONS[instance.action],
                    "fields": sorted(changes),
                },
                payloads={"changes": changes},
            ),
        )


def mask_secret(_value: str) -> str:
    """Return what stands for a secret; django-auditlog's own mask shows half of it."""
    return MASK
