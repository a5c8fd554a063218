"""Starting the runs that triggers ask for. Read `fire_due`.

A firing is looked at in one transaction: the run is there and the firing gone, or neither. What
cannot start is put on the workflow's record, and what met a bug is tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from audit import store as ledger
from core.kernel import ids, limits
from core.kernel.canonical import digest
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.errors import PlatformError
from core.kernel.record import ENGINE_ORIGIN, Actor, ActorKind, Origin
from core.kernel.types import Json, JsonLike
from core.toolkit import queue
from core.toolkit.db import fetch_rows
from engine import loading, starting, store
from engine.actions.contract import one_line
from engine.domain.errors import TriggerLoopError
from engine.domain.inputs import keep_inputs
from engine.domain.triggers import (
    AutomaticTrigger,
    EventTrigger,
    FinishTrigger,
    ScheduleTrigger,
    WebhookTrigger,
)
from engine.flow_control import admission
from engine.models import Run
from engine.reruns.rows import note_rerunners
from engine.senders import read_sender
from engine.starting import Chosen
from engine.triggers import finishing, occurrences, rows
from engine.triggers.recording import record, record_refusal
from engine.triggers.rows import TakenFiring

log = structlog.get_logger(__name__)

TASK = "engine.fire"
_REFUSED = "trigger.refused"
_ACCOUNT = "SELECT kind, person_id FROM identity_user WHERE id = %s::uuid"
_ACCOUNT_KINDS = frozenset({ActorKind.PERSON, ActorKind.SERVICE, ActorKind.AGENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Initiator:
    """Whose doing a run counts as, whoever may not decide about it for that."""

    user_id: UUID
    agent_owner_id: UUID | None
    origin: Origin
    on_behalf_of_id: UUID | None = None
    rerunner_id: UUID | None = None
    depth: int = 0  # runs that started each other by events, up to this one


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
    except admission.HELD_BACK as error:
        assert firing is not None, "nothing else is held back"
        rows.hold_back(firing_id=firing.id)
        log.info("engine.trigger_held_back", trigger=str(firing.trigger_id), code=error.code)
    except Exception as error:  # the edge between firings: the others are due as well
        if firing is None:
            raise
        log.exception("engine.firing_failed", trigger=str(firing.trigger_id))
        _postpone(firing, error)
    return True


def _look_at(firing: TakenFiring) -> None:
    """Start a run, or say why not."""
    if not firing.is_live:
        _note_dropped(firing)
        return
    chosen = starting.find_chosen(version_id=firing.version_id)
    assert chosen is not None, "versions are never deleted"
    trigger = chosen.plan().automatic[firing.position]
    if isinstance(trigger, FinishTrigger):
        firing = replace(firing, heard=finishing.heard_of(UUID(firing.source["run"])))
    try:
        with transaction.atomic():
            _start(firing, trigger, chosen)
    except admission.HELD_BACK:
        raise
    except PlatformError as error:
        _note(firing, kind=_REFUSED, code=error.code, message=str(error))


def _start(firing: TakenFiring, trigger: AutomaticTrigger, chosen: Chosen) -> None:
    """Start the run of a firing, unless its trigger lets the event pass by.

    Raises:
        ExpressionError: an expression of the trigger or of the start fails.
        InputsInvalidError, InputsTooLargeError: what the trigger gives does not match.
        CallUnresolvedError: a workflow that the definition calls has no version that fits.
        TriggerLoopError: runs start each other without end.
    """
    seen: dict[str, Json] = {"event": firing.heard}
    evaluator = loading.EVALUATOR
    if not _lets_through(firing, trigger):
        return
    given = {name: evaluator.evaluate(text, seen) for name, text in trigger.inputs.items()}
    inputs = keep_inputs(given)
    filled = starting.fill_inputs(chosen, inputs)
    calls = starting.choose_versions(plan=chosen.plan(), project_slug=chosen.project_slug)
    starting.check_rendering(chosen, filled, heard=firing.heard)
    initiator = _find_initiator(firing)
    run_id = ids.uuid7()
    number, at = admission.draw_admitted_number(
        workflow_id=chosen.workflow_id, project_id=chosen.project_id
    )
    title, event = starting.make_started_event(
        chosen,
        filled,
        run_id=run_id,
        number=number,
        at=at,
        calls=calls,
        extra={"trigger": _cause(firing, trigger, depth=initiator.depth)},
        heard=firing.heard,
    )
    run = store.NewRun(
        id=run_id,
        number=number,
        workflow_id=chosen.workflow_id,
        version_id=chosen.version_id,
        initiator_id=initiator.user_id,
        on_behalf_of_id=initiator.on_behalf_of_id,
        rerunner_id=initiator.rerunner_id,
        agent_owner_id=initiator.agent_owner_id,
        title=title,
        idempotency_key="",
        request_digest=digest({"inputs": inputs, "rev": chosen.rev}),
        created_at=at,
    )
    is_new = starting.insert(chosen, run, event, origin=initiator.origin)
    assert is_new, "a start without a key meets no other"
    if firing.source.get("run"):
        note_rerunners(run_id=run_id, before_id=UUID(firing.source["run"]))
    rows.note_fired(trigger_id=firing.trigger_id, run_id=run_id)
    if isinstance(trigger, ScheduleTrigger):
        _note_occurrence(firing, run_id=run_id)
    queue.hint_on_commit("engine.drive", run_id=str(run_id))


def _note_occurrence(firing: TakenFiring, *, run_id: UUID) -> None:
    """Keep that an instant has a run, so that no backfill gives it another."""
    made_up = firing.source.get("occurrence")
    if made_up:
        occurrences.note_made_up(occurrence_id=UUID(made_up), run_id=run_id)
        return
    occurrences.note_run(
        workflow_id=firing.workflow_id,
        name=firing.name,
        due_at=str(_told(firing.heard)["due_at"]),
        run_id=run_id,
    )


def _note_dropped(firing: TakenFiring) -> None:
    """Keep of an instant of a backfill that it has no run."""
    made_up = firing.source.get("occurrence")
    if made_up:
        occurrences.note_refused(occurrence_id=UUID(made_up))


def _lets_through(firing: TakenFiring, trigger: AutomaticTrigger) -> bool:
    """Say whether a trigger's conditions hold for what was heard. Raises: ExpressionError."""
    seen: dict[str, Json] = {"event": firing.heard}
    if isinstance(trigger, ScheduleTrigger):
        return True
    if isinstance(trigger, FinishTrigger) and trigger.outcomes:
        data = cast("Mapping[str, Mapping[str, Json]]", firing.heard)["data"]
        if data["outcome"] not in trigger.outcomes:
            return False
    if trigger.filter and not loading.EVALUATOR.condition(trigger.filter, seen):
        return False
    if not isinstance(trigger, EventTrigger | WebhookTrigger) or not trigger.dedupe:
        return True
    # Before anything is drawn: of two that come at once, the second waits here.
    value = digest([*trigger.window_parts, loading.EVALUATOR.evaluate(trigger.dedupe, seen)])
    seconds = trigger.window_seconds
    return rows.open_window(workflow_id=firing.workflow_id, value=value, seconds=seconds)


def _cause(firing: TakenFiring, trigger: AutomaticTrigger, *, depth: int) -> dict[str, JsonLike]:
    """Return what the run's record says of its trigger; what was heard is a payload beside it."""
    cause: dict[str, JsonLike] = {"kind": trigger.kind.value, "position": firing.position}
    if isinstance(trigger, WebhookTrigger):
        cause["name"] = str(firing.source["hook"])
    if depth:
        cause["depth"] = depth
    return {**cause, **_told(firing.heard)}


def _told(heard: Json) -> dict[str, JsonLike]:
    """Return what names a thing heard: an event by its type and id, an instant by itself."""
    told = cast("Mapping[str, Json]", heard)
    data = cast("Mapping[str, Json]", told["data"])
    if "id" in told:
        return {"type": str(told["type"]), "event": str(told["id"])}
    made_up = {"backfill": str(data["backfill"])} if "backfill" in data else {}
    return {"due_at": str(data["due_at"]), **made_up}


def _find_initiator(firing: TakenFiring) -> Initiator:
    """Return who counts as having started a run.

    Whoever sent the event; of an event that a run sent, who started that run; of a signed request,
    who made the secret. Nobody sends what the clock says: that counts as done by whoever published
    the trigger.

    Raises:
        TriggerLoopError: the event comes from a run that is the last of too many.
    """
    source = firing.source
    if source.get("run"):
        return _initiator_of_run(UUID(source["run"]))
    if source.get("maker"):
        return _initiator_behind(UUID(source["maker"]))
    if source.get("kind") not in _ACCOUNT_KINDS:
        return _initiator_behind(firing.publisher_id)
    origin = read_sender(source)
    behalf = origin.on_behalf_of
    found = _initiator(UUID(origin.actor.id), origin)
    return replace(found, on_behalf_of_id=UUID(behalf.id)) if behalf else found


def _initiator_behind(user_id: UUID) -> Initiator:
    """Return an account that counts as having started a run, although the engine did.

    The record says so: a report of who approved what they had asked for goes by it.
    """
    kind, person_id = _read_account(user_id)
    return Initiator(
        user_id=user_id,
        agent_owner_id=person_id if kind is ActorKind.AGENT else None,
        origin=replace(ENGINE_ORIGIN, on_behalf_of=Actor(id=str(user_id), kind=kind)),
    )


def _initiator_of_run(run_id: UUID) -> Initiator:
    run = Run.objects.get(pk=run_id)
    depth = _depth_of(run) + 1
    if depth > limits.TRIGGER_DEPTH_MAX:
        raise TriggerLoopError(run=str(run_id), depth_max=limits.TRIGGER_DEPTH_MAX)
    return replace(
        _initiator_behind(run.initiator_id),
        agent_owner_id=run.agent_owner_id,
        on_behalf_of_id=run.on_behalf_of_id,
        rerunner_id=run.rerunner_id,
        depth=depth,
    )


def _depth_of(run: Run) -> int:
    """Return how many runs have started each other up to one, those that called it included."""
    for _ in range(limits.TRIGGER_DEPTH_MAX):
        first = ledger.read_stream(stream=run.pk, limit=1)[0]
        trigger = first.data.get("trigger")
        if isinstance(trigger, Mapping):
            return int(str(trigger.get("depth", 0)))
        before = run.parent or run.predecessor
        if before is None:
            return 0
        run = before
    return limits.TRIGGER_DEPTH_MAX


def _initiator(user_id: UUID, origin: Origin) -> Initiator:
    kind, person_id = _read_account(user_id)
    is_agent = kind is ActorKind.AGENT
    return Initiator(user_id=user_id, agent_owner_id=person_id if is_agent else None, origin=origin)


def _read_account(user_id: UUID) -> tuple[ActorKind, UUID | None]:
    """Return an account's kind and whose it is."""
    ((kind, person_id),) = fetch_rows(_ACCOUNT, (user_id,))
    return ActorKind(kind), person_id


# --- on record -------------------------------------------------------------------------------


def _note(firing: TakenFiring, *, kind: str, code: str, message: str) -> None:
    """Put a firing that starts nothing on record. What was heard is named, not repeated."""
    chosen = starting.find_chosen(version_id=firing.version_id)
    assert chosen is not None, "versions are never deleted"
    # The end of a run is read when it is looked at: of what breaks before, only the run is known.
    told = _told(firing.heard or finishing.named(UUID(firing.source["run"])))
    data = {"position": firing.position, "code": code, **told}
    payloads = {"message": one_line(message)}
    place, stamp = firing.workflow_id, chosen.version_digest
    if kind == _REFUSED:
        seq = record_refusal(workflow_id=place, version=stamp, data=data, payloads=payloads)
    else:
        seq = record(workflow_id=place, version=stamp, kind=kind, data=data, payloads=payloads)
    if seq is not None:
        rows.note_refused(trigger_id=firing.trigger_id, seq=seq)
    _note_dropped(firing)
    log.warning("engine.trigger_refused", workflow=chosen.workflow_slug, code=code)


def _postpone(firing: TakenFiring, error: Exception) -> None:
    """Try a firing again later, ever later; put one that never succeeds on record.

    A database that is away uses up no try.
    """
    counts = not isinstance(error, OperationalError | InterfaceError)
    if isinstance(error, DatabaseError):
        connection.close_if_unusable_or_obsolete()
    if not counts or firing.attempt_count + 1 < limits.FIRING_ATTEMPT_COUNT_MAX:
        delay = limits.FIRING_RETRY_DELAY.total_seconds() * 2**firing.attempt_count
        rows.postpone(firing_id=firing.id, seconds=delay, counts=counts)
        return
    with transaction.atomic():
        # Somebody else may have had it since: then there is nothing to tell.
        if rows.delete(firing_id=firing.id):
            message = f"{type(error).__name__}: {error}"
            _note(firing, kind="trigger.failed", code="engine.firing_failed", message=message)
