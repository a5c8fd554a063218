"""Runs that runs start: called ones and successors. Read `check_child`, then `start_child`."""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

from django.db import connection

from audit import store as ledger
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.models import User
from core.identity.selectors.principals import get_principal, make_origin
from core.kernel import limits
from core.kernel.canonical import UncanonicalError, digest
from core.kernel.errors import PlatformError
from core.kernel.record import ENGINE_ORIGIN, Actor, ActorKind, Origin, Via
from core.kernel.types import Json, JsonLike
from core.toolkit import queue
from core.toolkit.db import require_transaction
from engine import starting, store
from engine.domain.errors import CallUnresolvedError, InputsInvalidError, InputsTooLargeError
from engine.domain.events import Event, EventKind
from engine.domain.expressions import ExpressionError
from engine.domain.inputs import keep_inputs
from engine.domain.state import StepError
from engine.models import Run
from engine.reruns import rows
from engine.services.cancelling import cancel_children
from engine.starting import Chosen

_DEPTH = """
    WITH RECURSIVE line AS (
        SELECT id, parent_id, 1 AS depth FROM engine_run WHERE id = %s
        UNION ALL
        SELECT r.id, r.parent_id, line.depth + 1
        FROM line JOIN engine_run r ON r.id = line.parent_id WHERE line.depth <= %s)
    SELECT max(depth) FROM line"""

# What a run has had, its successor does not have again.
_INHERIT_EVENTS = """
    INSERT INTO engine_dedupe (run_id, key)
    SELECT %s, d.key FROM engine_dedupe d
    WHERE d.run_id = %s AND d.key LIKE 'event:%%'
      AND EXISTS (SELECT 1 FROM engine_inbox e WHERE e.id = substr(d.key, 7)::uuid)"""

_HAND_ON_PARENT = "UPDATE engine_run SET parent_reported = true WHERE id = %s"

# What of a run's first entry its successor begins with as well.
_INHERITED = frozenset({"title", "event", "group"})

_KINDS: Mapping[type[PlatformError], str] = {
    InputsInvalidError: "invalid",
    UncanonicalError: "invalid",
    ExpressionError: "invalid",
    InputsTooLargeError: "too-large",
    CallUnresolvedError: "unresolved",
}


class ChildRefusedError(Exception):
    """What a run wants to call cannot be started any more. Never leaves the engine."""


def check_child(
    *, run_id: UUID, version_id: UUID, arguments: Mapping[str, Json]
) -> StepError | None:
    """Return why a run cannot call a version with these inputs, `None` if it can.

    Asked before the entry that tells of the call is written, so that it can say so. The kinds are
    `too-deep`, `unresolved` (the version, or one it would call itself, is not there), `forbidden`
    (who started the run may not start this workflow), `invalid` and `too-large` (the inputs).
    Reads only.
    """
    if _depth_of(run_id) >= limits.CALL_DEPTH_MAX:
        message = f"runs call each other {limits.CALL_DEPTH_MAX} deep and no deeper"
        return StepError(kind="too-deep", message=message)
    chosen = starting.find_chosen(version_id=version_id)
    if chosen is None:
        return StepError(kind="unresolved", message="the version is not there")
    name = f"{chosen.project_slug}/{chosen.workflow_slug}"
    if not _may_start(run_id, chosen):
        message = f"who started this run may not start {name}"
        return StepError(kind="forbidden", message=message)
    try:
        _prepare(chosen, arguments)
    except tuple(_KINDS) as error:
        kind = next(kind for type_, kind in _KINDS.items() if isinstance(error, type_))
        return StepError(kind=kind, message=_describe(name, error))
    return None


def start_child(
    *,
    parent_id: UUID,
    key: str,
    child_id: UUID,
    version_id: UUID,
    arguments: Mapping[str, Json],
    detached: bool,
    priority: int = 0,
) -> None:
    """Start a run for a step of another, in the name of whoever started that one.

    `check_child` has found nothing wrong. The end of a detached child is not reported.
    Transaction: needs the append's; a worker is hinted after the commit.

    Raises:
        ChildRefusedError: `check_child` would say so now, because something has changed since.
            The append is to be rolled back, and worked out again.
    """
    require_transaction()
    chosen = starting.find_chosen(version_id=version_id)
    assert chosen is not None, "versions are never deleted"
    try:
        inputs, calls = _prepare(chosen, arguments)
    except tuple(_KINDS) as error:
        raise ChildRefusedError from error
    number, at = starting.draw_number()
    parent = Run.objects.select_related("initiator").get(pk=parent_id)
    title, event = starting.make_started_event(
        chosen,
        inputs,
        run_id=child_id,
        number=number,
        at=at,
        calls=calls,
        extra={"parent": {"run": str(parent_id), "key": key}},
    )
    run = store.NewRun(
        id=child_id,
        number=number,
        workflow_id=chosen.workflow_id,
        version_id=chosen.version_id,
        initiator_id=parent.initiator_id,
        on_behalf_of_id=parent.on_behalf_of_id,
        rerunner_id=parent.rerunner_id,
        agent_owner_id=parent.agent_owner_id,
        title=title,
        idempotency_key="",
        request_digest=digest({"inputs": inputs, "rev": chosen.rev}),
        created_at=at,
        priority=priority,
        parent_id=parent_id,
        parent_key=key,
        parent_reported=detached,
    )
    _insert(chosen, run, event, initiator=parent.initiator)


def withdraw_child(*, run_id: UUID, key: str) -> None:
    """Cancel the child a step awaits; its end will not be reported. Idempotent.

    Transaction: needs the append's, which has locked the parent; locks the child.
    """
    require_transaction()
    cancel_children(parent_id=run_id, key=key)


def continue_run(
    *,
    run_id: UUID,
    successor_id: UUID,
    state: str,
    variables: Mapping[str, Json],
    inputs: Json,
    calls: Mapping[str, Json],
    facts: Mapping[str, JsonLike],
) -> None:
    """Start the run that goes on where one has just closed as continued.

    It is of the same version with the inputs, called versions and `run` that its predecessor has
    come to, begins in a state with given `vars`, takes the place of a called run with its parent,
    and may have the events its predecessor has not had. What that took over as a rerun stays its.
    Transaction: needs the append's, which has locked the predecessor.
    """
    require_transaction()
    before = Run.objects.select_related("initiator").get(pk=run_id)
    chosen = starting.find_chosen(version_id=before.version_id)
    assert chosen is not None, "versions are never deleted"
    first = ledger.read_stream(stream=run_id, limit=1)[0]
    number, at = starting.draw_number()
    payloads: dict[str, Json] = {
        name: value for name, value in first.payloads.items() if name in _INHERITED
    }
    payloads |= {"inputs": inputs, "vars": dict(variables)}
    if calls:
        payloads["calls"] = dict(calls)
    data: dict[str, JsonLike] = {
        "run": {**facts, "id": str(successor_id), "number": number},
        "state": state,
        "predecessor": str(run_id),
    }
    if "group" in first.data:
        data["group"] = cast("JsonLike", first.data["group"])
    event = Event(kind=EventKind.RUN_STARTED, at=at, data=data, payloads=payloads)
    run = store.NewRun(
        id=successor_id,
        number=number,
        workflow_id=before.workflow_id,
        version_id=before.version_id,
        initiator_id=before.initiator_id,
        on_behalf_of_id=before.on_behalf_of_id,
        rerunner_id=before.rerunner_id,
        agent_owner_id=before.agent_owner_id,
        title=before.title,
        idempotency_key="",
        request_digest=bytes(before.request_digest),
        created_at=at,
        priority=before.priority,
        parent_id=before.parent_id,
        parent_key=before.parent_key,
        parent_reported=before.parent_reported,
        predecessor_id=run_id,
        events_since=before.events_since or before.created_at,
    )
    _insert(chosen, run, event, initiator=before.initiator)
    with connection.cursor() as cursor:
        cursor.execute(_INHERIT_EVENTS, (successor_id, run_id))
        cursor.execute(_HAND_ON_PARENT, (run_id,))


# --- small parts -----------------------------------------------------------------------------


def _prepare(
    chosen: Chosen, arguments: Mapping[str, Json]
) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the inputs of a child with its defaults, and the versions it will call itself."""
    inputs = starting.fill_inputs(chosen, keep_inputs(dict(arguments)))
    starting.check_rendering(chosen, inputs)
    calls = starting.choose_versions(plan=chosen.plan(), project_slug=chosen.project_slug)
    return inputs, calls


def _insert(chosen: Chosen, run: store.NewRun, event: Event, *, initiator: User) -> None:
    behalf = Actor(id=str(initiator.pk), kind=ActorKind(initiator.kind))
    origin = Origin(actor=ENGINE_ORIGIN.actor, via=ENGINE_ORIGIN.via, on_behalf_of=behalf)
    is_new = starting.insert(chosen, run, event, origin=origin)
    assert is_new, "without an idempotency key nothing is in the way"
    before_id = run.predecessor_id or run.parent_id
    if before_id is not None:  # also those who moved it, see `note_movers`
        rows.note_rerunners(run_id=run.id, before_id=before_id)
    queue.hint_on_commit("engine.drive", run_id=str(run.id))


def _depth_of(run_id: UUID) -> int:
    """Return how many runs there are from the outermost to this one."""
    with connection.cursor() as cursor:
        cursor.execute(_DEPTH, (run_id, limits.CALL_DEPTH_MAX))
        return int(cursor.fetchone()[0])


def _may_start(run_id: UUID, chosen: Chosen) -> bool:
    user = User.objects.get(pk=Run.objects.values_list("initiator_id", flat=True).get(pk=run_id))
    origin = make_origin(user=user, via=Via.ENGINE, auth="")
    answer = authorize(
        principal=get_principal(user=user, origin=origin),
        permission=Permission.TRIGGER_WORKFLOW,
        scope_id=chosen.scope_id,
    )
    return answer.allowed


def _describe(name: str, error: PlatformError) -> str:
    problems = "; ".join(f"{item.path or '/'}: {item.message}" for item in error.problems[:5])
    return f"{name}: {problems or error.message}"[: limits.ERROR_CHARS_MAX]
