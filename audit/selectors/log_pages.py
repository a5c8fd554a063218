"""What the page of the log shows. Read `get_log_page`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from audit.domain.entry import read_entry
from audit.models import Entry
from audit.selectors.anchors import OutwardOverview, list_anchors, list_sinks
from audit.selectors.log import LogView, get_log
from audit.selectors.proofs import Head, can_read_everything, list_heads
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK

HEAD_COUNT: Final = 20  # tree heads of one page
_REFUSED: Final = "seal.refused"


class SealState(StrEnum):
    """How sealing goes."""

    NONE = "none"  # nothing was sealed yet, and nothing waits long
    GOOD = "good"
    LATE = "late"  # an entry waits longer than it should
    REFUSED = "refused"  # the sealer said that it may not sign


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """The log: how sealing goes, its newest tree heads, and who else keeps them.

    `heads` has one more than are shown if others follow. `outward` is `None` for who may not read
    everything, and `refused` ("" for no refusal since the newest tree head) is then not known.
    """

    log: LogView
    state: SealState
    refused: str
    heads: tuple[Head, ...]
    outward: OutwardOverview | None
    now: datetime


def get_log_page(*, principal: Principal, before: int | None = None) -> LogPage:
    """Return the log; at most 24 queries, however long it is.

    Args:
        principal: who asks.
        before: only tree heads of fewer leaves; `None` begins with the newest.

    Raises:
        LogMissingError: if the principal may not read the log.
    """
    log = get_log(principal=principal)
    sees_everything = can_read_everything(principal=principal)
    refused = _find_refusal(log) if sees_everything else ""
    return LogPage(
        log=log,
        state=_judge(log, refused=refused),
        refused=refused,
        heads=tuple(list_heads(principal=principal, after=before, limit=HEAD_COUNT + 1)),
        outward=OutwardOverview(anchors=list_anchors(), sinks=list_sinks())
        if sees_everything
        else None,
        now=SYSTEM_CLOCK.now(),
    )


def _judge(log: LogView, *, refused: str) -> SealState:
    if refused:
        return SealState.REFUSED
    age = log.pending_age
    if age is not None and age.total_seconds() > limits.SEAL_LAG_SECONDS_MAX:
        return SealState.LATE
    return SealState.NONE if log.head is None else SealState.GOOD


def _find_refusal(log: LogView) -> str:
    """Return why the sealer refused last, "" if it has signed since."""
    row = Entry.objects.filter(kind=_REFUSED).order_by("-pk").first()
    if row is None or (log.head is not None and row.at <= log.head.at):
        return ""
    data = read_entry(bytes(row.body)).data
    return str(data.get("detail") or data.get("reason") or "")
