"""Sending an event to one run. Read `send_to_run`; to a whole project, see `sending`."""

import hashlib
from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import ids
from core.kernel.types import Json
from engine import loading, store
from engine.domain.errors import RunClosedError
from engine.domain.events import Event, EventKind
from engine.domain.state import RunStatus
from engine.selectors.targets import get_run_target
from engine.services import events, outside
from engine.services.events import Published
from engine.services.steering import check_reason, check_room


def send_to_run(
    *,
    principal: Principal,
    run_id: UUID,
    event_type: str,
    data: Mapping[str, Json],
    event_id: str,
    reason: str,
) -> Published:
    """Send an event to one run and nobody else: to what it waits for, or will within a week.

    It has to match what the run waits for, `correlate` included: nobody gets around that. Triggers
    do not hear it. That it was sent is on the run's record, with who sent it and why.

    Args:
        principal: who sends it.
        run_id: to which run.
        event_type: a dotted name, such as `deploy.finished`.
        data: its content, a JSON map.
        event_id: the sender's own id, which makes sending idempotent; "" for none.
        reason: why.

    Transaction: one of its own; locks the run, then the type. The run is moved after the commit.

    Raises:
        RunMissingError: no such run, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not operate it.
        RunClosedError: the run is over.
        EventInvalidError: the type or data are over a bound.
        RunTooLongError: the run's record has no room for it.
        EventReusedError: the id came with another type or other data.
        ReasonMissingError, ReasonTooLongError: the reason is missing or over its bound.
    """
    target = get_run_target(principal=principal, run_id=run_id)
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    check_reason(reason=reason)
    chosen = _name_event(run_id, event_id) if event_id else ids.uuid7()
    with transaction.atomic():
        row = store.lock_run(run_id=run_id)
        assert row is not None, "runs are never deleted"
        if row.status == RunStatus.CLOSED:
            raise RunClosedError(outcome=row.outcome)
        check_room(row=row)
        is_new = events.address(
            run_id=run_id,
            project_id=loading.get_stamp(version_id=row.version_id).project_id,
            event_type=event_type,
            data=data,
            origin=principal.origin,
            event_id=chosen,
        )
        if is_new:
            told = Event(
                kind=EventKind.EVENT_ADDRESSED,
                at=row.now,
                data={"event": str(chosen), "type": event_type},
                payloads={"reason": reason.strip()},
            )
            outside.append(row=row, events=(told,), origin=principal.origin)
    return Published(event_id=chosen, replayed=not is_new)


def _name_event(run_id: UUID, event_id: str) -> UUID:
    """Return the id under which an event for a run is kept: that of the sender's id."""
    text = f"run\n{run_id}\n{event_id}"
    made = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    made[6], made[8] = made[6] & 0x0F | 0x80, made[8] & 0x3F | 0x80  # RFC 9562 §5.8, version 8
    return UUID(bytes=bytes(made))
