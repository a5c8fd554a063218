"""Stops asking a part that does not answer, for a while. Read `Breaker` first."""

from dataclasses import dataclass, field

from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock


@dataclass(slots=True, kw_only=True)
class Breaker:
    """Opens at a failure and closes by itself after some seconds.

    One per process and per part. Threads may share it: the worst they can do to each other is ask
    once too often. `failure_count` and `skip_count` only grow.
    """

    seconds: float = limits.HINT_BREAKER_SECONDS
    clock: Clock = SYSTEM_CLOCK
    failure_count: int = 0
    skip_count: int = 0
    _closes_at: float | None = field(default=None)

    def lets_through(self) -> bool:
        """Return whether to ask; a refusal is counted."""
        if self._closes_at is not None and self.clock.monotonic() < self._closes_at:
            self.skip_count += 1
            return False
        return True

    def record_failure(self) -> bool:
        """Open; return whether it was closed before, which is when to write a log line."""
        self.failure_count += 1
        was_closed = self._closes_at is None
        self._closes_at = self.clock.monotonic() + self.seconds
        return was_closed

    def record_success(self) -> bool:
        """Close; return whether it was open before, which is when to write a log line."""
        was_open = self._closes_at is not None
        self._closes_at = None
        return was_open
