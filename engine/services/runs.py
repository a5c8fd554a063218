"""Starting and cancelling runs. Read `start_run` first."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import cast
from uuid import UUID

from django.db import connection, transaction
from jsonschema.protocols import Validator

from audit.domain.entry import StreamHead, extend
from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import ids, limits
from core.kernel.canonical import canonical_bytes, digest
from core.kernel.record import ActorKind
from core.kernel.types import Json, JsonLike
from core.toolkit import queue
from engine import loading, registry, store, writing
from engine.domain.errors import (
    InputsTooLargeError,
    KeyReusedError,
    KeyTooLongError,
    NothingPublishedError,
    ReasonTooLongError,
    RunClosedError,
    VersionMissingError,
)
from engine.domain.events import Event, EventKind
from engine.domain.flow.input_schema import bounded_validator
from engine.domain.inputs import check_inputs, keep_inputs
from engine.domain.plan import Plan
from engine.domain.state import Outcome, RunStatus
from engine.domain.triggers import check_trigger
from engine.domain.verbs import WaitOutcome
from engine.models import Run, VersionStatus
from engine.selectors.targets import WorkflowTarget, get_run_target, get_workflow_target
from engine.services import outside

_TITLE_CHARS_MAX = 300

_VERSION = """
    SELECT v.id, v.rev, v.digest, v.status, v.inputs_schema
    FROM engine_version v
    WHERE v.workflow_id = %s AND (v.status = 'published' OR v.rev = %s)
    ORDER BY v.rev = %s DESC, v.rev DESC LIMIT 1"""

# Drawn once nothing is left to refuse, because a sequence takes no number back: one is missing only
# where the process died before the insert, or another start with the same key was faster.
_NUMBER = "SELECT nextval('engine_run_number_seq'), clock_timestamp()"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRun:
    """A run that was asked for; `replayed` if the idempotency key had started it before."""

    run_id: UUID
    number: int
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """The version a start runs."""

    target: WorkflowTarget
    version_id: UUID
    version_digest: str
    rev: int
    schema: Json

    def plan(self) -> Plan:
        """Return the compiled definition."""
        return loading.get_rules(version_id=self.version_id).decider.plan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A start nothing is wrong with: what is left is to write it."""

    chosen: _Chosen
    run_id: UUID
    number: int
    at: datetime
    idempotency_key: str
    request_digest: bytes


def start_run(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    inputs: Json,
    idempotency_key: str = "",
    rev: int | None = None,
) -> StartedRun:
    """Start a run of a workflow's newest published version, or of a named one.

    Idempotent on `idempotency_key` within the workflow, for the same inputs and revision.
    Transaction: one statement of its own.

    Raises:
        WorkflowMissingError: no such workflow, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not start it.
        NothingPublishedError, VersionMissingError: there is nothing to run.
        TriggerRefusedError: the definition's `triggers` do not name the caller's channel.
        InputsInvalidError, InputsTooLargeError: the inputs do not match, or make `vars` too large.
        ExpressionError: the title or `vars` cannot be rendered with them.
        KeyReusedError: the key was used with another request.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    require(principal=principal, permission=Permission.TRIGGER_WORKFLOW, scope_id=target.scope_id)
    kept = keep_inputs(inputs)
    request_digest = digest({"inputs": kept, "rev": rev})
    known = _find_started(target.workflow_id, idempotency_key, request_digest)
    if known is not None:
        return known
    chosen = _choose(target=target, rev=rev)
    check_trigger(triggers=chosen.plan().triggers, via=principal.origin.via)
    filled = check_inputs(_validator(canonical_bytes(chosen.schema)), kept)
    request = _draw(chosen, filled, key=idempotency_key, request_digest=request_digest)
    title, event = _started_event(request, filled)
    while not _insert(request, principal=principal, title=title, event=event):
        # Another insert holds the key. Its run is visible once it has committed; if it was rolled
        # back, the next round inserts. Source: ENGINE §3, "start".
        known = _find_started(target.workflow_id, idempotency_key, request_digest)
        if known is not None:
            return known
    queue.hint_on_commit("engine.drive", run_id=str(request.run_id))
    return StartedRun(run_id=request.run_id, number=request.number, replayed=False)


def cancel_run(*, principal: Principal, run_id: UUID, reason: str) -> None:
    """Cancel a run: what has not begun never will, and its open requests are voided.

    An attempt that executes now is finished and recorded; then the run closes as cancelled. A
    halted run closes at once.
    Idempotent: cancelling again changes nothing, unless the run has halted since.
    Transaction: one of its own; locks run, then requests.

    Raises:
        RunMissingError: no such run, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not operate it.
        RunClosedError: the run is over.
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
        is_halted = row.status == RunStatus.HALTED
        # Who cancelled a run before it halted waits for a driver that will never come.
        if not store.deduplicate(run_id=run_id, key="cancel") and not is_halted:
            return
        origin = principal.origin
        events = [
            Event(kind=EventKind.RUN_CANCEL_REQUESTED, at=row.now, payloads={"reason": reason})
        ]
        for opener in registry.openers().values():
            voided = opener.void_all(
                run_id=run_id, reason="run_cancelled", origin=origin, at=row.now
            )
            events += [
                Event(
                    kind=EventKind.APPROVAL_RESOLVED,
                    at=row.now,
                    data={"key": key, "outcome": WaitOutcome.VOIDED.value},
                    payloads={"outputs": {"outcome": WaitOutcome.VOIDED.value}},
                )
                for key in voided
            ]
        if is_halted:  # no driver will ever close it
            data = {"outcome": Outcome.CANCELLED.value}
            events.append(Event(kind=EventKind.RUN_CLOSED, at=row.now, data=data))
        outside.append(row=row, events=events, origin=origin)


# --- starting --------------------------------------------------------------------------------


def _choose(*, target: WorkflowTarget, rev: int | None) -> _Chosen:
    with connection.cursor() as cursor:
        cursor.execute(_VERSION, (target.workflow_id, rev, rev))
        row = cursor.fetchone()
    if row is None:
        raise NothingPublishedError(workflow=target.workflow_slug)
    version_id, found_rev, version_digest, status, schema = row
    if rev is not None and found_rev != rev:
        raise VersionMissingError(rev=rev)
    if status != VersionStatus.PUBLISHED:
        raise NothingPublishedError(f"Version {found_rev} is not published.", rev=found_rev)
    return _Chosen(
        target=target,
        version_id=version_id,
        version_digest=bytes(version_digest).hex(),
        rev=found_rev,
        schema=json.loads(schema) if isinstance(schema, str) else schema,
    )


def _draw(chosen: _Chosen, inputs: dict[str, Json], *, key: str, request_digest: bytes) -> _Request:
    """Give a start its id and number, once its expressions have shown that they evaluate."""
    run_id = ids.uuid7()
    _, variables, _ = _render(chosen, inputs, run_id=run_id, number=1)
    size = len(canonical_bytes(variables))
    if size > limits.PAYLOAD_BYTES_MAX:
        raise InputsTooLargeError(
            f"With these inputs `vars` come to {size} bytes; at most {limits.PAYLOAD_BYTES_MAX} "
            "are recorded."
        )
    with connection.cursor() as cursor:
        cursor.execute(_NUMBER)
        number, at = cursor.fetchone()
    return _Request(
        chosen=chosen,
        run_id=run_id,
        number=number,
        at=at,
        idempotency_key=key,
        request_digest=request_digest,
    )


def _find_started(
    workflow_id: UUID, idempotency_key: str, request_digest: bytes
) -> StartedRun | None:
    if not idempotency_key:
        return None
    if len(idempotency_key) > limits.IDEMPOTENCY_KEY_CHARS_MAX:
        raise KeyTooLongError
    known = Run.objects.filter(workflow_id=workflow_id, idempotency_key=idempotency_key)
    row = known.values_list("id", "number", "request_digest").first()
    if row is None:
        return None
    if bytes(row[2]) != request_digest:
        raise KeyReusedError(idempotency_key=idempotency_key)
    return StartedRun(run_id=row[0], number=row[1], replayed=True)


def _started_event(request: _Request, inputs: dict[str, Json]) -> tuple[str, Event]:
    facts, rendered, title = _render(
        request.chosen, inputs, run_id=request.run_id, number=request.number
    )
    event = Event(
        kind=EventKind.RUN_STARTED,
        at=request.at,
        data={"run": cast("JsonLike", facts)},
        payloads={"inputs": inputs, "vars": rendered, "title": title},
    )
    return title, event


def _render(
    chosen: _Chosen, inputs: dict[str, Json], *, run_id: UUID, number: int
) -> tuple[dict[str, Json], Json, str]:
    """Return what expressions see as `run`, and the rendered `vars` and title."""
    plan = chosen.plan()
    facts: dict[str, Json] = {
        "id": str(run_id),
        "number": number,
        "project": chosen.target.project_slug,
        "workflow": chosen.target.workflow_slug,
        "rev": chosen.rev,
    }
    variables: dict[str, Json] = {"inputs": inputs, "run": facts}
    rendered = loading.EVALUATOR.render(dict(plan.variables), variables)
    title = loading.EVALUATOR.render(plan.title, variables | {"vars": rendered})
    return facts, rendered, str(title)[:_TITLE_CHARS_MAX] or plan.name


def _insert(request: _Request, *, principal: Principal, title: str, event: Event) -> bool:
    draft = writing.draft_event(
        event,
        run_id=request.run_id,
        scope=request.chosen.target.scope_id,
        version=request.chosen.version_digest,
        state_to=RunStatus.READY,
        origin=principal.origin,
    )
    head, entries = extend(head=StreamHead(stream=request.run_id), drafts=(draft,), salts=ids.salt)
    is_agent = principal.kind is ActorKind.AGENT
    behalf = principal.origin.on_behalf_of
    run = store.NewRun(
        id=request.run_id,
        number=request.number,
        workflow_id=request.chosen.target.workflow_id,
        version_id=request.chosen.version_id,
        initiator_id=principal.user_id,
        on_behalf_of_id=UUID(behalf.id) if behalf else None,
        agent_owner_id=principal.person_id if is_agent else None,
        title=title,
        idempotency_key=request.idempotency_key,
        request_digest=request.request_digest,
        created_at=request.at,
    )
    return store.start(run=run, entries=entries, head=head)


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Validator:
    return bounded_validator(json.loads(schema), evaluator=loading.EVALUATOR)
