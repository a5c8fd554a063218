"""Running runs again: from a step, with other inputs, with another version. Read `rerun`.

What is taken over and what is executed again is decided in `engine.domain.rerunning`; `foresee`
shows it without doing anything. Why it is so: decision 31.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import ids, limits
from core.kernel.canonical import canonical_bytes, digest
from core.kernel.types import Json, JsonLike
from core.toolkit import queue
from engine import starting, store
from engine.domain.differing import Setting, find_changed
from engine.domain.errors import (
    NothingPublishedError,
    ReasonMissingError,
    ReasonTooLongError,
    RerunTooLargeError,
    RunOpenError,
    VersionMissingError,
)
from engine.domain.events import Event
from engine.domain.inputs import keep_inputs
from engine.domain.keys import any_try_of, prefix_of
from engine.domain.plan import Kind
from engine.domain.rerunning import (
    First,
    Past,
    Rerun,
    Taken,
    Why,
    carry,
    find_chosen,
    list_choices,
    plan_rerun,
)
from engine.domain.state import RunState, RunStatus
from engine.flow_control import admission
from engine.models import Run, Version, VersionStatus
from engine.reruns import rows
from engine.reruns.origin import Origin, list_gated, read_origin
from engine.selectors.started import StartedRun, find_started
from engine.selectors.targets import RunTarget, get_run_target
from engine.services import cancelling
from engine.starting import Chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to be run again.

    `step` is a key or an id, "" for everything. `inputs` and `rev` are `None` to stay as they were;
    with either it is a fork.
    """

    step: str = ""
    inputs: Json = None
    rev: int | None = None

    @property
    def is_fork(self) -> bool:
        """Say whether the new run is another one than the origin was."""
        return self.inputs is not None or self.rev is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What running a run again would do.

    `choices` are the steps or visits of the origin that can be chosen; `changed_steps` and
    `changed_inputs` name what differs from the origin in a fork.
    """

    run_id: UUID
    number: int
    rev: int
    rerun: Rerun
    choices: tuple[Taken, ...]
    inputs: Mapping[str, Json]
    changed_inputs: tuple[str, ...] = ()
    changed_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A wish that can be granted."""

    origin: Origin
    chosen: Chosen
    inputs: dict[str, Json]
    calls: dict[str, Json]
    foreseen: Foreseen


def foresee(*, principal: Principal, run_id: UUID, wish: Wish) -> Foreseen:
    """Return what running a run again would do now. Changes nothing.

    Raises: as `rerun`, but for the reason and the key.
    """
    _check_access(principal, run_id)
    row = store.read_run(run_id=run_id)
    assert row is not None, "the caller may see it"
    return _prepare(run_id, status=row.status, wish=wish).foreseen


def rerun(
    *, principal: Principal, run_id: UUID, wish: Wish, reason: str, idempotency_key: str = ""
) -> StartedRun:
    """Start a run that is another one run again. Idempotent on the key, for the same wish.

    A halted origin is cancelled by it: what it had done has one owner.
    Transaction: one of its own; locks the origin, and what cancelling it locks.

    Raises:
        RunMissingError: no such run, or the caller may not see it.
        AccessForbiddenError: the caller may not start the workflow, or not operate its runs.
        ReasonMissingError, ReasonTooLongError: there is no reason, or it is over its bound.
        RunOpenError: the origin goes on.
        RunRedactedError, NotRepeatableError: its record is not whole, or does not replay.
        StepMissingError: there is no such step, or the origin has never been in that state.
        NothingPublishedError, VersionMissingError: the version is not there to be run.
        InputsInvalidError, InputsTooLargeError: the inputs do not match, or are too large.
        ExpressionError, CallUnresolvedError: as `start_run`.
        RerunTooLargeError: what would be taken over is over its bound.
        KeyReusedError: the key was used with another request.
    """
    target = _check_access(principal, run_id)
    if not reason.strip():
        raise ReasonMissingError
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError
    request_digest = _digest(run_id, wish, reason)
    with transaction.atomic():
        row = store.lock_run(run_id=run_id)
        assert row is not None, "runs are never deleted"
        while True:
            known = find_started(
                workflow_id=target.workflow_id,
                idempotency_key=idempotency_key,
                request_digest=request_digest,
            )
            if known is not None:
                return known
            prepared = _prepare(run_id, status=row.status, wish=wish)
            run, event = _make_run(
                prepared,
                principal=principal,
                wish=wish,
                reason=reason,
                key=idempotency_key,
                request_digest=request_digest,
            )
            if starting.insert(prepared.chosen, run, event, origin=principal.origin):
                break
        _note(prepared, run, principal=principal, wish=wish)
        if row.status != RunStatus.CLOSED:
            why = f"Run again as run {run.number}: {reason}"[: limits.REASON_CHARS_MAX]
            cancelling.cancel_locked(row=row, reason=why, origin=principal.origin)
        queue.hint_on_commit("engine.drive", run_id=str(run.id))
    return StartedRun(run_id=run.id, number=run.number, replayed=False)


# --- what is wished for ----------------------------------------------------------------------


def _check_access(principal: Principal, run_id: UUID) -> RunTarget:
    target = get_run_target(principal=principal, run_id=run_id)
    for permission in (Permission.TRIGGER_WORKFLOW, Permission.OPERATE_RUN):
        require(principal=principal, permission=permission, scope_id=target.scope_id)
    return target


def _digest(run_id: UUID, wish: Wish, reason: str) -> bytes:
    inputs = None if wish.inputs is None else keep_inputs(wish.inputs)
    asked: dict[str, JsonLike] = {"step": wish.step, "inputs": inputs, "rev": wish.rev}
    return digest({"rerun": str(run_id), "reason": reason, **asked})


def _prepare(run_id: UUID, *, status: str, wish: Wish) -> _Prepared:
    if status not in {RunStatus.CLOSED, RunStatus.HALTED}:
        raise RunOpenError
    run = Run.objects.select_related("version").get(pk=run_id)
    origin = read_origin(run=run)
    chosen = _choose(run, rev=wish.rev)
    inputs = origin.inputs
    if wish.is_fork:
        given = wish.inputs if wish.inputs is not None else inputs
        inputs = starting.fill_inputs(chosen, keep_inputs(given))
    calls = origin.calls
    if chosen.version_id != run.version_id:
        calls = starting.choose_versions(plan=chosen.plan(), project_slug=chosen.project_slug)
    starting.check_rendering(chosen, inputs, heard=origin.heard)
    changed = _find_changed(origin, chosen, inputs, calls) if wish.is_fork else {}
    planned = _plan(origin, chosen, step=wish.step, changed=changed)
    foreseen = Foreseen(
        run_id=run_id,
        number=run.number,
        rev=chosen.rev,
        rerun=planned,
        choices=list_choices(origin.definition, origin.state),
        inputs=inputs,
        changed_inputs=tuple(sorted(_differing(origin.inputs, inputs))),
        changed_steps=tuple(sorted(changed)),
    )
    return _Prepared(origin=origin, chosen=chosen, inputs=inputs, calls=calls, foreseen=foreseen)


def _choose(run: Run, *, rev: int | None) -> Chosen:
    version: Version | None = run.version
    if rev is not None:
        version = Version.objects.filter(workflow_id=run.workflow_id, rev=rev).first()
    if version is None:
        raise VersionMissingError(rev=rev)
    if version.status != VersionStatus.PUBLISHED:
        raise NothingPublishedError(f"Version {version.rev} is not published.", rev=version.rev)
    chosen = starting.find_chosen(version_id=version.pk)
    assert chosen is not None, "versions are never deleted"
    return chosen


def _plan(origin: Origin, chosen: Chosen, *, step: str, changed: Mapping[str, Why]) -> Rerun:
    definition = chosen.definition()
    if step:
        origin.check_replays()
        # What the run was is said by its own version, what comes of it by the new one.
        find_chosen(origin.definition, origin.state, step)
    past = Past(
        gated=list_gated(definition=origin.definition, state=origin.state),
        handed=rows.list_handed(run_id=origin.run.pk),
        changed=changed,
    )
    if (definition.plan.kind == Kind.STATES) != origin.definition.is_machine:
        return plan_rerun(definition, RunState(), chosen="", past=Past())
    planned = plan_rerun(definition, origin.state if step else RunState(), chosen=step, past=past)
    first = carry(origin.definition, origin.state, planned, rendered={}, before={})
    size = sum(len(canonical_bytes(item)) for item in first.payloads.values())
    if size > limits.RERUN_BYTES_MAX:
        raise RerunTooLargeError(
            f"What would be taken over has {size} bytes; at most {limits.RERUN_BYTES_MAX} are.",
            bytes=size,
        )
    return planned


def _find_changed(
    origin: Origin, chosen: Chosen, inputs: dict[str, Json], calls: dict[str, Json]
) -> dict[str, Why]:
    before = starting.find_chosen(version_id=origin.run.version_id)
    assert before is not None, "versions are never deleted"
    return find_changed(
        Setting(
            plan=origin.definition.plan,
            calls=origin.calls,
            inputs=origin.inputs,
            variables=_render(origin, before, origin.inputs),
        ),
        Setting(
            plan=chosen.plan(),
            calls=calls,
            inputs=inputs,
            variables=_render(origin, chosen, inputs),
        ),
    )


def _render(origin: Origin, chosen: Chosen, inputs: dict[str, Json]) -> dict[str, Json]:
    """Return the `vars` as the origin's number would make them: only what is different differs."""
    run = origin.run
    return starting.render_variables(
        chosen, inputs, run_id=run.pk, number=run.number, heard=origin.heard
    )


def _differing(before: Mapping[str, Json], after: Mapping[str, Json]) -> set[str]:
    return {
        name
        for name in {*before, *after}
        if name not in before or name not in after or before[name] != after[name]
    }


# --- the new run -----------------------------------------------------------------------------


def _make_run(
    prepared: _Prepared,
    *,
    principal: Principal,
    wish: Wish,
    reason: str,
    key: str,
    request_digest: bytes,
) -> tuple[store.NewRun, Event]:
    before, chosen = prepared.origin.run, prepared.chosen
    run_id = ids.uuid7()
    number, at = admission.draw_admitted_number(
        workflow_id=chosen.workflow_id, project_id=chosen.project_id
    )
    title, event = starting.make_started_event(
        chosen,
        prepared.inputs,
        run_id=run_id,
        number=number,
        at=at,
        calls=prepared.calls,
        extra={"priority": before.priority} if before.priority else None,
        heard=prepared.origin.heard,
    )
    run = store.NewRun(
        id=run_id,
        number=number,
        workflow_id=chosen.workflow_id,
        version_id=chosen.version_id,
        initiator_id=before.initiator_id,
        on_behalf_of_id=before.on_behalf_of_id,
        rerunner_id=principal.person_id,
        agent_owner_id=before.agent_owner_id,
        title=title,
        idempotency_key=key,
        request_digest=request_digest,
        created_at=at,
        priority=before.priority,
    )
    return run, _tell(prepared, event, principal=principal, wish=wish, reason=reason)


def _tell(
    prepared: _Prepared, event: Event, *, principal: Principal, wish: Wish, reason: str
) -> Event:
    """Return the first event with where the run comes from, and what it takes over."""
    origin, planned = prepared.origin, prepared.foreseen.rerun
    rendered = event.payloads["vars"]
    assert isinstance(rendered, Mapping), "vars are a map"
    first = carry(
        origin.definition, origin.state, planned, rendered=rendered, before=origin.variables
    )
    if not wish.step and not wish.is_fork:
        first = _begin_alike(origin, first)
    data: dict[str, JsonLike] = {
        **event.data,
        "rerun": {
            "of": str(origin.run.pk),
            "number": origin.run.number,
            "seq": origin.run.seq,
            "head": bytes(origin.run.head).hex(),
            "step": wish.step,
            "fork": wish.is_fork,
            "rerunner": str(principal.person_id),
        },
    }
    if first.state:
        data["state"] = first.state
    payloads = {**event.payloads, "vars": first.variables, "reason": reason, **first.payloads}
    return replace(event, data=data, payloads=payloads)


def _begin_alike(origin: Origin, first: First) -> First:
    """Let a run that went on where another had ended as continued begin there again."""
    if "predecessor" not in origin.first.data:
        return first
    state = str(origin.first.data["state"])
    return replace(first, state=state, variables=origin.variables)


def _note(prepared: _Prepared, run: store.NewRun, *, principal: Principal, wish: Wish) -> None:
    """Keep where the run comes from, who had it run, and what it answers for from now on."""
    origin, planned = prepared.origin, prepared.foreseen.rerun
    rows.note_lineage(
        run_id=run.id,
        origin_id=origin.run.pk,
        origin_seq=origin.run.seq,
        from_key=wish.step,
        is_fork=wish.is_fork,
    )
    behalf = principal.origin.on_behalf_of
    persons = {principal.person_id} | ({UUID(behalf.id)} if behalf else set())
    rows.note_rerunners(run_id=run.id, before_id=origin.run.pk, persons=persons)
    taken = {item.key for item in planned.taken}
    owed = {prefix_of(any_try_of(key), 1) for key in origin.state.undoable}
    rows.hand_over(run_id=origin.run.pk, keys=sorted(taken & owed))
