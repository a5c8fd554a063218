"""Starting and cancelling runs. Read `start_run` first; other verbs are in `steering`."""

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import ids, limits
from core.kernel.canonical import digest
from core.kernel.record import ActorKind
from core.kernel.types import Json
from core.toolkit import queue
from engine import loading, starting, store
from engine.domain.errors import (
    NothingPublishedError,
    ReasonTooLongError,
    RunCancellingError,
    RunClosedError,
    RunHaltedError,
    VersionMissingError,
)
from engine.domain.events import Event
from engine.domain.inputs import keep_inputs
from engine.domain.state import RunStatus
from engine.domain.triggers import check_trigger
from engine.flow_control.admission import draw_admitted_number
from engine.models import VersionStatus
from engine.selectors.started import StartedRun, find_started
from engine.selectors.targets import StartTarget, get_run_target, get_start_target
from engine.services import cancelling
from engine.starting import Chosen


def start_run(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    inputs: Json,
    idempotency_key: str = "",
    rev: int | None = None,
    priority: int = 0,
) -> StartedRun:
    """Start a run of a workflow's newest published version, or of a named one.

    Of runs that wait for a worker, or for their turn in a group, those of a higher `priority` (0 to
    9) go first; over 0 takes the permission to operate runs, because others wait for it.
    Idempotent on `idempotency_key` within the workflow, for the same inputs and revision.
    Transaction: one statement of its own.

    Raises:
        WorkflowMissingError: no such workflow, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not start it, or not so urgently.
        NothingPublishedError, VersionMissingError: there is nothing to run.
        TriggerRefusedError: the definition's `triggers` do not name the caller's channel.
        InputsInvalidError, InputsTooLargeError: the inputs do not match, or make `vars` too large.
        ExpressionError: the title or `vars` cannot be rendered with them.
        CallUnresolvedError: a workflow that the definition calls has no version that fits.
        PausedError: the workflow or its project is paused.
        BackloggedError, QuotaExceededError: too many runs wait, are open or were started.
        KeyReusedError: the key was used with another request.
    """
    target = get_start_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug, rev=rev
    )
    workflow_id = target.workflow.workflow_id
    if priority:
        scope_id = target.workflow.scope_id
        require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=scope_id)
    kept = keep_inputs(inputs)
    request_digest = digest(
        {"inputs": kept, "rev": rev, **({"priority": priority} if priority else {})}
    )
    known = find_started(
        workflow_id=workflow_id, idempotency_key=idempotency_key, request_digest=request_digest
    )
    if known is not None:
        return known
    chosen = _choose(target=target, rev=rev)
    plan = chosen.plan()
    check_trigger(triggers=plan.triggers, via=principal.origin.via)
    filled = starting.fill_inputs(chosen, kept)
    calls = starting.choose_versions(plan=plan, project_slug=chosen.project_slug)
    starting.check_rendering(chosen, filled)
    run, event = _make_run(
        chosen,
        filled,
        principal=principal,
        calls=calls,
        key=idempotency_key,
        request_digest=request_digest,
        priority=priority,
    )
    while not starting.insert(chosen, run, event, origin=principal.origin):
        # Another insert holds the key. Its run is visible once it has committed; if it was rolled
        # back, the next round inserts. Source: ENGINE §3, "start".
        known = find_started(
            workflow_id=workflow_id, idempotency_key=idempotency_key, request_digest=request_digest
        )
        if known is not None:
            return known
    queue.hint_on_commit("engine.drive", run_id=str(run.id))
    return StartedRun(run_id=run.id, number=run.number, replayed=False)


def cancel_run(
    *, principal: Principal, run_id: UUID, reason: str, compensate: bool = False
) -> None:
    """Cancel a run: what has not begun never will, and its open requests are voided.

    An attempt that executes now is finished and recorded; then the run closes as cancelled. A
    halted run closes at once, a paused one goes on to its end.
    With `compensate`, what has completed and can be undone is undone first, newest first; runs it
    has called and awaits undo theirs before.
    Idempotent: cancelling again changes nothing, unless the run has halted since.
    Transaction: one of its own; locks run, its children if it compensates, then requests.

    Raises:
        RunMissingError: no such run, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not operate it.
        RunClosedError: the run is over.
        RunHaltedError: of a halted run nothing can be undone; resume it first.
        RunCancellingError: it is being cancelled already, without undoing anything.
        ReasonTooLongError: the reason is over `limits.REASON_CHARS_MAX`.
    """
    target = get_run_target(principal=principal, run_id=run_id)
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError
    with transaction.atomic():
        row = store.lock_run(run_id=run_id)
        assert row is not None, "runs are never deleted"
        if row.status == RunStatus.CLOSED:
            raise RunClosedError(outcome=row.outcome)
        if compensate:
            _check_compensates(row)
        cancelling.cancel_locked(
            row=row, reason=reason, origin=principal.origin, compensate=compensate
        )


def _check_compensates(row: store.RunRow) -> None:
    if row.status == RunStatus.HALTED:
        raise RunHaltedError("A halted run can undo nothing; resume it first.")
    decider = loading.get_rules(version_id=row.version_id).decider
    state, _ = loading.load_state(decider=decider, run_id=row.id, seq=row.seq)
    if state.cancelling and not state.compensating:
        raise RunCancellingError("It is being cancelled already, and undoes nothing.")


# --- starting --------------------------------------------------------------------------------


def _choose(*, target: StartTarget, rev: int | None) -> Chosen:
    workflow, version = target.workflow, target.version
    if version is None:
        raise NothingPublishedError(workflow=workflow.workflow_slug)
    if rev is not None and version.rev != rev:
        raise VersionMissingError(rev=rev)
    if version.status != VersionStatus.PUBLISHED:
        raise NothingPublishedError(f"Version {version.rev} is not published.", rev=version.rev)
    return Chosen(
        version_id=version.id,
        version_digest=version.digest.hex(),
        rev=version.rev,
        workflow_id=workflow.workflow_id,
        workflow_slug=workflow.workflow_slug,
        scope_id=workflow.scope_id,
        project_id=workflow.project_id,
        project_slug=workflow.project_slug,
    )


def _make_run(
    chosen: Chosen,
    inputs: dict[str, Json],
    *,
    principal: Principal,
    calls: Mapping[str, Json],
    key: str,
    request_digest: bytes,
    priority: int,
) -> tuple[store.NewRun, Event]:
    run_id = ids.uuid7()
    number, at = draw_admitted_number(workflow_id=chosen.workflow_id, project_id=chosen.project_id)
    title, event = starting.make_started_event(
        chosen,
        inputs,
        run_id=run_id,
        number=number,
        at=at,
        calls=calls,
        extra={"priority": priority} if priority else None,
    )
    is_agent = principal.kind is ActorKind.AGENT
    behalf = principal.origin.on_behalf_of
    run = store.NewRun(
        id=run_id,
        number=number,
        workflow_id=chosen.workflow_id,
        version_id=chosen.version_id,
        initiator_id=principal.user_id,
        on_behalf_of_id=UUID(behalf.id) if behalf else None,
        agent_owner_id=principal.person_id if is_agent else None,
        title=title,
        idempotency_key=key,
        request_digest=request_digest,
        created_at=at,
        priority=priority,
    )
    return run, event
