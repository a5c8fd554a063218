"""What the page shows on which an event is sent to a run. Read `get_send_page`."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.types import Json
from engine.domain.state import RunStatus
from engine.models import Wait
from engine.selectors.run_pages import CancelPage, get_cancel_page


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedEvent:
    """An event that a step or state waits for: its type and what its data must hold."""

    key: str
    type: str
    correlate: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPage:
    """A run to which somebody sends an event, and what it waits for now, oldest first.

    `awaited` is cut to `limits.LIST_ITEM_COUNT_MAX`, and empty for who may not send.
    """

    run: CancelPage
    awaited: tuple[AwaitedEvent, ...]


def get_send_page(*, principal: Principal, run_id: UUID) -> SendPage:
    """Return what somebody is shown who sends an event to a run. Raises: RunMissingError."""
    run = get_cancel_page(principal=principal, run_id=run_id)
    if not run.may_operate or run.status == RunStatus.CLOSED:
        return SendPage(run=run, awaited=())
    rows = Wait.objects.filter(run_id=run_id).order_by("created_at", "key")
    listed = rows.values_list("key", "type", "correlate")[: limits.LIST_ITEM_COUNT_MAX]
    awaited = tuple(
        AwaitedEvent(key=key, type=event_type, correlate=correlate)
        for key, event_type, correlate in listed
    )
    return SendPage(run=run, awaited=awaited)
