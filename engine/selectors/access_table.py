"""Who may do what with a workflow, as a table. Read `list_access`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Q

from core.identity.domain.permissions import PERSON_ONLY, Permission
from core.identity.models import RoleAssignment
from core.identity.selectors import facts
from core.kernel import limits
from core.kernel.record import ActorKind

# What the table tells about a workflow, in its order.
ACCESS_SHOWN: Final = (
    Permission.TRIGGER_WORKFLOW,
    Permission.EDIT_WORKFLOW,
    Permission.PUBLISH_WORKFLOW,
    Permission.OPERATE_RUN,
    Permission.EXECUTE_TASK,
    Permission.DECIDE_REQUEST,
    Permission.VIEW_WORKFLOW,
)
_MACHINES: Final = frozenset({ActorKind.SERVICE.value, ActorKind.AGENT.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGrant:
    """Somebody who may do something with a workflow, and by which assignment.

    `kind` is the account's kind, or "team"; `place` is where the role was assigned: "global",
    "project" or "workflow".
    """

    permission: str
    name: str
    kind: str
    role: str
    place: str
    expires_at: datetime | None


def list_access(*, scope_id: UUID, permissions: Collection[Permission]) -> tuple[AccessGrant, ...]:
    """Return who holds permissions at a workflow's scope, teams by name, then accounts by name.

    Two queries; at most `limits.APPROVER_COUNT_MAX` grants. It is for whoever may see the workflow:
    ask first.
    """
    chain = facts.find_chain(scope_id=scope_id)
    assert chain is not None, "a workflow has a scope"
    rows = (
        RoleAssignment.objects.live()
        .filter(
            scope_id__in=[scope.id for scope in chain.scopes],
            role__permissions__permission__in=[item.value for item in permissions],
        )
        .filter(Q(user__isnull=True) | Q(user__is_active=True))
        .order_by("group__name", "user__name", "pk")
        .values_list(
            "role__permissions__permission",
            "group__name",
            "user__name",
            "user__kind",
            "role__title",
            "scope__kind",
            "expires_at",
        )
    )
    return tuple(
        AccessGrant(
            permission=permission,
            name=team or user,
            kind="team" if team else kind,
            role=role,
            place=place,
            expires_at=expires_at,
        )
        for permission, team, user, kind, role, place, expires_at in rows[
            : limits.APPROVER_COUNT_MAX
        ]
        if permission not in PERSON_ONLY or kind not in _MACHINES
    )
