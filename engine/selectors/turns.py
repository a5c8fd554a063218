"""A run's place in its concurrency group, as its readers see it. Read `find_turn`."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from core.identity.domain.principal import Principal
from core.kernel import limits
from engine.models import Turn
from engine.selectors.run_links import RunLink, find_links


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnView:
    """Where a run stands in its group.

    `before_count` runs wait before it, at most `limits.TURN_LOOK_COUNT_MAX`; both counts are of a
    run that waits. `going` are those of the `going_count` that the reader may see.
    """

    group: str
    is_waiting: bool = False
    before_count: int = 0
    going_count: int = 0
    going: tuple[RunLink, ...] = ()


def find_turn(*, principal: Principal, run_id: UUID, group: str) -> TurnView | None:
    """Return where a run stands in its group, `None` if it is of none; at most 7 queries.

    The reader may see the run. Who else is in a group is on no record of this run, so only those
    the reader may see are named.
    """
    if not group:
        return None
    own = Turn.objects.filter(pk=run_id, granted_at=None).first()
    if own is None:
        return TurnView(group=group)
    others = Turn.objects.filter(project_id=own.project_id, name=own.name)
    before = others.filter(granted_at=None).filter(
        Q(priority__gt=own.priority)
        | Q(priority=own.priority, since__lt=own.since)
        | Q(priority=own.priority, since=own.since, run_id__lt=run_id)
    )
    going = list(others.filter(granted_at__isnull=False).values_list("run_id", flat=True))
    links = find_links(principal=principal, run_ids=going)
    return TurnView(
        group=group,
        is_waiting=True,
        before_count=len(before.values_list("run_id")[: limits.TURN_LOOK_COUNT_MAX]),
        going_count=len(going),
        going=tuple(link for link in links.values() if link.is_visible),
    )
