"""Pausing workflows and projects, and setting quotas. Read `pause_workflow` first."""

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from audit.domain.entry import StreamHead, extend
from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.services.recording import name_project_stream, record_act
from core.kernel import ids, limits
from core.kernel.record import Draft
from core.kernel.types import JsonLike
from core.toolkit.db import after_commit, read_database_clock
from engine import store
from engine.domain.errors import ReasonMissingError, ReasonTooLongError
from engine.flow_control import admission, pauses, quotas
from engine.flow_control.quotas import Limits
from engine.models import Workflow
from engine.selectors.targets import WorkflowTarget, get_project_target, get_workflow_target
from engine.triggers import firing, rows

_QUOTA_NAMES = ("open_runs", "starts_per_hour", "starts_per_day")


def pause_workflow(
    *, principal: Principal, project_slug: str, workflow_slug: str, reason: str
) -> bool:
    """Let no run of a workflow begin until it is resumed. Runs that are open go on.

    What triggers would start waits; a schedule makes up for what it missed as its `catch-up` says.
    Idempotent. Transaction: one of its own; locks the workflow.

    Returns:
        Whether it was not paused yet; if it was, nothing is written.

    Raises:
        WorkflowMissingError: no such workflow, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not operate its runs.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
    """
    target = _workflow(principal, project_slug, workflow_slug, reason)
    with transaction.atomic():
        workflow = _lock(target)
        is_new = pauses.begin(
            project_id=target.project_id,
            workflow_id=target.workflow_id,
            reason=reason,
            user_id=principal.user_id,
        )
        if is_new:
            _record(workflow, principal=principal, kind="workflow.paused", reason=reason)
    return is_new


def resume_workflow(
    *, principal: Principal, project_slug: str, workflow_slug: str, reason: str
) -> bool:
    """Let runs of a workflow begin again. A pause of its project is another one, and stays.

    Idempotent. Transaction: one of its own; locks the workflow.

    Returns:
        Whether it was paused.

    Raises:
        as `pause_workflow`.
    """
    target = _workflow(principal, project_slug, workflow_slug, reason)
    with transaction.atomic():
        workflow = _lock(target)
        if not pauses.end(project_id=target.project_id, workflow_id=target.workflow_id):
            return False
        _record(workflow, principal=principal, kind="workflow.resumed", reason=reason)
        _bring_forward(target.project_id, target.workflow_id)
    return True


def pause_project(*, principal: Principal, project_slug: str, reason: str) -> bool:
    """Let no run of a project begin until it is resumed. Runs that are open go on.

    Idempotent. Transaction: one of its own.

    Returns:
        Whether it was not paused yet.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not operate runs in all of it.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
    """
    target = get_project_target(principal=principal, project_slug=project_slug)
    answer = require(
        principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id
    )
    _check_reason(reason)
    with transaction.atomic():
        is_new = pauses.begin(
            project_id=target.project_id,
            workflow_id=None,
            reason=reason,
            user_id=principal.user_id,
        )
        if is_new:
            _record_project(
                target.project_id,
                principal=principal,
                kind="project.paused",
                matched=answer.matched,
                payloads={"reason": reason},
            )
    return is_new


def resume_project(*, principal: Principal, project_slug: str, reason: str) -> bool:
    """Let runs of a project begin again, but of workflows that are paused by themselves.

    Idempotent. Transaction: one of its own.

    Returns:
        Whether it was paused.

    Raises:
        as `pause_project`.
    """
    target = get_project_target(principal=principal, project_slug=project_slug)
    answer = require(
        principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id
    )
    _check_reason(reason)
    with transaction.atomic():
        if not pauses.end(project_id=target.project_id, workflow_id=None):
            return False
        _record_project(
            target.project_id,
            principal=principal,
            kind="project.resumed",
            matched=answer.matched,
            payloads={"reason": reason},
        )
        _bring_forward(target.project_id, None)
    return True


def set_quota(
    *,
    principal: Principal,
    project_slug: str,
    open_run_count_max: int | None,
    hour_start_count_max: int | None,
    day_start_count_max: int | None,
) -> Limits:
    """Set how much a project may start; return what counts now.

    Args:
        principal: who sets it.
        project_slug: the project's.
        open_run_count_max: open runs; `None` is what the settings say, 0 no bound.
        hour_start_count_max: starts in an hour of UTC, likewise.
        day_start_count_max: starts in a day of UTC, likewise.

    Transaction: one of its own.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        AccessForbiddenError: the caller may not change the project.
    """
    target = get_project_target(principal=principal, project_slug=project_slug)
    answer = require(
        principal=principal, permission=Permission.CHANGE_PROJECT, scope_id=target.scope_id
    )
    own = (open_run_count_max, hour_start_count_max, day_start_count_max)
    with transaction.atomic():
        if quotas.find_own(project_id=target.project_id) != own:
            quotas.set_own(project_id=target.project_id, own=own)
            _record_project(
                target.project_id,
                principal=principal,
                kind="project.quota_changed",
                matched=answer.matched,
                data=dict(zip(_QUOTA_NAMES, own, strict=True)),
            )
            _bring_forward(target.project_id, None)
            after_commit(admission.forget_measures)
    return quotas.effective(own)


# --- small parts -----------------------------------------------------------------------------


def _workflow(
    principal: Principal, project_slug: str, workflow_slug: str, reason: str
) -> WorkflowTarget:
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    _check_reason(reason)
    return target


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise ReasonMissingError
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError


def _lock(target: WorkflowTarget) -> Workflow:
    return Workflow.objects.select_for_update(no_key=True).get(pk=target.workflow_id)


def _bring_forward(project_id: UUID, workflow_id: UUID | None) -> None:
    """Let what triggers have to start be looked at now. Transaction: needs one."""
    if rows.bring_forward(project_id=project_id, workflow_id=workflow_id):
        after_commit(firing.hint_firings)


def _record(workflow: Workflow, *, principal: Principal, kind: str, reason: str) -> None:
    draft = Draft(
        kind=kind,
        at=read_database_clock(),
        origin=principal.origin,
        subject=f"workflow:{workflow.id}",
        scope=workflow.scope_id,
        payloads={"reason": reason},
    )
    head = StreamHead(stream=workflow.id, seq=workflow.seq, head=bytes(workflow.head))
    head, entries = extend(head=head, drafts=(draft,), salts=ids.salt)
    store.append_to_workflow(head=head, entries=entries)


def _record_project(
    project_id: UUID,
    *,
    principal: Principal,
    kind: str,
    matched: str,
    data: Mapping[str, JsonLike] | None = None,
    payloads: Mapping[str, JsonLike] | None = None,
) -> None:
    record_act(
        principal=principal,
        kind=kind,
        subject=project_id,
        stream=name_project_stream(project_id),
        matched=matched,
        data=data,
        payloads=payloads,
    )
