"""What the page shows on which a run is run again. Read `get_rerun_page`."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.identity.authorize import authorize_each
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from engine.models import Run
from engine.selectors.access_table import AccessGrant, list_access
from engine.selectors.targets import get_run_target

_NEEDED: Final = (Permission.TRIGGER_WORKFLOW, Permission.OPERATE_RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunPage:
    """A run that somebody wants to be run again.

    `missing` is the first permission they lack, `None` if they may; `holders` say who has it.
    """

    number: int
    title: str
    status: str
    rev: int
    missing: Permission | None
    holders: tuple[AccessGrant, ...]


def get_rerun_page(*, principal: Principal, run_id: UUID) -> RerunPage:
    """Return what somebody is shown who runs a run again. Raises: RunMissingError."""
    target = get_run_target(principal=principal, run_id=run_id)
    run = Run.objects.select_related("version").get(pk=run_id)
    answers = authorize_each(principal=principal, permissions=_NEEDED, scope_id=target.scope_id)
    missing = next(
        (item for item, answer in zip(_NEEDED, answers, strict=True) if not answer.allowed), None
    )
    holders = list_access(scope_id=target.scope_id, permissions=[missing]) if missing else ()
    return RerunPage(
        number=run.number,
        title=run.title,
        status=run.status,
        rev=run.version.rev,
        missing=missing,
        holders=tuple(holders),
    )
