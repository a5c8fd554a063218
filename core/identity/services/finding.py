"""Rows that services need, or the error that says there are none. Read `get_user`."""

from uuid import UUID

from django.contrib.auth.models import Group

from core.identity.domain.errors import IdentityMissingError
from core.identity.models import ApiToken, Project, Role, RoleAssignment, Scope, User


def get_user(user_id: UUID) -> User:
    """Return an account, locked. Raises: IdentityMissingError."""
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise IdentityMissingError("There is no such account.")
    return user


def get_group(group_id: int) -> Group:
    """Return a team. Raises: IdentityMissingError."""
    group = Group.objects.filter(pk=group_id).first()
    if group is None:
        raise IdentityMissingError("There is no such team.")
    return group


def get_project(project_id: UUID) -> Project:
    """Return a project, locked. Raises: IdentityMissingError."""
    project = Project.objects.select_for_update(no_key=True).filter(pk=project_id).first()
    if project is None:
        raise IdentityMissingError("There is no such project.")
    return project


def get_role(slug: str) -> Role:
    """Return a role. Raises: IdentityMissingError."""
    role = Role.objects.filter(slug=slug).first()
    if role is None:
        raise IdentityMissingError(f"There is no role {slug!r}.")
    return role


def get_scope(scope_id: UUID) -> Scope:
    """Return a scope with its parent and their projects. Raises: IdentityMissingError."""
    scope = Scope.objects.select_related("project", "parent__project").filter(pk=scope_id).first()
    if scope is None:
        raise IdentityMissingError("There is no such scope.")
    return scope


def get_assignment(assignment_id: UUID) -> RoleAssignment:
    """Return an assignment with its role and scope. Raises: IdentityMissingError."""
    assignment = (
        RoleAssignment.objects.select_related("role", "scope__project", "scope__parent__project")
        .filter(pk=assignment_id)
        .first()
    )
    if assignment is None:
        raise IdentityMissingError("There is no such assignment.")
    return assignment


def get_token(token_id: UUID) -> ApiToken:
    """Return a token. Raises: IdentityMissingError."""
    token: ApiToken | None = ApiToken.objects.filter(pk=token_id).first()
    if token is None:
        raise IdentityMissingError("There is no such token.")
    return token


def find_project_of(scope: Scope) -> Project | None:
    """Return the project a scope is or is in, `None` for the global one.

    Takes no query for a scope from `get_scope`.
    """
    for place in (scope, scope.parent):
        if place is not None and hasattr(place, "project"):
            return place.project
    return None
