"""Whether a record leads where it led, with its own version or another. Read `replay`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from core.kernel import limits
from engine.domain.decider import Decider
from engine.domain.errors import NondeterministicError, UnexpectedEventError
from engine.domain.events import Event
from engine.domain.state import RunState

# What a version stumbles over when an entry names something it does not have.
_STRANGE = (KeyError, IndexError, AttributeError, TypeError, ValueError, AssertionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first entry that does not replay: what it records, and what replaying gives instead."""

    seq: int
    kind: str
    expected: str
    found: str


@dataclass(slots=True, kw_only=True)
class Replay:
    """A replay in progress: how many entries have held, where they lead, and what stopped it."""

    decider: Decider
    state: RunState = field(default_factory=RunState)
    entry_count: int = 0
    divergence: Divergence | None = None

    def go_on(self, events: Iterable[Event]) -> bool:
        """Replay more entries, in order. Returns whether all so far hold."""
        for event in events:
            if self.divergence is None:
                self.divergence = self._step(event)
        return self.divergence is None

    def _step(self, event: Event) -> Divergence | None:
        try:
            self.state = self.decider.fold(self.state, (event,))
        except NondeterministicError as error:
            expected, found = str(error.details["expected"]), str(error.details["found"])
        except UnexpectedEventError as error:
            expected, found = event.kind, str(error.details["reason"])
        except _STRANGE as error:
            expected = event.kind
            found = f"this version does not have what it names ({type(error).__name__}: {error})"
        else:
            self.entry_count += 1
            return None
        return Divergence(
            seq=event.seq, kind=event.kind, expected=_shorten(expected), found=_shorten(found)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayNote:
    """What publishing says about the open runs of other versions. They keep theirs.

    `open_count` is at most one more than `limits.REPLAY_NOTE_RUN_COUNT_MAX`; of these,
    `replayed_count` were replayed with the new version in the time there is, and `diverging_count`
    of them would not replay. `first` is the first such divergence, without its run.
    """

    open_count: int
    replayed_count: int
    diverging_count: int
    first: Divergence | None


def replay(decider: Decider, events: Iterable[Event]) -> Replay:
    """Replay a whole record and compare every recorded consequence with what follows now. Pure."""
    made = Replay(decider=decider)
    made.go_on(events)
    return made


def _shorten(text: str) -> str:
    most = limits.DIVERGENCE_CHARS_MAX
    return text if len(text) <= most else f"{text[: most - 1]}…"
