"""Who gets which role where. Read `assign_role` and `revoke_assignment`."""

from datetime import UTC, datetime
from uuid import UUID

from django.contrib.auth.models import Group

from core.identity.acts import act
from core.identity.authorize import require
from core.identity.domain.changes import AssignRole, RevokeAssignment, check_expiry
from core.identity.domain.errors import (
    AlreadyAssignedError,
    IdentityInvalidError,
    InactiveAccountError,
)
from core.identity.domain.permissions import ACCESS_PERMISSIONS, ScopeKind
from core.identity.domain.principal import SYSTEM_ID, Principal
from core.identity.models import Role, RoleAssignment, Scope, User
from core.identity.selectors.facts import list_role_permissions
from core.identity.services.checking import Checker
from core.identity.services.finding import (
    find_project_of,
    get_assignment,
    get_group,
    get_role,
    get_scope,
    get_user,
)
from core.identity.services.locking import lock_access
from core.identity.services.recording import name_project_stream, record_act
from core.identity.services.revoking import announce_revocation
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.errors import Problem
from core.kernel.types import JsonLike


@act
def assign_role(
    *,
    principal: Principal,
    role: str,
    scope_id: UUID,
    user_id: UUID | None = None,
    group_id: int | None = None,
    expires_at: datetime | None = None,
    reason: str = "",
) -> RoleAssignment:
    """Give an account or a team a role at a scope, for good or until an instant.

    Args:
        principal: who gives it. Everywhere it takes `manage_roles`, in a project
            `manage_project_access`, on a workflow `manage_workflow_access`.
        role: the role's slug.
        scope_id: where it holds; the global scope is `seed.GLOBAL_SCOPE_ID`.
        user_id: the account, or
        group_id: the team.
        expires_at: when it ends, aware; a role that can override must end within hours.
        reason: why, for whoever reviews access.

    Transaction: one.

    Raises:
        AccessForbiddenError: without that permission; for oneself, also through a team or a
            machine of one's own; for what the principal lacks there, unless it manages roles
            everywhere.
        AlreadyAssignedError: if the same assignment is there and has not expired.
        IdentityInvalidError: for a bad end or reason; unless exactly one of user and group is
            given.
        IdentityMissingError: if there is no such role, scope, account or team.
        InactiveAccountError: if the account is deactivated.
    """
    lock_access()
    scope = get_scope(scope_id)
    _check_one(user_id=user_id, group_id=group_id)
    answer = require(
        principal=principal,
        permission=ACCESS_PERMISSIONS[ScopeKind(scope.kind)],
        scope_id=scope.pk,
        target=AssignRole(role=role, scope_id=scope.pk, user_id=user_id, group_id=group_id),
    )
    chosen = get_role(role)
    _check_terms(role=chosen, expires_at=expires_at, reason=reason)
    user = _get_active_user(user_id) if user_id is not None else None
    group = get_group(group_id) if group_id is not None else None
    _remove_expired(role=chosen, scope=scope, user=user, group=group)
    assignment = RoleAssignment.objects.create(
        role=chosen,
        scope=scope,
        user=user,
        group=group,
        expires_at=expires_at,
        granted_by_id=None if principal.user_id == SYSTEM_ID else principal.user_id,
        reason=reason,
    )
    record_act(
        principal=principal,
        kind="role.assigned",
        subject=assignment.pk,
        stream=_name_stream(scope),
        matched=answer.matched,
        data=_describe(assignment),
        payloads={"reason": reason},
    )
    return assignment


@act
def revoke_assignment(*, principal: Principal, assignment_id: UUID, reason: str = "") -> None:
    """End an assignment. It counts no more from the next question on, and sockets close.

    Transaction: one.

    Raises:
        AccessForbiddenError: without the permission it takes to assign there; for oneself, also
            through a team or a machine of one's own; for the last administrator.
        IdentityInvalidError: for too long a reason.
        IdentityMissingError: if there is no such assignment.
    """
    lock_access()
    assignment = get_assignment(assignment_id)
    scope = assignment.scope
    answer = require(
        principal=principal,
        permission=ACCESS_PERMISSIONS[ScopeKind(scope.kind)],
        scope_id=scope.pk,
        target=RevokeAssignment(assignment_id=assignment.pk),
    )
    check = Checker()
    check.reason("/reason", reason)
    check.finish()
    facts, user_ids = _describe(assignment), _list_user_ids(assignment)
    assignment.delete()
    announce_revocation(user_ids=user_ids)
    record_act(
        principal=principal,
        kind="role.revoked",
        subject=assignment_id,
        stream=_name_stream(scope),
        matched=answer.matched,
        data=facts,
        payloads={"reason": reason},
    )


def _check_one(*, user_id: UUID | None, group_id: int | None) -> None:
    if (user_id is None) == (group_id is None):
        problem = Problem(path="/user", message="Name either an account or a team.")
        raise IdentityInvalidError(problems=[problem])


def _check_terms(*, role: Role, expires_at: datetime | None, reason: str) -> None:
    check = Checker()
    check.reason("/reason", reason)
    check.problems.extend(
        check_expiry(
            permissions=list_role_permissions(role=role.slug),
            expires_at=expires_at,
            at=SYSTEM_CLOCK.now(),
        )
    )
    check.finish()


def _get_active_user(user_id: UUID) -> User:
    user = get_user(user_id)
    if not user.is_active:
        raise InactiveAccountError
    return user


def _remove_expired(*, role: Role, scope: Scope, user: User | None, group: Group | None) -> None:
    """Make room for an assignment. Raises: AlreadyAssignedError."""
    same = RoleAssignment.objects.filter(role=role, scope=scope, user=user, group=group)
    if same.live().exists():
        raise AlreadyAssignedError(role=role.slug)
    for assignment in same:
        assignment.delete()


def _describe(assignment: RoleAssignment) -> dict[str, JsonLike]:
    expires_at = assignment.expires_at
    return {
        "role": assignment.role.slug,
        "scope": str(assignment.scope_id),
        "user": None if assignment.user_id is None else str(assignment.user_id),
        "team": assignment.group_id,
        "expires_at": None if expires_at is None else expires_at.astimezone(UTC).isoformat(),
    }


def _name_stream(scope: Scope) -> str:
    project = find_project_of(scope)
    return name_project_stream(None if project is None else project.pk)


def _list_user_ids(assignment: RoleAssignment) -> list[UUID]:
    if assignment.user_id is not None:
        return [assignment.user_id]
    return list(User.objects.filter(groups=assignment.group_id).values_list("pk", flat=True))
