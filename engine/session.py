"""What a driver holds in memory of the run it drives. Read `Session`."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from audit.domain.entry import StreamHead
from core.kernel.clock import Clock
from engine.domain.events import Begun, Event
from engine.domain.state import RunState
from engine.executing import Ended
from engine.loading import Rules
from engine.store import RunRow


class TakenOverError(Exception):
    """Another driver has the run: nothing of it may be written any more. Never leaves here."""


@dataclass(slots=True, kw_only=True)
class Unwritten:
    """What lazy steps have done since the last entry: it can be done again if it gets lost.

    `state` is that after the last entry, `begun` are the attempts which executed then.
    """

    events: tuple[Event, ...]
    state: RunState
    begun: tuple[Begun, ...]


@dataclass(slots=True, kw_only=True)
class Session:
    """A driven run: what the driver holds in memory. Changed only by its driver's thread."""

    run: RunRow
    rules: Rules
    epoch: int
    head: StreamHead
    state: RunState
    clock: Clock  # this machine's; only how it goes on counts
    clock_base: datetime  # the database's
    clock_started: float  # in the seconds of `clock.monotonic`, when `clock_base` was read
    executing: "dict[Future[Ended], str]" = field(default_factory=dict)
    unwritten: Unwritten | None = None
    untold: tuple[Ended, ...] = ()  # ends of attempts that are being recorded

    def now(self) -> datetime:
        """Return the database's clock, carried on by this machine's monotonic one."""
        return self.clock_base + timedelta(seconds=self.clock.monotonic() - self.clock_started)
