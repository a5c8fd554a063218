"""What will happen when, in virtual time. Read `Agenda`."""

import heapq
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any


class Kind(IntEnum):
    """What happens; at the same instant, in this order.

    A request that expires is not decided at that instant: a decision counts strictly before.
    """

    EXPIRY = 0
    ENDED = 1  # an attempt
    CHILD = 2
    DECISION = 3
    EVENT = 4
    CANCEL = 5


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing that will happen. Of equal instants and kinds, the earlier entered is first."""

    at: datetime
    kind: Kind
    order: int
    key: str = field(compare=False)
    what: Any = field(compare=False)


@dataclass(slots=True)
class Agenda:
    """Things to come, soonest first."""

    _items: list[Item] = field(default_factory=list)
    _count: int = 0

    def add(self, at: datetime, kind: Kind, *, key: str = "", what: Any = None) -> None:
        """Enter something."""
        self._count += 1
        heapq.heappush(self._items, Item(at, kind, self._count, key, what))

    def next_at(self) -> datetime | None:
        """Return when the next thing happens, `None` for never."""
        return self._items[0].at if self._items else None

    def take(self) -> Item:
        """Return the next thing, and forget it."""
        return heapq.heappop(self._items)
