"""Sending events from outside. Read `send_events`."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from engine import inbox
from engine.domain.cloud_events import CloudEvent
from engine.selectors.targets import get_project_target
from engine.services.events import Published, publish


def send_events(
    *, principal: Principal, project_slug: str, events: Sequence[CloudEvent]
) -> list[Published]:
    """Send events to whatever in a project waits for them or is started by them; all or none.

    Idempotent on an event's `source` and `id` within the project.
    Transaction: one; runs are moved and started after the commit.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        AccessForbiddenError: the caller may not operate the project's runs, which events move.
        EventInvalidError: a type or data are over a bound.
        EventReusedError: `source` and `id` came with another type or other data.
    """
    target = get_project_target(principal=principal, project_slug=project_slug)
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    with transaction.atomic():
        # All at once: one after the other, two batches could wait for each other.
        inbox.lock_types(project_id=target.project_id, types=[event.type for event in events])
        return [
            publish(
                project_id=target.project_id,
                event_type=event.type,
                data=event.data,
                origin=principal.origin,
                event_id=_name_event(target.project_id, event),
                context=event.context(),
            )
            for event in events
        ]


def _name_event(project_id: UUID, event: CloudEvent) -> UUID:
    """Return the id under which a project keeps an event: that of its `source` and `id`."""
    text = f"{project_id}\n{len(event.source)}\n{event.source}\n{event.id}"
    made = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    made[6], made[8] = made[6] & 0x0F | 0x80, made[8] & 0x3F | 0x80  # RFC 9562 §5.8, version 8
    return UUID(bytes=bytes(made))
