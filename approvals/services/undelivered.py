"""Notices that reached nobody. Read `record_undelivered`."""

from uuid import UUID

from approvals import store
from approvals.drafting import Kind, draft
from approvals.models import Notice
from approvals.services.notifying import announce
from core.kernel import limits
from core.kernel.record import ENGINE_ORIGIN
from core.toolkit.db import read_database_clock, require_transaction


def record_undelivered(*, notice_id: UUID, reason: str) -> None:
    """Put on record, in the request's stream, that a notice was given up.

    A notice about a run has no such stream; that it is dead stays in the outbox and in the log.
    The recipient is named by id and the reason, which may hold an address, is a payload. Open pages
    of who asked and of the run are told.

    Transaction: needs the one that notes the notice dead; locks the request.
    """
    require_transaction()
    notice = Notice.objects.get(pk=notice_id)
    if notice.request_id is None:
        return
    request = store.lock_request(request_id=notice.request_id)
    assert request is not None, "requests are never deleted"
    entry = draft(
        Kind.NOTICE_FAILED,
        request=request,
        at=read_database_clock(),
        origin=ENGINE_ORIGIN,
        data={
            "notice": str(notice.pk),
            "event": notice.event,
            "channel": notice.channel,
            "recipient": str(notice.recipient_id),
            "attempts": notice.attempts,
        },
        payloads={"reason": reason[: limits.ERROR_CHARS_MAX]},
    )
    store.append(request=request, drafts=[entry], changes={})
    announce(request=request, event=Kind.NOTICE_FAILED.value)
