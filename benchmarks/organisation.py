"""People and workflows for a benchmark, made through the services. Needs Django."""

from collections.abc import Sequence
from uuid import UUID

from approvals.selectors.requests import get_request
from approvals.services.decide import decide
from core.identity.domain.principal import Principal, make_system_principal
from core.identity.models import User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.principals import get_principal, make_origin, map_group_names
from core.identity.services.groups import add_member, create_group
from core.identity.services.people import create_user
from core.identity.services.projects import create_project
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.kernel.record import Via
from engine.services.definitions import publish_version, save_version

_STARTER_ROLES = ("viewer", "requester", "editor", "publisher")
_DECIDER_ROLES = ("viewer", "approver")


def make_organisation(
    sources: Sequence[str], *, slug: str = "bench"
) -> tuple[Principal, Principal, str]:
    """Make a project with a starter and a decider, and publish definitions in it.

    Returns:
        The starter, the decider, and a token of the starter.
    """
    system = make_system_principal()
    project = create_project(principal=system, slug=slug, title=slug.title())
    known = map_group_names(names=["deciders"])
    group_id = known.get("deciders") or create_group(principal=system, name="deciders").pk
    starter = _person(system, f"{slug}-starter", _STARTER_ROLES, project.scope_id)
    decider = _person(system, f"{slug}-decider", _DECIDER_ROLES, project.scope_id)
    add_member(principal=system, group_id=group_id, user_id=decider.user_id)
    for source in sources:
        version = save_version(principal=starter, project_slug=slug, source=source)
        publish_version(
            principal=starter,
            project_slug=slug,
            workflow_slug=version.workflow_slug,
            rev=version.rev,
        )
    _, token = create_token(principal=starter, name="bench")
    return starter, decider, token


def make_auditor(name: str = "bench-auditor") -> Principal:
    """Make somebody who may read the whole ledger."""
    return _person(make_system_principal(), name, ("auditor",), GLOBAL_SCOPE_ID)


def approve(*, principal: Principal, request_id: UUID) -> None:
    """Approve a request as it is now."""
    detail = get_request(principal=principal, request_id=request_id)
    decide(
        principal=principal,
        request_id=request_id,
        decision="approve",
        digest_hex=detail.digest_hex,
    )


def _person(system: Principal, name: str, roles: Sequence[str], scope_id: UUID) -> Principal:
    user: User = create_user(principal=system, username=name, name=name.title())
    for role in roles:
        assign_role(principal=system, role=role, scope_id=scope_id, user_id=user.pk)
    return get_principal(user=user, origin=make_origin(user=user, via=Via.PORTAL, auth="session"))
