"""`manage.py load_demo`: make the demo project, once."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from core.identity.domain.errors import AlreadyAssignedError, IdentityMissingError
from core.identity.domain.principal import Principal, make_system_principal
from core.identity.models import User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors import principals, projects
from core.identity.services import groups as group_services
from core.identity.services import people as people_services
from core.identity.services import projects as project_services
from core.identity.services import roles as role_services
from core.kernel.record import ActorKind, Via
from engine.services.definitions import publish_version, save_version
from examples.cases import CASES
from examples.demo import cast
from examples.demo.cast import CAST, MACHINES, Machine, Member

_REASON = "The demo."


class Command(BaseCommand):
    """Make the demo's accounts, teams, project and roles, and publish its workflows.

    Everything goes through the services, so it is checked and on record like anybody's act.
    Running it again adds what is missing and takes nothing away.
    """

    help = "Make the demo project, its accounts and its workflows (demo settings only)."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002  # fixed by the framework
        """Load the demo."""
        target_url: str = getattr(settings, "DEMO_TARGET_URL", "")
        if not target_url:
            raise CommandError(
                "The demo's passwords are known to everybody: it loads under the demo settings "
                "only (DJANGO_SETTINGS_MODULE=core.settings.demo, as `make run` sets it)."
            )
        system = make_system_principal()
        # All of it or nothing: half a demo would be a puzzle.
        with transaction.atomic():
            scope_id = _ensure_project(system)
            team_ids = {name: _ensure_team(system, name) for name in _list_teams()}
            for member in CAST:
                _ensure_member(system, member, scope_id=scope_id, team_ids=team_ids)
            for machine in MACHINES:
                _ensure_machine(system, machine, scope_id=scope_id)
        for source in _list_sources(target_url):
            _ensure_workflow(source)
        self.stdout.write(self._describe())

    def _describe(self) -> str:
        lines = [f"demo project ready: {len(CASES)} use cases, see docs/use-cases.md"]
        lines.append(f"accounts, all with the password {cast.PASSWORD}:")
        lines += [f"  {member.username:<6} {member.does}" for member in CAST]
        return "\n".join(lines)


def _list_sources(target_url: str) -> list[str]:
    return [source for case in CASES for source in case.sources(target_url=target_url)]


def _list_teams() -> list[str]:
    return sorted({team for member in CAST for team in member.teams})


def _ensure_project(system: Principal) -> UUID:
    """Return the scope of the demo project."""
    try:
        return projects.get_project(principal=system, slug=cast.PROJECT_SLUG).scope_id
    except IdentityMissingError:
        project = project_services.create_project(
            principal=system, slug=cast.PROJECT_SLUG, title=cast.PROJECT_TITLE
        )
        return project.scope_id


def _ensure_team(system: Principal, name: str) -> int:
    known = principals.map_group_names(names=[name])
    if name in known:
        return known[name]
    return group_services.create_group(principal=system, name=name).pk


def _ensure_member(
    system: Principal, member: Member, *, scope_id: UUID, team_ids: dict[str, int]
) -> None:
    user = principals.find_by_username(username=member.username)
    if user is None:
        user = people_services.create_user(
            principal=system,
            username=member.username,
            name=member.name,
            email=member.email,
            password=cast.PASSWORD,
            is_staff=member.is_staff,
        )
    for team in member.teams:
        group_services.add_member(principal=system, group_id=team_ids[team], user_id=user.pk)
    for roles, place in ((member.roles, scope_id), (member.global_roles, GLOBAL_SCOPE_ID)):
        for role in roles:
            _ensure_role(system, user=user, role=role, scope_id=place)


def _ensure_role(system: Principal, *, user: User, role: str, scope_id: UUID) -> None:
    try:
        with transaction.atomic():
            role_services.assign_role(
                principal=system, role=role, scope_id=scope_id, user_id=user.pk, reason=_REASON
            )
    except AlreadyAssignedError:
        return


def _ensure_machine(system: Principal, machine: Machine, *, scope_id: UUID) -> None:
    user = principals.find_by_username(username=machine.username)
    if user is None:
        owner = principals.find_by_username(username=machine.owner)
        assert owner is not None, "people are made before what they answer for"
        user = people_services.create_machine(
            principal=system,
            username=machine.username,
            name=machine.name,
            kind=ActorKind(machine.kind),
            owner_id=owner.pk,
        )
    for role in machine.roles:
        _ensure_role(system, user=user, role=role, scope_id=scope_id)


def _ensure_workflow(source: str) -> None:
    """Save and publish a definition as those who may; one that is known changes nothing."""
    saved = save_version(
        principal=_act_as(cast.AUTHOR),
        project_slug=cast.PROJECT_SLUG,
        source=source,
        message="A use case of the demo.",
    )
    publish_version(
        principal=_act_as(cast.PUBLISHER),
        project_slug=cast.PROJECT_SLUG,
        workflow_slug=saved.workflow_slug,
        rev=saved.rev,
    )


def _act_as(member: Member) -> Principal:
    user = User.objects.get(username=member.username)
    origin = principals.make_origin(user=user, via=Via.COMMAND, auth="")
    return principals.get_principal(user=user, origin=origin)
