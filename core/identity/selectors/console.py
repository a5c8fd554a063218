"""What the administrator's console shows around its lists. Read `list_powers` first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType

from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import ApiToken, Project, Role, RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors import facts

# Any of these, held everywhere, lets somebody in; what they may change there, each service asks.
ENTRY: Final = frozenset(
    {Permission.MANAGE_USERS, Permission.MANAGE_ROLES, Permission.MANAGE_TOKENS}
)
_VERBS: Final = {
    LogEntry.Action.CREATE: "added",
    LogEntry.Action.UPDATE: "changed",
    LogEntry.Action.DELETE: "removed",
    LogEntry.Action.ACCESS: "read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """A change of a row of settings. `fields` are names, never values: those are in the ledger.

    `model` is the label of its table, such as "identity.user"; `label` is what the row was called
    then, "" for one without a name.
    """

    at: datetime
    who: str
    verb: str
    model: str
    key: str
    label: str
    fields: tuple[str, ...]


def list_powers(*, principal: Principal) -> frozenset[Permission]:
    """Return what an account holds everywhere now; nothing for a closed account; 1 query."""
    if not principal.is_active:
        return frozenset()
    return facts.list_held_permissions(user_id=principal.user_id, scope_ids=[GLOBAL_SCOPE_ID])


def can_enter_console(*, principal: Principal) -> bool:
    """Return whether somebody manages accounts, roles or tokens everywhere; 1 query."""
    return bool(list_powers(principal=principal) & ENTRY)


def count_records() -> dict[str, int]:
    """Return how many there are of what the console lists, by table; 6 queries.

    Closed accounts are not counted, nor are assignments and tokens that have expired.
    """
    return {
        "identity.user": User.objects.filter(is_active=True).count(),
        "auth.group": Group.objects.count(),
        "identity.project": Project.objects.count(),
        "identity.role": Role.objects.count(),
        "identity.roleassignment": RoleAssignment.objects.live().count(),
        "identity.apitoken": ApiToken.objects.count(),
    }


def list_changes(*, models: Collection[str], key: str = "", limit: int) -> list[ChangeView]:
    """Return the latest changes of settings, newest first; 1 query.

    Args:
        models: only those of these tables, by their labels.
        key: only those of the row of this id, "" for every row.
        limit: how many at most.
    """
    # A cached lookup: content types never change while a process lives.
    types = [ContentType.objects.get_by_natural_key(*label.split(".")) for label in models]
    rows = LogEntry.objects.filter(content_type__in=types).select_related("content_type", "actor")
    if key:
        rows = rows.filter(object_pk=key)
    return [_view_change(row) for row in rows.order_by("-timestamp", "-id")[:limit]]


def _view_change(row: LogEntry) -> ChangeView:
    return ChangeView(
        at=row.timestamp,
        who=row.actor.username if row.actor is not None else "the platform",
        verb=_VERBS[row.action],
        model=f"{row.content_type.app_label}.{row.content_type.model}",
        key=str(row.object_pk),
        # Some rows have no name but their id, which says nothing to anybody.
        label="" if row.object_repr == str(row.object_pk) else row.object_repr,
        fields=tuple(sorted(row.changes or {})),
    )
