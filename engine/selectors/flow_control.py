"""What is paused, and what a project has of what it may. Read `get_project_flow`."""

from dataclasses import dataclass

from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from engine.flow_control import pauses, quotas
from engine.flow_control.pauses import Paused
from engine.flow_control.quotas import Limits, Use
from engine.selectors.targets import get_project_target, get_workflow_target


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """What keeps runs of a workflow from beginning: a pause of its own, one of its project."""

    workflow: Paused | None
    project: Paused | None
    may_pause: bool

    @property
    def is_paused(self) -> bool:
        """Say whether no run begins."""
        return self.workflow is not None or self.project is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFlow:
    """A project: its pause, its quota (`own` is what was set for it), and what it has now.

    Of open runs, `use` counts at most one more than the quota, or than
    `limits.OPEN_COUNT_SHOWN` without one.
    """

    project_slug: str
    paused: Paused | None
    own: tuple[int | None, int | None, int | None]
    limits: Limits
    use: Use
    may_pause: bool
    may_change: bool


def get_pauses(*, principal: Principal, project_slug: str, workflow_slug: str) -> Pauses:
    """Return what is paused of a workflow. Raises: WorkflowMissingError."""
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    found = pauses.list_pauses(project_id=target.project_id, workflow_id=target.workflow_id)
    may_pause = authorize(
        principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id
    )
    return Pauses(
        workflow=next((item for item in found if item.workflow_id is not None), None),
        project=next((item for item in found if item.workflow_id is None), None),
        may_pause=may_pause.allowed,
    )


def get_project_flow(*, principal: Principal, project_slug: str) -> ProjectFlow:
    """Return a project's pause and quota. Raises: ProjectMissingError."""
    target = get_project_target(principal=principal, project_slug=project_slug)
    found = pauses.list_pauses(project_id=target.project_id)
    own = quotas.find_own(project_id=target.project_id)
    allowed = quotas.effective(own)
    most = allowed.open_run_count_max + 1 if allowed.open_run_count_max else limits.OPEN_COUNT_SHOWN
    may = {
        permission: authorize(
            principal=principal, permission=permission, scope_id=target.scope_id
        ).allowed
        for permission in (Permission.OPERATE_RUN, Permission.CHANGE_PROJECT)
    }
    return ProjectFlow(
        project_slug=target.project_slug,
        paused=found[0] if found else None,
        own=own,
        limits=allowed,
        use=quotas.read_use(project_id=target.project_id, open_limit=most),
        may_pause=may[Permission.OPERATE_RUN],
        may_change=may[Permission.CHANGE_PROJECT],
    )
