"""What the pages of runs say about steps that wait for people. Read `list_panels` first.

These are plugged into `engine.portal.panels`: the engine knows that a step waits, never for whom.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Count, F
from django.urls import reverse

from approvals import store
from approvals.domain.quorum import Choice
from approvals.domain.rule import AfterExpiry, Asks, rule_from_json
from approvals.domain.words import describe_asked, say_choice
from approvals.models import Request, RequestStatus, Stage, Vote
from approvals.selectors import requests
from approvals.selectors.views import map_open_stages
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes
from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.portal.words import say_ago
from engine.portal.panels import PanelFunction, PastPanelFunction, WaitPanel, WaitPerson

_CONSEQUENCES: Final = {
    AfterExpiry.REJECT: "then it counts as rejected",
    AfterExpiry.EXPIRE: "then it expires",
    AfterExpiry.FAIL: "then the step fails",
}


def make_panel_function(asks: Asks) -> PanelFunction:
    """Return the function that shows the approvals, or the questions, of a run."""

    def find(principal: Principal, run_id: UUID, keys: Collection[str]) -> Mapping[str, WaitPanel]:
        return list_panels(principal=principal, run_id=run_id, keys=keys, asks=asks)

    return find


def make_past_panel_function(asks: Asks) -> PastPanelFunction:
    """Return the function that shows the approvals, or the questions, of a run as they were."""

    def find(
        principal: Principal, run_id: UUID, keys: Collection[str], at: datetime
    ) -> Mapping[str, WaitPanel]:
        return list_past_panels(principal=principal, run_id=run_id, keys=keys, at=at, asks=asks)

    return find


def list_past_panels(
    *,
    principal: Principal,
    run_id: UUID,
    keys: Collection[str],
    at: datetime,
    asks: Asks = Asks.APPROVAL,
) -> dict[str, WaitPanel]:
    """Return what a run's page would have said of steps that waited for people, by step key.

    Those of a step's requests count that were open, or the last, by the instant `at`; of votes
    those that had been cast. At most 8 queries.
    """
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_REQUEST)
    rows = list(
        requests.make_rows()
        .filter(
            requests.make_covered(scopes),
            store.make_asking(asks),
            run_id=run_id,
            step_key__in=list(keys),
            opened_at__lte=at,
        )
        .order_by("pk")
    )
    votes = list(
        Vote.objects.filter(request_id__in=[row.pk for row in rows], cast_at__lte=at)
        .annotate(stage_key=F("stage__key"))
        .order_by("pk")
    )
    return {
        row.step_key: _past_panel(row, [vote for vote in votes if vote.request_id == row.pk], at=at)
        for row in rows
    }


def _past_panel(row: Request, votes: Sequence[Vote], *, at: datetime) -> WaitPanel:
    was_open = row.closed_at is None or row.closed_at > at
    newest = {(vote.person_id, vote.stage_id, vote.round): vote for vote in votes}
    people = []
    for vote in newest.values():
        mark, did = say_choice(Choice(vote.decision))
        line = f"{did.capitalize()} {say_ago(vote.cast_at, now=at)}"
        people.append(WaitPerson(name=vote.name, status=mark, line=line))
    rule = rule_from_json(row.rule)
    only = rule.stages[0] if len(rule.stages) == 1 else None
    after = _CONSEQUENCES.get(rule.after_expiry, "") if rule.after_expiry else ""
    return WaitPanel(
        address=reverse("approvals_portal:request", kwargs={"request_id": row.pk}),
        title=row.title,
        due_at=row.expires_at if was_open else None,
        consequence=after if was_open else "",
        given_count=sum(vote.decision == Choice.APPROVE for vote in newest.values()),
        needed_count=only.quorum.count if only is not None else 0,
        people=tuple(people),
    )


def list_panels(
    *,
    principal: Principal,
    run_id: UUID,
    keys: Collection[str],
    asks: Asks = Asks.APPROVAL,
) -> dict[str, WaitPanel]:
    """Return what a run's page says of steps that wait for people, by step key.

    Of a step that asked more than once, the last time. Those the caller may not see are missing.
    At most 15 queries, however many steps there are.
    """
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_REQUEST)
    rows = list(
        requests.make_rows()
        .filter(
            requests.make_covered(scopes),
            store.make_asking(asks),
            run_id=run_id,
            step_key__in=list(keys),
        )
        .order_by("pk")
    )
    if not rows:
        return {}
    ids = [row.pk for row in rows]
    stages = map_open_stages(ids)
    mine = _map_mine(principal, ids)
    people = _map_people(rows)
    return {
        row.step_key: _panel(
            row, stages.get(row.pk), is_mine=row.pk in mine, people=people.get(row.pk, ())
        )
        for row in rows
    }


def count_open_by_run(*, principal: Principal, run_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many open requests runs have, of those the caller may see; 4 queries."""
    return _count(principal, "run_id", run_ids)


def count_open_by_workflow(
    *, principal: Principal, workflow_ids: Collection[UUID]
) -> dict[UUID, int]:
    """Return how many open requests the runs of workflows have; 4 queries."""
    return _count(principal, "run__workflow_id", workflow_ids)


def _count(principal: Principal, column: str, ids: Collection[UUID]) -> dict[UUID, int]:
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_REQUEST)
    rows = (
        Request.objects.filter(
            requests.make_covered(scopes), status=RequestStatus.OPEN, **{f"{column}__in": list(ids)}
        )
        .values_list(column)
        .annotate(count=Count("pk"))
    )
    return dict(rows)


def _map_mine(principal: Principal, ids: Collection[UUID]) -> frozenset[UUID]:
    decidable = list(requests.make_decidable(principal).filter(pk__in=ids))
    found = requests.list_without_excluded(principal=principal, rows=decidable)
    return frozenset(row.pk for row in found)


def _map_people(rows: Iterable[Request]) -> Mapping[UUID, tuple[WaitPerson, ...]]:
    """Return who voted in the current rounds, in the order of voting; 1 query."""
    rounds = {row.pk: row.round for row in rows}
    now = SYSTEM_CLOCK.now()
    found: dict[UUID, list[WaitPerson]] = {}
    votes = Vote.objects.filter(request_id__in=list(rounds)).annotate(stage_key=F("stage__key"))
    for vote in votes.order_by("pk"):
        if vote.round != rounds[vote.request_id]:
            continue
        mark, did = say_choice(Choice(vote.decision))
        person = WaitPerson(
            name=vote.name,
            status=mark,
            line=f"{did.capitalize()} {say_ago(vote.cast_at, now=now)}",
        )
        found.setdefault(vote.request_id, []).append(person)
    return {key: tuple(people) for key, people in found.items()}


def _panel(
    row: Request, stage: Stage | None, *, is_mine: bool, people: tuple[WaitPerson, ...]
) -> WaitPanel:
    rule = rule_from_json(row.rule)
    is_open = row.status == RequestStatus.OPEN
    note = ""
    needed_count = 0
    if stage is not None:
        asked = rule.stage(stage.key)
        needed_count = asked.quorum.count
        note = f"Asked: {describe_asked(rule, stage.key)}."
    after = _CONSEQUENCES.get(rule.after_expiry, "") if rule.after_expiry else ""
    return WaitPanel(
        address=reverse("approvals_portal:request", kwargs={"request_id": row.pk}),
        title=row.title,
        is_mine=is_mine,
        due_at=row.expires_at if is_open else None,
        consequence=after,
        given_count=getattr(stage, "approval_count", 0),
        needed_count=needed_count,
        people=people,
        note=note,
    )
