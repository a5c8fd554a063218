"""Events: sending them, waiting for them, and bringing the two together. Read `publish` first.

An event is kept in its project's inbox for `limits.INBOX_RETENTION`, so that it may come before the
wait it is for. A wait gets one event, and a run has an event once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction

from core.kernel import ids, limits
from core.kernel.canonical import UncanonicalError, canonical_bytes, digest
from core.kernel.errors import PlatformError
from core.kernel.record import ENGINE_ORIGIN, Origin
from core.kernel.types import Json
from core.toolkit import queue
from core.toolkit.db import after_commit, after_commit_once, require_transaction
from engine import inbox, store
from engine.domain.errors import EventInvalidError, EventReusedError
from engine.domain.events import Event
from engine.domain.state import RunStatus, StepError
from engine.inbox import Awaited
from engine.senders import describe_sender, read_sender
from engine.services import outside
from engine.triggers import rows
from engine.triggers.firing import hint_firings

log = structlog.get_logger(__name__)

EVENT_RECEIVED = "event.received"
NO_CONTEXT: Mapping[str, str] = MappingProxyType({})
_RETRY_SECONDS = 60.0  # until a delivery that failed is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """An event a run sends: its id is on the run's record, `key` is the step's."""

    id: UUID
    key: str
    type: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An event that was sent; `replayed` if its id had been sent before."""

    event_id: UUID
    replayed: bool


def check_event(*, event_type: str, data: Json) -> StepError | None:
    """Return what keeps an event from being sent, or `None`. Pure.

    The kinds are `invalid` and `too-large`.
    """
    if not 0 < len(event_type) <= limits.EVENT_TYPE_CHARS_MAX or not event_type.isprintable():
        message = f"an event's type has 1 to {limits.EVENT_TYPE_CHARS_MAX} printable characters"
        return StepError(kind="invalid", message=message)
    if not isinstance(data, dict):
        return StepError(kind="invalid", message="an event's data is a map")
    try:
        written = canonical_bytes(data)
        canonical_bytes(json.loads(written))  # 1e17 would come back as an integer too large
    except UncanonicalError as error:
        return StepError(kind="invalid", message=f"the event's data is not JSON: {error.message}")
    if inbox.has_nul(data):
        return StepError(kind="invalid", message="the event's data holds a NUL character")
    if len(written) > limits.EVENT_BYTES_MAX:
        message = (
            f"the event's data has {len(written)} bytes; at most {limits.EVENT_BYTES_MAX} are kept"
        )
        return StepError(kind="too-large", message=message)
    return None


def publish(
    *,
    project_id: UUID,
    event_type: str,
    data: Mapping[str, Json],
    origin: Origin,
    event_id: UUID | None = None,
    context: Mapping[str, str] = NO_CONTEXT,
) -> Published:
    """Send an event to whatever waits for it in a project, now or within the retention.

    The triggers of its type are pulled in the same transaction.

    The caller has checked that the sender may.

    Args:
        project_id: whose inbox.
        event_type: a dotted name, such as `deploy.finished`.
        data: its content, a JSON map.
        origin: who sends it; the entries it leads to say so.
        event_id: the sender's own id, which makes sending idempotent; by default a new one.
        context: what triggers see of it besides: `id`, `source`, `subject` and `time`, as texts.

    Transaction: one of its own, or the caller's; runs are moved after the commit.

    Raises:
        EventInvalidError: the type or the data are over a bound or not JSON.
        EventReusedError: the id was used for another event.
    """
    problem = check_event(event_type=event_type, data=dict(data))
    if problem is not None:
        raise EventInvalidError(problem.message[:1].upper() + problem.message[1:] + ".")
    chosen = event_id or ids.uuid7()
    with transaction.atomic():
        inbox.lock_types(project_id=project_id, types=(event_type,))
        is_new = inbox.insert_event(
            event_id=chosen,
            project_id=project_id,
            event_type=event_type,
            data=data,
            source=describe_sender(origin),
        )
        if not is_new:
            _check_same(chosen, project_id, event_type, data)
        elif rows.pull(
            project_id=project_id,
            event_type=event_type,
            heard=heard_of(chosen, event_type, data, context=context),
            source=describe_sender(origin),
        ):
            after_commit_once(hint_firings)
        after_commit(_deliver_soon, (), (chosen,))
    return Published(event_id=chosen, replayed=not is_new)


def address(
    *,
    run_id: UUID,
    project_id: UUID,
    event_type: str,
    data: Mapping[str, Json],
    origin: Origin,
    event_id: UUID,
) -> bool:
    """Send an event to one run: to what it waits for now, or within the retention.

    It has to match what the run waits for, as any event; no trigger is pulled by it.
    The caller has checked that the sender may.
    Transaction: needs the one that has locked the run; the run is moved after the commit.

    Returns:
        `False` if it had been sent before.

    Raises:
        EventInvalidError: the type or the data are over a bound or not JSON.
        EventReusedError: the id was used for another event.
    """
    require_transaction()
    problem = check_event(event_type=event_type, data=dict(data))
    if problem is not None:
        raise EventInvalidError(problem.message[:1].upper() + problem.message[1:] + ".")
    inbox.lock_types(project_id=project_id, types=(event_type,))
    is_new = inbox.insert_event(
        event_id=event_id,
        project_id=project_id,
        event_type=event_type,
        data=data,
        source=describe_sender(origin),
        run_id=run_id,
    )
    if not is_new:
        _check_same(event_id, project_id, event_type, data, run_id=run_id)
    after_commit(_deliver_soon, (run_id,), ())
    return is_new


def heard_of(
    event_id: UUID, event_type: str, data: Mapping[str, Json], *, context: Mapping[str, str]
) -> dict[str, Json]:
    """Return what the expressions of triggers see as `event`."""
    texts: dict[str, Json] = {"source": "", "subject": "", "time": "", "id": str(event_id)}
    return {**texts, **context, "type": event_type, "data": dict(data)}


def exchange(
    *, run_id: UUID, project_id: UUID, awaited: Sequence[Awaited], emitted: Sequence[Emitted]
) -> None:
    """Register a run's waits and send its events, as its append says.

    A wait may have what its project received since the run was created, and what this very call
    sends. `check_event` has found nothing wrong with the events.

    Transaction: needs the append's; runs are moved after its commit. Locks the types.
    """
    require_transaction()
    types = [wait.type for wait in awaited] + [event.type for event in emitted]
    inbox.lock_types(project_id=project_id, types=types)
    found = 0
    if awaited:
        found = inbox.insert_waits(run_id=run_id, project_id=project_id, waits=awaited)
    for item in emitted:
        source = {**describe_sender(ENGINE_ORIGIN), "run": str(run_id), "key": item.key}
        inbox.insert_event(
            event_id=item.id,
            project_id=project_id,
            event_type=item.type,
            data=item.data,
            source=source,
        )
        heard = heard_of(item.id, item.type, item.data, context={"source": f"run:{run_id}"})
        if rows.pull(project_id=project_id, event_type=item.type, heard=heard, source=source):
            after_commit_once(hint_firings)
    runs = (run_id,) if found else ()
    events = tuple(item.id for item in emitted)
    if runs or events:
        after_commit(_deliver_soon, runs, events)


def withdraw_waits(*, run_id: UUID, keys: Sequence[str] | None) -> None:
    """Take waits of a run back; `None`: all. Idempotent. Transaction: the append's."""
    inbox.withdraw(run_id=run_id, keys=keys)


def deliver_run(*, run_id: UUID) -> int:
    """Append what a run's waits may have to the run, and wake it. Idempotent.

    Transaction: one of its own for each event; locks the run.

    Returns:
        The number of events appended.
    """
    count = 0
    while True:
        with transaction.atomic():
            row = store.lock_run(run_id=run_id)
            assert row is not None, "runs are never deleted"
            if row.status == RunStatus.CLOSED:
                inbox.withdraw(run_id=run_id, keys=None)
                return count
            taken = inbox.take_next_key(run_id=run_id)
            if taken is None:
                return count
            key, is_open = taken
            if is_open and _receive(row, key):
                count += 1


def deliver_event(*, event_id: UUID, limit: int) -> int:
    """Deliver an event to runs that may have it, at most so many.

    Transaction: one of its own for each. Returns: how many runs were looked at.
    """
    run_ids = inbox.list_runs_of(event_id=event_id, limit=limit)
    return sum(_deliver_safely(run_id) for run_id in run_ids)


def sweep_events() -> int:
    """Deliver what nobody delivered, and delete events that are too old; return how many."""
    run_ids = inbox.list_due_runs(limit=limits.SWEEP_ROW_COUNT_MAX)
    return sum(_deliver_safely(run_id) for run_id in run_ids) + inbox.delete_expired()


# --- small parts -----------------------------------------------------------------------------


def _receive(row: store.RunRow, key: str) -> bool:
    """Give a wait of a locked run the oldest event it may have."""
    found = inbox.find_match(run_id=row.id, key=key)
    if found is None:
        return False
    is_new = store.deduplicate(run_id=row.id, key=f"event:{found.id}")
    assert is_new, "an event the run has had matches no wait of it"
    inbox.withdraw(run_id=row.id, keys=[key])
    event = Event(
        kind=EVENT_RECEIVED,
        at=row.now,
        data={"key": key, "event": str(found.id), "type": found.type},
        payloads={"data": found.data},
    )
    outside.append(row=row, events=(event,), origin=read_sender(found.source))
    return True


def _deliver_soon(run_ids: Sequence[UUID], event_ids: Sequence[UUID]) -> None:
    """Move a few runs here, which is fastest, and let workers do the rest."""
    for run_id in run_ids:
        _deliver_safely(run_id)
    for event_id in event_ids:
        limit = limits.EVENT_INLINE_COUNT_MAX
        if deliver_event(event_id=event_id, limit=limit) == limit:
            queue.hint("engine.receive", event_id=str(event_id))


def _deliver_safely(run_id: UUID) -> int:
    """Deliver to one run; what is wrong with it keeps nobody else from theirs."""
    try:
        deliver_run(run_id=run_id)
    except (PlatformError, DatabaseError):
        log.exception("engine.delivery_failed", run=str(run_id))
        connection.close_if_unusable_or_obsolete()
        inbox.postpone(run_id=run_id, seconds=_RETRY_SECONDS)
    return 1


def _check_same(
    event_id: UUID,
    project_id: UUID,
    event_type: str,
    data: Mapping[str, Json],
    *,
    run_id: UUID | None = None,
) -> None:
    known = inbox.find_event(event_id=event_id)
    assert known is not None, "an event outlasts the transaction that met it"
    is_same = (known[0], known[1], known[3]) == (project_id, event_type, run_id)
    if not is_same or digest(known[2]) != digest(dict(data)):
        raise EventReusedError(event=str(event_id))
