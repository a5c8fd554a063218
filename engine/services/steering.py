"""What operators do to a run that goes on: pause, resume, try a step again, skip one.

Read `pause_run` first. Each verb locks the run, reads its state and asks the rules of
`engine.domain` whether it can be; then one entry is appended, with who says so and why. Whoever
drives the run finds it at the next append. Cancelling is in `runs`, sending an event in
`addressing`. Source: ENGINE §3, "Outsiders".
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.errors import PlatformError
from core.kernel.types import JsonLike
from engine import loading, registry, store
from engine.domain.decider import Decider
from engine.domain.errors import (
    ReasonMissingError,
    ReasonTooLongError,
    RunCancellingError,
    RunClosedError,
    RunHaltedError,
    RunNotResumableError,
    RunStepMissingError,
    RunTooLongError,
    StepNotRetriableError,
    StepNotSkippableError,
)
from engine.domain.events import Event, EventKind
from engine.domain.plan import Call, Wait
from engine.domain.skipping import (
    calls_inside,
    find_gate_obstacle,
    find_skip_obstacle,
    is_question,
)
from engine.domain.state import Outcome, RunState, RunStatus, StepState, StepStatus
from engine.domain.steering import OPERATOR, find_retry_obstacle
from engine.models import Run
from engine.ports import Answer
from engine.selectors.targets import get_run_target
from engine.services import outside
from engine.services.replaying import replay_run

_CHILDREN = """
    SELECT c.id, w.scope_id FROM engine_run c JOIN engine_workflow w ON w.id = c.workflow_id
    WHERE c.parent_id = %s AND NOT c.parent_reported AND c.status <> 'CLOSED' ORDER BY c.id"""

_CALLED_VERSIONS = """
    SELECT DISTINCT version_id FROM engine_run
    WHERE parent_id = %s AND (parent_key = %s OR starts_with(parent_key, %s))"""

# What is skipped in a run may change how it ends, and so what happens in those that called it.
_CALLERS = """
    WITH RECURSIVE up AS (
        SELECT parent_id, parent_key FROM engine_run WHERE id = %s
        UNION ALL
        SELECT r.parent_id, r.parent_key FROM engine_run r JOIN up ON r.id = up.parent_id)
    SELECT r.version_id, up.parent_key FROM up JOIN engine_run r ON r.id = up.parent_id"""

_IDLE = frozenset({RunStatus.READY, RunStatus.WAITING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What a verb came to. `replayed`: the run was so already, and nothing was written.

    `status` is the run's; one that is `RUNNING` hears of the verb at its driver's next append.
    """

    run_id: UUID
    status: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A run that is locked, with its state."""

    row: store.RunRow
    decider: Decider
    state: RunState


def pause_run(
    *, principal: Principal, run_id: UUID, reason: str, with_children: bool = False
) -> Steered:
    """Let nothing new begin in a run until it is resumed: no attempt, approval, child or timer.

    What executes may finish; what is open can be decided, and its outcome waits. Time goes on for
    deadlines. With `with_children`, the runs it awaits are paused as well, and theirs.
    Idempotent. Transaction: one of its own; locks the run, then its children.

    Raises:
        RunMissingError: no such run, or the caller may not see it.
        AccessForbiddenError: the caller sees it, or a child, but may not operate it.
        RunClosedError, RunHaltedError, RunCancellingError: there is nothing to pause.
        RunTooLongError: its record has no room for it.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
    """
    _check(principal, run_id, reason)
    with transaction.atomic():
        steered = _pause(principal, run_id, reason)
        for child_id in _list_children(principal, run_id) if with_children else ():
            _pause_child(principal, child_id, reason)
    return steered


def resume_run(
    *, principal: Principal, run_id: UUID, reason: str, with_children: bool = False
) -> Steered:
    """Let a run go on that was paused, or that has halted and can be followed now.

    A halted run is replayed first, with the code that is installed here. With `with_children`, the
    paused runs it awaits go on as well; halted ones do not.
    Idempotent. Transaction: one of its own; locks the run, then its children.

    Raises:
        RunMissingError: no such run, or the caller may not see it.
        AccessForbiddenError: the caller sees it, or a child, but may not operate it.
        RunClosedError: the run is over.
        RunNotResumableError: it would halt again; `details` has the difference.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
    """
    _check(principal, run_id, reason)
    with transaction.atomic():
        steered = _resume(principal, run_id, reason)
        for child_id in _list_children(principal, run_id) if with_children else ():
            _resume_child(principal, child_id, reason)
    return steered


def retry_step(*, principal: Principal, run_id: UUID, key: str, reason: str) -> Steered:
    """Try a step again that has failed, or whose next attempt would begin later.

    If a question is open about it, this is the caller's answer.
    Idempotent. Transaction: one of its own; locks the run.

    Raises:
        RunMissingError, RunStepMissingError: no such run or step, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not operate it.
        RunClosedError, RunHaltedError: nothing moves in the run.
        RunTooLongError: its record has no room for it.
        StepNotRetriableError: why not is its message.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
        approvals errors: the caller may not answer the question.
    """
    return _steer_step(
        _StepVerb(
            choice="retry",
            kind=EventKind.STEP_RETRY_REQUESTED,
            is_done=_is_tried_again,
            check=_check_retry,
        ),
        principal=principal,
        run_id=run_id,
        key=key,
        reason=reason,
    )


def skip_step(*, principal: Principal, run_id: UUID, key: str, reason: str) -> Steered:
    """Let a run go on without a step that has not ended; it counts as skipped.

    Nobody gets around an approval so. If a question is open about it, this is the caller's answer.
    Idempotent. Transaction: one of its own; locks the run.

    Raises:
        RunMissingError, RunStepMissingError: no such run or step, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not operate it.
        RunClosedError, RunHaltedError: nothing moves in the run.
        RunTooLongError: its record has no room for it.
        StepNotSkippableError: why not is its message.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
        approvals errors: the caller may not answer the question.
    """
    return _steer_step(
        _StepVerb(
            choice="skip",
            kind=EventKind.STEP_SKIP_REQUESTED,
            is_done=_is_skipped,
            check=_check_skip,
        ),
        principal=principal,
        run_id=run_id,
        key=key,
        reason=reason,
    )


def check_reason(*, reason: str) -> None:
    """Check that somebody says why. Raises: ReasonMissingError, ReasonTooLongError."""
    if not reason.strip():
        raise ReasonMissingError
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError


def check_room(*, row: store.RunRow) -> None:
    """Check that a run's record has room for what nobody needs. Raises: RunTooLongError."""
    if row.seq >= limits.OPERATE_ENTRY_COUNT_MAX:
        raise RunTooLongError(entry_count=row.seq)


# --- pausing and resuming ------------------------------------------------------------------------


def _pause(principal: Principal, run_id: UUID, reason: str) -> Steered:
    held = _hold(run_id)
    if held.state.cancelling:
        raise RunCancellingError
    if held.state.paused:
        return _unchanged(held)
    check_room(row=held.row)
    is_idle = held.row.status in _IDLE
    move_to = RunStatus.PAUSED if is_idle else None
    return _append(held, EventKind.RUN_PAUSED, principal, reason=reason, move_to=move_to)


def _resume(principal: Principal, run_id: UUID, reason: str) -> Steered:
    row = _lock(run_id)
    if row.status == RunStatus.HALTED:
        _check_replays(row)
    held = _read(row)
    if not (held.state.paused or held.state.halted):
        return _unchanged(held)
    is_driven = row.status == RunStatus.RUNNING
    move_to = None if is_driven else RunStatus.READY
    return _append(held, EventKind.RUN_RESUMED, principal, reason=reason, move_to=move_to)


def _check_replays(row: store.RunRow) -> None:
    """Check that the installed code leads where a halted run's record led."""
    loading.forget_state(run_id=row.id)  # it may be what is wrong
    if row.seq >= limits.RUN_ENTRY_COUNT_MAX - limits.OUTSIDE_ENTRY_COUNT_MAX:
        raise RunNotResumableError("Its record is too long to go on.", entry_count=row.seq)
    try:
        report = replay_run(run=Run.objects.select_related("version").get(pk=row.id))
    except PlatformError as error:  # the version itself cannot be read
        raise RunNotResumableError(error.message, cause=error.code) from error
    found = report.divergence
    if found is not None:
        message = f"Entry {found.seq} records {found.expected}, but replaying gives {found.found}."
        raise RunNotResumableError(
            message, seq=found.seq, expected=found.expected, found=found.found
        )
    if report.unreadable:
        raise RunNotResumableError(report.unreadable)


def _list_children(principal: Principal, run_id: UUID) -> Iterator[UUID]:
    """Yield the open runs that a locked run awaits, and theirs. Each may be operated."""
    with connection.cursor() as cursor:
        cursor.execute(_CHILDREN, (run_id,))
        found = cursor.fetchall()
    for child_id, scope_id in found:
        require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=scope_id)
        yield child_id
        yield from _list_children(principal, child_id)


def _pause_child(principal: Principal, run_id: UUID, reason: str) -> None:
    """Pause a run for its caller, unless it stands still or comes to its end anyway."""
    held = _find_open(run_id)
    if held is not None and not (held.state.cancelling or held.state.paused):
        is_idle = held.row.status in _IDLE
        move_to = RunStatus.PAUSED if is_idle else None
        _append(held, EventKind.RUN_PAUSED, principal, reason=reason, move_to=move_to)


def _resume_child(principal: Principal, run_id: UUID, reason: str) -> None:
    held = _find_open(run_id)
    if held is not None and held.state.paused:
        is_driven = held.row.status == RunStatus.RUNNING
        move_to = None if is_driven else RunStatus.READY
        _append(held, EventKind.RUN_RESUMED, principal, reason=reason, move_to=move_to)


def _find_open(run_id: UUID) -> _Held | None:
    row = store.lock_run(run_id=run_id)
    assert row is not None, "runs are never deleted"
    if row.status in {RunStatus.CLOSED, RunStatus.HALTED}:
        return None
    return _read(row)


# --- steps ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _StepVerb:
    """A verb for a step: as which answer it counts, what it appends, and what is in its way."""

    choice: str
    kind: EventKind
    is_done: Callable[[RunState, str], bool]
    check: Callable[[_Held, str], None]


def _steer_step(
    verb: _StepVerb, *, principal: Principal, run_id: UUID, key: str, reason: str
) -> Steered:
    _check(principal, run_id, reason)
    with transaction.atomic():
        held = _hold(run_id)
        step = held.state.steps.get(key)
        if step is None:
            raise RunStepMissingError(step=key)
        if verb.is_done(held.state, key):
            return _unchanged(held)
        if not _is_asked(held.state, key, step):
            verb.check(held, key)
            check_room(row=held.row)
            return _append(held, verb.kind, principal, reason=reason, data={"key": key})
    # Outside the lock, because answering takes it itself, with the request's after it.
    registry.answer_question(
        Answer(principal=principal, run_id=run_id, key=key, choice=verb.choice, reason=reason)
    )
    row = store.read_run(run_id=run_id)
    assert row is not None, "runs are never deleted"
    return Steered(run_id=run_id, status=row.status, replayed=False)


def _is_asked(state: RunState, key: str, step: StepState) -> bool:
    return is_question(state, key) and step.status is StepStatus.WAITING


def _is_tried_again(state: RunState, key: str) -> bool:
    """Say whether a step that failed is being tried again already."""
    step = state.steps[key]
    has_failed = step.attempt - (step.status is StepStatus.RUNNING) > 0 or step.round > 1
    begins = {StepStatus.READY, StepStatus.HELD, StepStatus.RUNNING}
    return key in state.restarting or (has_failed and step.status in begins)


def _is_skipped(state: RunState, key: str) -> bool:
    step = state.steps[key]
    return step.outcome is Outcome.SKIPPED and step.why in {OPERATOR, "question"}


def _check_retry(held: _Held, key: str) -> None:
    obstacle = find_retry_obstacle(held.decider.definition, held.state, key)
    if obstacle:
        raise StepNotRetriableError(obstacle, step=key)


def _check_skip(held: _Held, key: str) -> None:
    obstacle = find_skip_obstacle(held.decider.definition, held.state, key)
    if obstacle:
        raise StepNotSkippableError(obstacle, step=key)
    versions = _called_versions(held, key)
    if any(version is None or _may_ask(version) for version in versions):
        message = "It calls a workflow that has an approval, or may call one; nobody skips that."
        raise StepNotSkippableError(message, step=key)
    for version_id, calling_key in _list_callers(held.row.id):
        definition = loading.get_rules(version_id=version_id).decider.definition
        if obstacle := find_gate_obstacle(definition, calling_key):
            message = f"What called this run goes by its end. {obstacle}"
            raise StepNotSkippableError(message, step=key)


def _list_callers(run_id: UUID) -> list[tuple[UUID, str]]:
    """Return which steps await a run, and those that await theirs: (version, key)."""
    with connection.cursor() as cursor:
        cursor.execute(_CALLERS, (run_id,))
        return [(row[0], row[1]) for row in cursor.fetchall()]


def _called_versions(held: _Held, key: str) -> list[UUID | None]:
    """Return the versions a step calls or has called; `None`: one that is not known."""
    found: list[UUID | None] = []
    calls = calls_inside(held.decider.definition, key)
    for call in calls:
        chosen = held.state.calls.get(call.reference)
        text = chosen.get("version") if isinstance(chosen, dict) else None
        found.append(UUID(str(text)) if text else None)
    if calls:
        with connection.cursor() as cursor:
            cursor.execute(_CALLED_VERSIONS, (held.row.id, key, f"{key}/"))
            found += [row[0] for row in cursor.fetchall()]
    return found


def _may_ask(version_id: UUID) -> bool:
    """Say whether a version holds an approval, or calls what may."""
    steps = loading.get_rules(version_id=version_id).decider.definition.tree.steps()
    return any(isinstance(step.verb, Wait | Call) for step in steps)


# --- small parts ---------------------------------------------------------------------------------


def _check(principal: Principal, run_id: UUID, reason: str) -> None:
    target = get_run_target(principal=principal, run_id=run_id)
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    check_reason(reason=reason)


def _lock(run_id: UUID) -> store.RunRow:
    row = store.lock_run(run_id=run_id)
    assert row is not None, "runs are never deleted"
    if row.status == RunStatus.CLOSED:
        raise RunClosedError(outcome=row.outcome)
    return row


def _hold(run_id: UUID) -> _Held:
    """Lock a run and read its state. Raises: RunClosedError, RunHaltedError."""
    row = _lock(run_id)
    if row.status == RunStatus.HALTED:
        raise RunHaltedError
    return _read(row)


def _read(row: store.RunRow) -> _Held:
    decider = loading.get_rules(version_id=row.version_id).decider
    state, _ = loading.load_state(decider=decider, run_id=row.id, seq=row.seq)
    return _Held(row=row, decider=decider, state=state)


def _append(
    held: _Held,
    kind: EventKind,
    principal: Principal,
    *,
    reason: str,
    data: dict[str, JsonLike] | None = None,
    move_to: RunStatus | None = None,
) -> Steered:
    row = held.row
    event = Event(kind=kind, at=row.now, data=data or {}, payloads={"reason": reason.strip()})
    outside.append(row=row, events=(event,), origin=principal.origin, move_to=move_to)
    is_woken = row.status == RunStatus.WAITING and move_to is None
    status = RunStatus.READY if is_woken else move_to or row.status
    return Steered(run_id=row.id, status=str(status), replayed=False)


def _unchanged(held: _Held) -> Steered:
    return Steered(run_id=held.row.id, status=held.row.status, replayed=True)
