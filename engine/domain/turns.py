"""Who goes on in a concurrency group, and who is cancelled for it. Read `judge`. Source: FLOW."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.domain.plan import OnConflict


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A run in its group, as its definition and its start say.

    `is_granted`: it goes on. `is_leaving`: somebody has cancelled it, and it has not closed yet.
    """

    run_id: UUID
    workflow_id: UUID
    run_count_max: int
    on_conflict: OnConflict
    priority: int
    since: datetime
    is_granted: bool = False
    is_leaving: bool = False

    @property
    def started(self) -> tuple[datetime, UUID]:
        """Return what says which of two runs is the earlier one."""
        return self.since, self.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Displaced:
    """A run that is to be cancelled, and the run for which.

    `is_late`: it is the newest and its definition says so; otherwise `by` came after it.
    """

    run_id: UUID
    by: UUID
    is_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Runs that go on from now, in their order, and those that are to be cancelled."""

    granted: tuple[UUID, ...] = ()
    displaced: tuple[Displaced, ...] = ()


def judge(turns: Iterable[Turn]) -> Verdict:
    """Return what becomes of a group.

    Never more go on than any of them allows, those of other workflows included. Turns are granted
    by priority, then by start, and nobody is overtaken by who would need less room.

    Args:
        turns: of one group, in any order: all that go on, and of those that wait at least the
            first, and every one whose `on_conflict` is not `queue`.
    """
    known = list(turns)
    going = [turn for turn in known if turn.is_granted]
    room = min((turn.run_count_max for turn in going), default=None)
    granted: list[Turn] = []
    late: list[Turn] = []
    is_blocked = False
    for turn in sorted(
        (turn for turn in known if not turn.is_granted and not turn.is_leaving), key=_order
    ):
        least = turn.run_count_max if room is None else min(room, turn.run_count_max)
        if not is_blocked and len(going) + len(granted) < least:
            granted.append(turn)
            room = least
        elif turn.on_conflict is OnConflict.CANCEL_NEWEST:
            late.append(turn)
        else:
            is_blocked = True
    first = min(going + granted, key=lambda turn: turn.started, default=None)
    refused = [
        Displaced(run_id=turn.run_id, by=(first or turn).run_id, is_late=True) for turn in late
    ]
    waiting = [turn for turn in known if turn not in granted and turn not in late]
    return Verdict(
        granted=tuple(turn.run_id for turn in granted),
        displaced=(*refused, *_displace(waiting, granted)),
    )


def _order(turn: Turn) -> tuple[int, datetime, UUID]:
    return -turn.priority, turn.since, turn.run_id


def _displace(others: Sequence[Turn], granted: Sequence[Turn]) -> Iterable[Displaced]:
    """Yield the earlier runs that make room for the newest of their workflow."""
    known = [*others, *granted]
    going = [turn for turn in known if turn.is_granted or turn in granted]
    newest: dict[UUID, Turn] = {}
    for turn in others:
        wants = turn.on_conflict is OnConflict.CANCEL_IN_PROGRESS
        if turn.is_granted or turn.is_leaving or not wants:
            continue
        best = newest.get(turn.workflow_id)
        if best is None or turn.started > best.started:
            newest[turn.workflow_id] = turn
    for turn in newest.values():
        room = min([turn.run_count_max, *(item.run_count_max for item in going)])
        staying = [item for item in known if not item.is_leaving]
        own = sorted(
            (
                item
                for item in staying
                if item.workflow_id == turn.workflow_id and item.started < turn.started
            ),
            key=lambda item: item.started,
        )
        foreign = sum(
            item.workflow_id != turn.workflow_id and (item.is_granted or item in granted)
            for item in staying
        )
        excess = foreign + len(own) - (room - 1)
        for item in own[: max(0, excess)]:
            yield Displaced(run_id=item.run_id, by=turn.run_id)
