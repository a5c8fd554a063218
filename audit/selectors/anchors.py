"""How far anchors and sinks are, for those who look after them. Read `list_anchors`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from audit.outward import conf, rows
from audit.outward.errors import OutwardMissingError
from audit.outward.rows import Standing
from audit.outward.targets import AnchorTarget, SinkTarget, name_kind
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outward:
    """An anchor or a sink, and how far it is.

    `position` is a tree size: what it has. `lag` is how many leaves there are beyond. `state` is
    going, stopped (until somebody lets it go on) or disputed (it knows a tree that is not ours).
    `moved_at` is the last success; `last_error` says what went wrong since then, `attempt_count`
    how often. `told_size` is the tree a disputing anchor knows.
    """

    name: str
    kind: str
    position: int
    lag: int
    state: str
    moved_at: datetime | None
    attempt_count: int
    next_at: datetime | None
    last_error: str
    error_at: datetime | None
    told_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutwardOverview:
    """Every anchor and sink, in the order of the settings."""

    anchors: tuple[Outward, ...]
    sinks: tuple[Outward, ...]


def get_outward(*, principal: Principal) -> OutwardOverview:
    """Return every anchor and sink, for those who may read the whole ledger.

    Raises:
        OutwardMissingError: for everybody else.
    """
    answer = authorize(principal=principal, permission=Permission.VIEW_AUDIT, scope_id=None)
    if not answer.allowed:
        raise OutwardMissingError
    return OutwardOverview(anchors=list_anchors(), sinks=list_sinks())


def list_anchors() -> tuple[Outward, ...]:
    """Return how far each anchor is in the log as it is named now. At most 2 queries."""
    targets = conf.anchors()
    origin = conf.origin()
    return _list(targets, is_its=lambda row: row.role == "anchor" and row.origin == origin)


def list_sinks() -> tuple[Outward, ...]:
    """Return how far each sink is. At most 2 queries."""
    return _list(conf.sinks(), is_its=lambda row: row.role == "sink")


def _list(
    targets: Iterable[AnchorTarget | SinkTarget], *, is_its: Callable[[Standing], bool]
) -> tuple[Outward, ...]:
    targets = tuple(targets)
    if not targets:
        return ()
    standings = {row.name: row for row in rows.list_standings() if is_its(row)}
    end, _ = rows.find_end()
    return tuple(_view(target, standings.get(target.name), end=end) for target in targets)


def _view(target: AnchorTarget | SinkTarget, row: Standing | None, *, end: int) -> Outward:
    position = 0 if row is None else row.position
    return Outward(
        name=target.name,
        kind=name_kind(target),
        position=position,
        lag=max(end - position, 0),
        state="going" if row is None else row.state,
        moved_at=None if row is None else row.moved_at,
        attempt_count=0 if row is None else row.attempt_count,
        next_at=None if row is None else row.next_at,
        last_error="" if row is None else row.last_error,
        error_at=None if row is None else row.error_at,
        told_size=None if row is None else row.told_size,
    )
