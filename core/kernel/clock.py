"""The only reader of the wall clock. Read `Clock` first.

Rules never read time; they take it as an argument. The shell takes it from a `Clock`, or, where two
machines must agree (expiry, leases), from the database inside the transaction that uses it.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point, never going backwards."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point, never going backwards."""
        return time.monotonic()


@dataclass(slots=True, kw_only=True)
class FakeClock:
    """A clock that moves only when told to, for tests and simulations."""

    current: datetime = field(default_factory=lambda: datetime(2026, 1, 1, 12, 0, tzinfo=UTC))
    elapsed: float = 0.0

    def now(self) -> datetime:
        """Return the instant it was last set to."""
        return self.current

    def monotonic(self) -> float:
        """Return the seconds it was advanced by so far."""
        return self.elapsed

    def advance(self, by: timedelta) -> None:
        """Move both readings forward by a duration."""
        self.current += by
        self.elapsed += by.total_seconds()


SYSTEM_CLOCK: Clock = SystemClock()
