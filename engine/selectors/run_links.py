"""The runs around a run: who called it, whom it called, what it goes on from. Read `Relations`.

That another run exists is on a run's own record, so its id is told to whoever may read that. What
it is about is told only to those who may see it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import ScopeSet, list_scopes
from core.kernel import limits
from engine.domain.events import Event, EventKind
from engine.models import Run
from engine.reruns.models import Lineage

_CALLS: Final = frozenset({EventKind.CHILD_STARTED, EventKind.CHILD_CLOSED})
_FIELDS: Final = (
    "id",
    "number",
    "title",
    "status",
    "outcome",
    "workflow__slug",
    "workflow__project__slug",
    "workflow__scope_id",
    "workflow__scope__parent_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLink:
    """Another run. `number` is `None`, and the texts are empty, if the reader may not see it."""

    id: UUID
    number: int | None = None
    title: str = ""
    status: str = ""
    outcome: str = ""
    project_slug: str = ""
    workflow_slug: str = ""

    @property
    def is_visible(self) -> bool:
        """Say whether the reader may look at it."""
        return self.number is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relations:
    """The runs around a run.

    It is `origin` run again from `origin_key`, or a fork of it; `reruns` are runs that are itself
    run again, each with the step it began from. `parent` called it, in its step `parent_key`. It
    goes on where `predecessor` ended as continued, and `successor` where it did itself. `others`
    are those that were asked for, by id.
    """

    parent: RunLink | None
    parent_key: str
    predecessor: RunLink | None
    successor: RunLink | None
    others: dict[UUID, RunLink]
    origin: RunLink | None = None
    origin_key: str = ""
    is_fork: bool = False
    reruns: tuple[tuple[RunLink, str], ...] = ()


def find_relations(*, principal: Principal, run_id: UUID, others: Iterable[UUID] = ()) -> Relations:
    """Return the runs around a run, and other runs by id; at most 6 queries.

    Args:
        principal: who reads; it may see the run itself.
        run_id: the run.
        others: ids of runs on its record, of which `limits.RUN_LINK_COUNT_MAX` are told.
    """
    own = Run.objects.only("parent_id", "parent_key", "predecessor_id").get(pk=run_id)
    wanted = {item for item in (own.parent_id, own.predecessor_id) if item is not None}
    lineages = list(Lineage.objects.filter(Q(pk=run_id) | Q(origin_id=run_id)).order_by("pk"))
    own_lineage = next((item for item in lineages if item.pk == run_id), None)
    again = [item for item in lineages if item.pk != run_id][: limits.RERUN_LINK_COUNT_MAX]
    wanted |= {item.pk for item in again}
    wanted |= {own_lineage.origin_id} if own_lineage else set()
    wanted |= set(list(dict.fromkeys(others))[: limits.RUN_LINK_COUNT_MAX])
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_WORKFLOW)
    links: dict[UUID, RunLink] = {}
    successor: RunLink | None = None
    rows = Run.objects.filter(Q(pk__in=wanted) | Q(predecessor_id=run_id))
    for before, row in _read(rows):
        links[row["id"]] = _link(row, scopes)
        if before == run_id:
            successor = links[row["id"]]
    return Relations(
        parent=links.get(own.parent_id) if own.parent_id else None,
        parent_key=own.parent_key,
        predecessor=links.get(own.predecessor_id) if own.predecessor_id else None,
        successor=successor,
        others=links,
        origin=links[own_lineage.origin_id] if own_lineage else None,
        origin_key=own_lineage.from_key if own_lineage else "",
        is_fork=own_lineage is not None and own_lineage.is_fork,
        reruns=tuple((links[item.pk], item.from_key) for item in again),
    )


def find_links(*, principal: Principal, run_ids: Collection[UUID]) -> dict[UUID, RunLink]:
    """Return runs by id, as far as the reader may see them; at most 4 queries, 0 for none."""
    if not run_ids:
        return {}
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_WORKFLOW)
    rows = Run.objects.filter(pk__in=list(dict.fromkeys(run_ids))[: limits.RUN_LINK_COUNT_MAX])
    return {row["id"]: _link(row, scopes) for _, row in _read(rows)}


def list_mentioned(*, event: Event) -> list[UUID]:
    """Return the ids of the other runs that an event is about."""
    data: Mapping[str, Any] = event.data
    parent, cause, rerun = data.get("parent"), data.get("cause"), data.get("rerun")
    found = [
        rerun.get("of") if isinstance(rerun, Mapping) else None,
        parent.get("run") if isinstance(parent, Mapping) else None,
        cause.get("run") if isinstance(cause, Mapping) else None,
        data.get("predecessor"),
        data.get("successor"),
        str(data.get("from", "")).partition(":")[0],
        data.get("run") if event.kind in _CALLS else None,
    ]
    return [run_id for item in found if (run_id := _read_id(item)) is not None]


def _read_id(value: Any) -> UUID | None:
    try:
        return UUID(str(value)) if value else None
    except ValueError:
        return None


def _read(rows: QuerySet[Run]) -> Iterable[tuple[UUID | None, dict[str, Any]]]:
    for row in rows.values("predecessor_id", *_FIELDS):
        yield row["predecessor_id"], row


def _link(row: dict[str, Any], scopes: ScopeSet) -> RunLink:
    place = (row["workflow__scope_id"], row["workflow__scope__parent_id"])
    if not scopes.covers(scope_id=place[0], parent_id=place[1]):
        return RunLink(id=row["id"])
    return RunLink(
        id=row["id"],
        number=row["number"],
        title=row["title"],
        status=row["status"],
        outcome=row["outcome"],
        project_slug=row["workflow__project__slug"],
        workflow_slug=row["workflow__slug"],
    )
