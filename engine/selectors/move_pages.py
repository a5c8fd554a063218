"""What the page shows on which open runs are moved to a version. Read `get_move_page`."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import Exists, OuterRef

from core.identity.authorize import authorize_each
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from engine.domain.errors import NothingPublishedError, VersionMissingError
from engine.domain.state import RunStatus
from engine.models import Run, Version, VersionStatus
from engine.selectors.access_table import AccessGrant, list_access
from engine.selectors.targets import get_workflow_target

_NEEDED: Final = (Permission.PUBLISH_WORKFLOW, Permission.OPERATE_RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePage:
    """Where runs are to be moved, and the versions that have open ones.

    `missing` is the first permission the reader lacks, `None` if they may; `holders` who has it.
    """

    project_slug: str
    workflow_slug: str
    rev: int
    from_revs: tuple[int, ...]
    missing: Permission | None
    holders: tuple[AccessGrant, ...]


def can_move(*, principal: Principal, scope_id: UUID) -> bool:
    """Say whether somebody may move runs of a workflow to another version."""
    return _find_missing(principal, scope_id) is None


def get_move_page(
    *, principal: Principal, project_slug: str, workflow_slug: str, rev: int
) -> MovePage:
    """Return what somebody is shown who moves runs to a version; the newest versions first.

    Raises:
        WorkflowMissingError, VersionMissingError: there is none to be seen.
        NothingPublishedError: the version is not published.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    versions = Version.objects.filter(workflow_id=target.workflow_id)
    status = versions.filter(rev=rev).values_list("status", flat=True).first()
    if status is None:
        raise VersionMissingError(rev=rev)
    if status != VersionStatus.PUBLISHED:
        raise NothingPublishedError(f"Version {rev} is not published.", rev=rev)
    missing = _find_missing(principal, target.scope_id)
    is_open = Exists(Run.objects.filter(version_id=OuterRef("pk")).exclude(status=RunStatus.CLOSED))
    revs = versions.filter(is_open).exclude(rev=rev).order_by("-rev").values_list("rev", flat=True)
    holders = list_access(scope_id=target.scope_id, permissions=[missing]) if missing else ()
    return MovePage(
        project_slug=target.project_slug,
        workflow_slug=target.workflow_slug,
        rev=rev,
        from_revs=() if missing else tuple(revs[: limits.PAGE_SIZE_MAX]),
        missing=missing,
        holders=tuple(holders),
    )


def _find_missing(principal: Principal, scope_id: UUID) -> Permission | None:
    answers = authorize_each(principal=principal, permissions=_NEEDED, scope_id=scope_id)
    found = zip(_NEEDED, answers, strict=True)
    return next((item for item, answer in found if not answer.allowed), None)
