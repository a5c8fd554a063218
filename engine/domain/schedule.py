"""Names with the instants at which they are due, as a value. Read `Schedule`."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import takewhile

from immutables import Map

_Place = tuple[datetime, str]


class Schedule(Mapping[str, datetime]):
    """A map from names to instants that knows what is due first. Never changed in place.

    A run looks at its clock in every move, so what is due must not be searched for: beside the map
    there are the instants in order. To change one copies as many pointers as there are names, which
    for thousands is still microseconds.
    """

    __slots__ = ("_due", "_order")

    def __init__(
        self, due: "Map[str, datetime] | None" = None, order: tuple[_Place, ...] = ()
    ) -> None:
        self._due: Map[str, datetime] = Map() if due is None else due
        self._order = order

    def set(self, name: str, at: datetime) -> "Schedule":
        """Return the schedule in which a name is due at an instant."""
        order = self._without(name) if name in self._due else self._order
        place = bisect_left(order, (at, name))
        return Schedule(self._due.set(name, at), (*order[:place], (at, name), *order[place:]))

    def delete(self, name: str) -> "Schedule":
        """Return the schedule without a name that it has."""
        return Schedule(self._due.delete(name), self._without(name))

    def iter_due(self, at: datetime) -> Iterator[str]:
        """Yield the names that are due at an instant, the soonest first."""
        return (name for _, name in takewhile(lambda place: place[0] <= at, self._order))

    def find_first(self, *, besides: "frozenset[str]" = frozenset()) -> datetime | None:
        """Return when the first name is due that is not among those `besides`; `None`: never."""
        return next((at for at, name in self._order if name not in besides), None)

    def __getitem__(self, name: str) -> datetime:
        return self._due[name]

    def __iter__(self) -> Iterator[str]:
        return iter(name for _, name in self._order)

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, name: object) -> bool:
        return name in self._due

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self._order == other._order

    def __hash__(self) -> int:
        return hash(self._order)

    def __repr__(self) -> str:
        return f"Schedule({dict(self)!r})"

    def _without(self, name: str) -> tuple[_Place, ...]:
        place = bisect_left(self._order, (self._due[name], name))
        return (*self._order[:place], *self._order[place + 1 :])
