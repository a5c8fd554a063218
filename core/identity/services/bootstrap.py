"""The first administrators, who cannot be appointed by an administrator. Read `create_admin`."""

from collections.abc import Sequence
from typing import Final

from core.identity.acts import act
from core.identity.domain.errors import InactiveAccountError
from core.identity.domain.principal import Principal
from core.identity.models import RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.people import create_user
from core.identity.services.roles import assign_role

ADMIN_ROLES: Final = ("access_admin", "project_admin")


@act
def create_admin(
    *,
    principal: Principal,
    username: str,
    name: str,
    email: str = "",
    password: str | None = None,
    role_slugs: Sequence[str] = ADMIN_ROLES,
) -> User:
    """Make an account with roles everywhere, or give them to an account that lacks them.

    The roles are ordinary assignments: they can be seen, reviewed and revoked. The usual two set
    up people and projects, but neither decide nor publish. An account that exists keeps its name,
    address and password.

    Transaction: one. Idempotent on the username.

    Raises:
        AccessForbiddenError: unless the principal may make accounts and give these roles.
        IdentityInvalidError: for a bad name, address or password.
        IdentityMissingError: if there is no such role.
        InactiveAccountError: if the account exists and is deactivated.
    """
    user = User.objects.filter(username=username).first()
    if user is None:
        user = create_user(
            principal=principal,
            username=username,
            name=name,
            email=email,
            password=password,
            is_staff=True,
        )
    if not user.is_active:
        raise InactiveAccountError
    held = set(
        RoleAssignment.objects.live()
        .filter(user=user, scope_id=GLOBAL_SCOPE_ID, expires_at__isnull=True)
        .values_list("role__slug", flat=True)
    )
    for slug in role_slugs:
        if slug not in held:
            assign_role(
                principal=principal,
                role=slug,
                scope_id=GLOBAL_SCOPE_ID,
                user_id=user.pk,
                reason="Appointed from the command line.",
            )
    return user
