"""Starting the runs that triggers ask for. Read `fire_due`.

A firing is looked at in one transaction: the run is there and the firing gone, or neither. What
cannot start is put on the workflow's record, and what met a bug is tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction

from audit.domain.entry import StreamHead, extend
from core.identity.models import User
from core.kernel import ids, limits
from core.kernel.canonical import digest
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.errors import PlatformError
from core.kernel.record import ENGINE_ORIGIN, Actor, ActorKind, Draft, Origin, Via
from core.kernel.types import Json, JsonLike
from core.toolkit import queue
from core.toolkit.db import read_database_clock
from engine import loading, starting, store
from engine.domain.inputs import keep_inputs
from engine.domain.triggers import AutomaticTrigger, EventTrigger
from engine.models import Run, Workflow
from engine.starting import Chosen
from engine.triggers import rows
from engine.triggers.rows import TakenFiring

log = structlog.get_logger(__name__)

TASK = "engine.fire"
_ACCOUNT_KINDS = frozenset({ActorKind.PERSON, ActorKind.SERVICE, ActorKind.AGENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Initiator:
    """Whose doing a run counts as, whoever may not decide about it for that."""

    user_id: UUID
    agent_owner_id: UUID | None
    origin: Origin


def hint_firings() -> None:
    """Tell workers that firings are due."""
    for _ in range(limits.FIRING_HINT_COUNT):
        queue.hint(TASK)


def fire_due(*, seconds: float = limits.FIRING_SECONDS_MAX, clock: Clock = SYSTEM_CLOCK) -> int:
    """Look at firings that are due, oldest first, for so long; return how many.

    If there are more then, workers are told. Safe to call from any number of processes.
    Transaction: one for each firing.
    """
    ends, count = clock.monotonic() + seconds, 0
    while _fire_next():
        count += 1
        if clock.monotonic() >= ends:
            if rows.has_due():
                queue.hint(TASK)
            break
    return count


def _fire_next() -> bool:
    firing: TakenFiring | None = None
    try:
        with transaction.atomic():
            firing = rows.take_next()
            if firing is None:
                return False
            _look_at(firing)
            rows.delete(firing_id=firing.id)
    except (DatabaseError, AssertionError, LookupError, TypeError, ValueError) as error:
        if firing is None:
            raise
        log.exception("engine.firing_failed", trigger=str(firing.trigger_id))
        _postpone(firing, error)
    return True


def _look_at(firing: TakenFiring) -> None:
    """Start a run, or say why not."""
    if not firing.is_live:
        return
    chosen = starting.find_chosen(version_id=firing.version_id)
    assert chosen is not None, "versions are never deleted"
    trigger = chosen.plan().automatic[firing.position]
    try:
        with transaction.atomic():
            _start(firing, trigger, chosen)
    except PlatformError as error:
        kind = "trigger.refused"
        _refuse(firing, chosen, kind=kind, code=error.code, message=str(error))


def _start(firing: TakenFiring, trigger: AutomaticTrigger, chosen: Chosen) -> None:
    """Start the run of a firing, unless its trigger lets the event pass by.

    Raises:
        ExpressionError: an expression of the trigger or of the start fails.
        InputsInvalidError, InputsTooLargeError: what the trigger gives does not match.
        CallUnresolvedError: a workflow that the definition calls has no version that fits.
    """
    seen: dict[str, Json] = {"event": firing.heard}
    evaluator = loading.EVALUATOR
    condition = trigger.filter if isinstance(trigger, EventTrigger) else ""
    if condition and not evaluator.condition(condition, seen):
        return
    if isinstance(trigger, EventTrigger) and trigger.dedupe:
        # Before anything is drawn: of two that come at once, the second waits here.
        value = digest(evaluator.evaluate(trigger.dedupe, seen))
        seconds = trigger.window_seconds
        if not rows.open_window(trigger_id=firing.trigger_id, value=value, seconds=seconds):
            return
    given = {name: evaluator.evaluate(text, seen) for name, text in trigger.inputs.items()}
    inputs = keep_inputs(given)
    filled = starting.fill_inputs(chosen, inputs)
    calls = starting.choose_versions(plan=chosen.plan(), project_slug=chosen.project_slug)
    starting.check_rendering(chosen, filled, heard=firing.heard)
    initiator = _find_initiator(firing)
    run_id = ids.uuid7()
    number, at = starting.draw_number()
    title, event = starting.make_started_event(
        chosen,
        filled,
        run_id=run_id,
        number=number,
        at=at,
        calls=calls,
        extra={"trigger": _cause(firing, trigger)},
        heard=firing.heard,
    )
    run = store.NewRun(
        id=run_id,
        number=number,
        workflow_id=chosen.workflow_id,
        version_id=chosen.version_id,
        initiator_id=initiator.user_id,
        on_behalf_of_id=None,
        agent_owner_id=initiator.agent_owner_id,
        title=title,
        idempotency_key="",
        request_digest=digest({"inputs": inputs, "rev": chosen.rev}),
        created_at=at,
    )
    is_new = starting.insert(chosen, run, event, origin=initiator.origin)
    assert is_new, "a start without a key meets no other"
    rows.note_fired(trigger_id=firing.trigger_id)
    queue.hint_on_commit("engine.drive", run_id=str(run_id))


def _cause(firing: TakenFiring, trigger: AutomaticTrigger) -> dict[str, JsonLike]:
    """Return what the run's record says of its trigger; what was heard is a payload beside it."""
    cause: dict[str, JsonLike] = {"kind": trigger.kind.value, "position": firing.position}
    heard = cast("Mapping[str, Json]", firing.heard)
    if isinstance(trigger, EventTrigger):
        return {**cause, "event": str(heard["id"])}
    data = cast("Mapping[str, Json]", heard["data"])
    return {**cause, "due_at": str(data["due_at"])}


def _find_initiator(firing: TakenFiring) -> Initiator:
    """Return who counts as having started a run.

    Whoever sent the event; of an event that a run sent, who started that run. Nobody sends what
    the clock says: that counts as done by whoever published the trigger.
    """
    source = firing.source
    if source.get("run"):
        sender = Run.objects.filter(pk=source["run"]).values_list("initiator_id", flat=True).first()
        return _initiator(sender or firing.publisher_id, ENGINE_ORIGIN)
    if source.get("kind") in _ACCOUNT_KINDS:
        actor = Actor(id=source["actor"], kind=ActorKind(source["kind"]))
        origin = Origin(
            actor=actor, via=Via(source["via"]), auth=source["auth"], request_id=source["request"]
        )
        return _initiator(UUID(source["actor"]), origin)
    return _initiator(firing.publisher_id, ENGINE_ORIGIN)


def _initiator(user_id: UUID, origin: Origin) -> Initiator:
    user = User.objects.get(pk=user_id)
    is_agent = user.kind == ActorKind.AGENT
    return Initiator(
        user_id=user.pk, agent_owner_id=user.person_id if is_agent else None, origin=origin
    )


# --- on record -------------------------------------------------------------------------------


def record(
    *,
    workflow_id: UUID,
    version: str,
    kind: str,
    data: Mapping[str, JsonLike],
    payloads: Mapping[str, JsonLike] = MappingProxyType({}),
) -> None:
    """Put what became of a trigger on its workflow's record. Transaction: needs one; locks it.

    Args:
        workflow_id: whose record.
        version: the version's digest, hex.
        kind: `trigger.refused`, `trigger.failed` or `trigger.skipped`.
        data: what is hashed.
        payloads: what is committed to.
    """
    workflow = Workflow.objects.select_for_update(no_key=True).get(pk=workflow_id)
    draft = Draft(
        kind=kind,
        at=read_database_clock(),
        origin=ENGINE_ORIGIN,
        subject=f"workflow:{workflow_id}",
        scope=workflow.scope_id,
        version=version,
        data=data,
        payloads=payloads,
    )
    head = StreamHead(stream=workflow.id, seq=workflow.seq, head=bytes(workflow.head))
    head, entries = extend(head=head, drafts=(draft,), salts=ids.salt)
    store.append_to_workflow(head=head, entries=entries)


def _refuse(firing: TakenFiring, chosen: Chosen, *, kind: str, code: str, message: str) -> None:
    record(
        workflow_id=firing.workflow_id,
        version=chosen.version_digest,
        kind=kind,
        data={"position": firing.position, "code": code},
        payloads={"message": message[: limits.ERROR_CHARS_MAX], "event": firing.heard},
    )
    log.warning("engine.trigger_refused", workflow=chosen.workflow_slug, code=code)


def _postpone(firing: TakenFiring, error: Exception) -> None:
    """Try a firing again later, ever later; put one that never succeeds on record."""
    if isinstance(error, DatabaseError):
        connection.close_if_unusable_or_obsolete()
    if firing.attempt_count + 1 < limits.FIRING_ATTEMPT_COUNT_MAX:
        delay = limits.FIRING_RETRY_DELAY.total_seconds() * 2**firing.attempt_count
        rows.postpone(firing_id=firing.id, seconds=delay)
        return
    with transaction.atomic():
        chosen = starting.find_chosen(version_id=firing.version_id)
        assert chosen is not None, "versions are never deleted"
        message = f"{type(error).__name__}: {error}"
        _refuse(firing, chosen, kind="trigger.failed", code="engine.firing_failed", message=message)
        rows.delete(firing_id=firing.id)
