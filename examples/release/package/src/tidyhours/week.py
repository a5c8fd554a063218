"""The values: a week of opening hours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

DAY_MINUTES = 24 * 60


class Day(IntEnum):
    """A day of the week, in the order people write them."""

    MO = 0
    TU = 1
    WE = 2
    TH = 3
    FR = 4
    SA = 5
    SU = 6

    @property
    def short(self) -> str:
        """Return the two letters that stand for the day."""
        return self.name.capitalize()


@dataclass(frozen=True, order=True)
class Span:
    """Minutes since midnight, from `start` up to but not including `end`.

    `end` is over 24 hours for a span that passes midnight.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        """Refuse what is no span."""
        if not 0 <= self.start < DAY_MINUTES:
            raise ValueError(f"a span begins within its day, not at minute {self.start}")
        if not self.start < self.end <= self.start + DAY_MINUTES:
            raise ValueError("a span lasts from one minute to one day")

    @property
    def minutes(self) -> int:
        """Return how long the span lasts."""
        return self.end - self.start


@dataclass(frozen=True)
class Week:
    """The spans of each day, sorted and apart from each other; a missing day is closed."""

    days: Mapping[Day, tuple[Span, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the mapping read-only."""
        object.__setattr__(self, "days", MappingProxyType(dict(self.days)))

    def spans(self, day: Day) -> tuple[Span, ...]:
        """Return a day's spans, none if it is closed."""
        return self.days.get(day, ())
