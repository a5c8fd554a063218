"""What the page shows on which a run is run again. Read `get_rerun_page`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.identity.authorize import authorize_each
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.types import Json
from engine.models import Run, Version, VersionStatus
from engine.selectors.access_table import AccessGrant, list_access
from engine.selectors.runs import get_run
from engine.selectors.targets import get_run_target

_NEEDED: Final = (Permission.TRIGGER_WORKFLOW, Permission.OPERATE_RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunPage:
    """A run that somebody wants to be run again.

    `missing` is the first permission they lack, `None` if they may; `holders` say who has it.
    `inputs` are the run's and `revs` the versions it can be run again with, newest first, at most
    `limits.LIST_ITEM_COUNT_MAX`; both are empty for who may not.
    """

    number: int
    title: str
    status: str
    rev: int
    missing: Permission | None
    holders: tuple[AccessGrant, ...]
    inputs: dict[str, Json]
    revs: tuple[int, ...]


def get_rerun_page(*, principal: Principal, run_id: UUID) -> RerunPage:
    """Return what somebody is shown who runs a run again. Raises: RunMissingError."""
    target = get_run_target(principal=principal, run_id=run_id)
    run = Run.objects.select_related("version").get(pk=run_id)
    answers = authorize_each(principal=principal, permissions=_NEEDED, scope_id=target.scope_id)
    missing = next(
        (item for item, answer in zip(_NEEDED, answers, strict=True) if not answer.allowed), None
    )
    holders = list_access(scope_id=target.scope_id, permissions=[missing]) if missing else ()
    inputs = get_run(principal=principal, run_id=run_id).inputs if missing is None else None
    return RerunPage(
        number=run.number,
        title=run.title,
        status=run.status,
        rev=run.version.rev,
        missing=missing,
        holders=tuple(holders),
        inputs=inputs if isinstance(inputs, dict) else {},
        revs=tuple(_list_revs(run.workflow_id)) if missing is None else (),
    )


def _list_revs(workflow_id: UUID) -> Iterable[int]:
    live = Version.objects.filter(workflow_id=workflow_id, status=VersionStatus.PUBLISHED)
    return live.order_by("-rev").values_list("rev", flat=True)[: limits.LIST_ITEM_COUNT_MAX]
