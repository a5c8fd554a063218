"""The page of a run as it was then. Read `get_past_page`."""

from dataclasses import dataclass, replace
from uuid import UUID

from core.identity.domain.principal import Principal
from engine.domain.plan import Plan
from engine.models import Run
from engine.selectors.past_runs import Moment, PastRun, get_past
from engine.selectors.run_pages import RunPage, find_event_links, get_opened, list_event_listings


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPage:
    """What the page of a run shows of its past: the page it had then, and which past it is."""

    page: RunPage
    past: PastRun


def get_past_page(
    *,
    principal: Principal,
    run_id: UUID,
    moment: Moment,
    event_seq: int | None = None,
    event_before: int | None = None,
    keep: str = "",
) -> PastPage:
    """Return a run as its page would have shown it; queries as `get_past` and a few more.

    Nothing can be done to the past, so nobody may do anything there. Args: as `get_run_page`.

    Raises: as `get_past`.
    """
    past = get_past(principal=principal, run_id=run_id, moment=moment, keep=keep)
    row = (
        Run.objects.select_related("initiator", "on_behalf_of")
        .only("initiator__name", "initiator__kind", "on_behalf_of__name")
        .get(pk=run_id)
    )
    detail = past.detail
    events = tuple(list_event_listings(run_id=run_id, until_seq=past.seq))
    links = find_event_links(
        principal=principal, events=events, known=detail.relations.others, before=event_before
    )
    is_told = event_seq is not None and event_seq <= past.seq
    page = RunPage(
        detail=detail,
        plan=_plan_of(past),
        events=events,
        initiator_name=row.initiator.name,
        initiator_kind=row.initiator.kind,
        on_behalf_of=row.on_behalf_of.name if row.on_behalf_of else "",
        wake_at=None,
        may_operate=False,
        may_start=False,
        now=past.at,
        opened=get_opened(run_id=run_id, seq=event_seq) if is_told and event_seq else None,
        reader=past.reading.reader,
        links={key: replace(link, status="", outcome="") for key, link in links.items()},
    )
    return PastPage(page=page, past=past)


def _plan_of(past: PastRun) -> Plan:
    """Return what is drawn: nothing of a state that cannot be told."""
    run = past.detail.run
    if not past.detail.unreadable:
        return past.plan
    return Plan(
        name=run.workflow_slug,
        title=run.title,
        inputs_schema={},
        variables={},
        steps={},
        outputs={},
    )
