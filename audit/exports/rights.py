"""Who may have what exported. Read `find_target`, then `still_holds`.

An export shows what its requester sees in lists of entries and nothing else: it is bounded by the
scopes of `view_audit` they held when asking, and they must hold them all until it is finished, and
whoever downloads it when they do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from audit.domain.exporting import ExportKind, ExportSubjectMissingError, Wish
from audit.exports import reading
from audit.exports.models import Export
from core.identity.authorize import authorize, require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project, Scope, User
from core.identity.selectors.access import list_scopes
from core.identity.selectors.principals import get_principal, make_origin
from core.kernel.record import Via


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an export is about: a stream's name or "", and the scope that decides about it."""

    subject: str
    scope_id: UUID | None


def find_target(*, principal: Principal, wish: Wish) -> Target:
    """Return what a wish is about, if the caller may export it.

    Raises:
        ExportSubjectMissingError: if there is no such run or project to be seen.
        AccessForbiddenError: without `export_audit` or `view_audit` there; that goes on record.
    """
    target = _find(principal=principal, wish=wish)
    for permission in (Permission.VIEW_AUDIT, Permission.EXPORT_AUDIT):
        require(principal=principal, permission=permission, scope_id=target.scope_id)
    return target


def list_covered(*, principal: Principal) -> list[UUID] | None:
    """Return the scopes whose entries a principal sees now; `None` for all of them."""
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_AUDIT)
    return None if scopes.everything else sorted(scopes.scope_ids)


def still_holds(*, principal: Principal, export: Export) -> bool:
    """Say whether a principal may still see all of an export, and export it; some 5 queries."""
    may_export = authorize(
        principal=principal, permission=Permission.EXPORT_AUDIT, scope_id=export.scope
    ).allowed
    return may_export and covers(covered=list_covered(principal=principal), wanted=export.covered)


def covers(*, covered: Sequence[UUID] | None, wanted: Sequence[UUID] | None) -> bool:
    """Say whether scopes, with what is inside them, hold all of other ones; at most 1 query."""
    if covered is None:
        return True
    if wanted is None:
        return False
    missing = set(wanted) - set(covered)
    if not missing:
        return True
    inside = Scope.objects.filter(pk__in=missing, parent_id__in=list(covered)).count()
    return inside == len(missing)


def requester_of(*, user: User) -> Principal:
    """Return whoever asked, as they are now, for work that is done in their name."""
    return get_principal(user=user, origin=make_origin(user=user, via=Via.ENGINE, auth=""))


def _find(*, principal: Principal, wish: Wish) -> Target:
    if wish.kind is ExportKind.RUN:
        assert wish.run_id is not None, "the shape of a wish is checked before"
        found = reading.find_run_scope(run_id=wish.run_id)
        if found is None or not _may_view(principal, found[0]):
            raise ExportSubjectMissingError
        return Target(subject=f"run:{wish.run_id}", scope_id=found[0])
    if wish.kind is ExportKind.PROJECT:
        project = Project.objects.filter(slug=wish.project).first()
        if project is None or not _may_see(principal, project):
            raise ExportSubjectMissingError
        return Target(subject=f"project:{project.pk}", scope_id=project.scope_id)
    return Target(subject="", scope_id=None)


def _may_see(principal: Principal, project: Project) -> bool:
    return _may_view(principal, project.scope_id) or (
        authorize(
            principal=principal, permission=Permission.VIEW_PROJECT, scope_id=project.scope_id
        ).allowed
    )


def _may_view(principal: Principal, scope_id: UUID | None) -> bool:
    return authorize(
        principal=principal, permission=Permission.VIEW_AUDIT, scope_id=scope_id
    ).allowed
