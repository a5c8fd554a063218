"""Ledger entries about requests. Read `Kind` first."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from approvals.models import Request
from core.kernel.record import SYSTEM_ACTOR, Draft, Origin, Via
from core.kernel.types import JsonLike

# Time itself closes a request; the sweep only notices.
SWEEP_ORIGIN = Origin(actor=SYSTEM_ACTOR, via=Via.ENGINE)


class Kind(StrEnum):
    """What may happen to a request."""

    REQUEST_OPENED = "request.opened"  # run, seq, leaf of the run's entry; payload: request
    REQUEST_BLOCKED = "request.blocked"  # stage; too few people may decide
    REQUEST_UNBLOCKED = "request.unblocked"  # stage; enough people may decide again
    STAGE_OPENED = "stage.opened"  # stage
    STAGE_CLOSED = "stage.closed"  # stage, verdict, approvals, rejections
    VOTE_CAST = "vote.cast"  # stage, decision, person; payloads: comment, form
    REQUEST_CLOSED = "request.closed"  # outcome, closure
    NOTICE_FAILED = "notice.failed"  # notice, event, channel, recipient, attempts; payload: reason
    DECISION_REFUSED = "decision.refused"  # decision, person; reason is the error's code
    DECISION_LATE = "decision.late"  # the same, after the time was up
    DECISION_REPEATED = "decision.repeated"  # vote; the first result was answered again


def draft(
    kind: Kind,
    *,
    request: Request,
    at: datetime,
    origin: Origin,
    data: Mapping[str, JsonLike] | None = None,
    payloads: Mapping[str, JsonLike] | None = None,
) -> Draft:
    """Return the draft of an entry in a request's stream."""
    return Draft(
        kind=kind.value,
        at=at,
        origin=origin,
        subject=f"request:{request.pk}",
        data={"number": request.number, "round": request.round, **(data or {})},
        payloads=payloads or {},
        version=bytes(request.version_digest).hex(),
        scope=request.scope_id,
    )
