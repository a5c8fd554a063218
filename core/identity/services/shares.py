"""One-off shares: one permission on one project without a role. Read `share_project` first.

Guardian's tables hold them. They never inherit and never expire; whoever should do more than look
at one project gets a role.
"""

from uuid import UUID

from django.contrib.auth.models import Permission as PermissionRow

from core.identity.acts import act
from core.identity.authorize import require
from core.identity.domain.changes import ShareProject
from core.identity.domain.errors import IdentityInvalidError, InactiveAccountError
from core.identity.domain.permissions import SHAREABLE, Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project, ProjectGroupShare, ProjectUserShare, User
from core.identity.services.finding import get_group, get_project, get_user
from core.identity.services.locking import lock_access
from core.identity.services.recording import name_project_stream, record_act
from core.identity.services.revoking import announce_revocation
from core.kernel.errors import Problem


@act
def share_project(
    *,
    principal: Principal,
    project_id: UUID,
    permission: Permission,
    user_id: UUID | None = None,
    group_id: int | None = None,
) -> None:
    """Give an account or a team one permission on one project.

    Transaction: one. Idempotent on (project, permission, account or team).

    Raises:
        AccessForbiddenError: without `manage_project_access` there; for oneself; for what the
            principal lacks.
        IdentityInvalidError: for another permission than a project's; unless exactly one of user
            and group is given.
        IdentityMissingError: if there is no such project, account or team.
        InactiveAccountError: if the account is deactivated.
    """
    lock_access()
    project = get_project(project_id)
    _check(permission=permission, user_id=user_id, group_id=group_id)
    matched = _require(
        principal,
        project=project,
        change=ShareProject(
            permission=permission,
            scope_id=project.scope_id,
            is_granted=True,
            user_id=user_id,
            group_id=group_id,
        ),
    )
    row = PermissionRow.objects.get_by_natural_key(permission.value, "identity", "project")
    if user_id is not None:
        user = get_user(user_id)
        if not user.is_active:
            raise InactiveAccountError
        _, is_new = ProjectUserShare.objects.get_or_create(
            user=user, permission=row, content_object=project
        )
    else:
        assert group_id is not None, "checked above"
        _, is_new = ProjectGroupShare.objects.get_or_create(
            group=get_group(group_id), permission=row, content_object=project
        )
    if is_new:
        _record(
            principal,
            kind="project.shared",
            project=project,
            matched=matched,
            permission=permission,
            user_id=user_id,
            group_id=group_id,
        )


@act
def unshare_project(
    *,
    principal: Principal,
    project_id: UUID,
    permission: Permission,
    user_id: UUID | None = None,
    group_id: int | None = None,
) -> None:
    """Take a share back.

    Transaction: one. Idempotent on (project, permission, account or team).

    Raises:
        AccessForbiddenError: without `manage_project_access` there; for oneself.
        IdentityInvalidError: for another permission than a project's; unless exactly one of user
            and group is given.
        IdentityMissingError: if there is no such project.
    """
    lock_access()
    project = get_project(project_id)
    _check(permission=permission, user_id=user_id, group_id=group_id)
    matched = _require(
        principal,
        project=project,
        change=ShareProject(
            permission=permission,
            scope_id=project.scope_id,
            is_granted=False,
            user_id=user_id,
            group_id=group_id,
        ),
    )
    named = {"permission__codename": permission.value, "content_object": project}
    direct = ProjectUserShare.objects.filter(user_id=user_id, **named)
    through = ProjectGroupShare.objects.filter(group_id=group_id, **named)
    share = (direct if user_id is not None else through).first()
    if share is None:
        return
    share.delete()
    users = User.objects.filter(pk=user_id) if user_id else User.objects.filter(groups=group_id)
    announce_revocation(user_ids=users.values_list("pk", flat=True))
    _record(
        principal,
        kind="project.unshared",
        project=project,
        matched=matched,
        permission=permission,
        user_id=user_id,
        group_id=group_id,
    )


def _check(*, permission: Permission, user_id: UUID | None, group_id: int | None) -> None:
    problems = []
    if permission not in SHAREABLE:
        message = f"Only a project's own permissions can be shared on it, not {permission}."
        problems.append(Problem(path="/permission", message=message))
    if (user_id is None) == (group_id is None):
        problems.append(Problem(path="/user", message="Name either an account or a team."))
    if problems:
        raise IdentityInvalidError(problems=problems)


def _require(principal: Principal, *, project: Project, change: ShareProject) -> str:
    return require(
        principal=principal,
        permission=Permission.MANAGE_PROJECT_ACCESS,
        scope_id=project.scope_id,
        target=change,
    ).matched


def _record(
    principal: Principal,
    *,
    kind: str,
    project: Project,
    matched: str,
    permission: Permission,
    user_id: UUID | None,
    group_id: int | None,
) -> None:
    record_act(
        principal=principal,
        kind=kind,
        subject=project.pk,
        stream=name_project_stream(project.pk),
        matched=matched,
        data={
            "permission": permission.value,
            "user": None if user_id is None else str(user_id),
            "team": group_id,
        },
    )
