"""Projects. Read `create_project` first."""

from uuid import UUID

from core.identity.acts import act
from core.identity.authorize import require
from core.identity.domain.errors import NameTakenError
from core.identity.domain.permissions import Permission, ScopeKind
from core.identity.domain.principal import Principal
from core.identity.models import Project
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.checking import Checker
from core.identity.services.duplicates import refusing_duplicate
from core.identity.services.finding import get_project
from core.identity.services.recording import name_project_stream, record_act
from core.identity.services.scopes import create_scope


@act
def create_project(*, principal: Principal, slug: str, title: str) -> Project:
    """Make a project and its scope. Nobody gets a role in it by that.

    Args:
        principal: who makes it.
        slug: its name in addresses; never changes.
        title: what people call it.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `change_project` everywhere.
        IdentityInvalidError: for a bad slug or title.
        NameTakenError: if there is such a project.
    """
    answer = require(principal=principal, permission=Permission.CHANGE_PROJECT, scope_id=None)
    check = Checker()
    check.slug("/slug", slug)
    check.title("/title", title)
    check.finish()
    taken = NameTakenError(f"There is a project {slug!r} already.", slug=slug)
    with refusing_duplicate(table="identity_project", error=taken):
        scope = create_scope(kind=ScopeKind.PROJECT, parent_id=GLOBAL_SCOPE_ID)
        project = Project.objects.create(slug=slug, title=title, scope=scope)
    record_act(
        principal=principal,
        kind="project.created",
        subject=project.pk,
        stream=name_project_stream(project.pk),
        matched=answer.matched,
        data={"slug": slug, "scope": str(scope.pk)},
        payloads={"title": title},
    )
    return project


@act
def change_project(*, principal: Principal, project_id: UUID, title: str) -> Project:
    """Change what a project is called.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `change_project` in it.
        IdentityInvalidError: for a bad title.
        IdentityMissingError: if there is no such project.
    """
    project = get_project(project_id)
    answer = require(
        principal=principal, permission=Permission.CHANGE_PROJECT, scope_id=project.scope_id
    )
    check = Checker()
    check.title("/title", title)
    check.finish()
    project.title = title
    project.save(update_fields=["title"])
    record_act(
        principal=principal,
        kind="project.changed",
        subject=project.pk,
        stream=name_project_stream(project.pk),
        matched=answer.matched,
        data={"fields": ["title"]},
        payloads={"title": title},
    )
    return project
