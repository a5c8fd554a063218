"""How somebody outside ends what a run waits for. Read `lock_run`, then `resolve_wait`.

A question about a step that failed is ended by `answer_question`.

The lock order is run, then request: call `lock_run` before locking anything of your own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.kernel.record import Origin
from core.kernel.types import Json, JsonLike
from engine import store
from engine.domain.errors import RunClosedError, RunMissingError
from engine.domain.events import Event, EventKind
from engine.domain.state import RunStatus
from engine.domain.unwinding import CHOICES
from engine.domain.verbs import WaitOutcome
from engine.ports import RunFacts
from engine.selectors.facts import get_run_facts
from engine.services import outside


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRun:
    """A run whose row this transaction has locked. `at` is the database's clock.

    `facts` are read when asked: most callers need none of them.
    """

    row: store.RunRow
    at: datetime

    @property
    def run_id(self) -> UUID:
        """Return the run's id."""
        return self.row.id

    @property
    def is_closed(self) -> bool:
        """Say whether the run is over."""
        return self.row.status == RunStatus.CLOSED

    def facts(self) -> RunFacts:
        """Return the run's facts. One statement."""
        return get_run_facts(run_id=self.row.id)


def lock_run(*, run_id: UUID) -> LockedRun:
    """Lock a run against everybody but its driver's reads.

    Transaction: needs one, and the lock holds until its end. Raises: RunMissingError.
    """
    row = store.lock_run(run_id=run_id)
    if row is None:
        raise RunMissingError
    return LockedRun(row=row, at=row.now)


def resolve_wait(
    *,
    locked: LockedRun,
    key: str,
    outcome: WaitOutcome,
    outputs: Mapping[str, Json],
    evidence: Mapping[str, JsonLike],
    origin: Origin,
) -> None:
    """End a wait: append `approval.resolved`, make the run READY, hint after commit.

    Args:
        locked: the run, locked by this transaction. It may be used for one append only.
        key: the step's key, as `WaitOpener.open` got it.
        outcome: how the wait ended.
        outputs: what `steps.<id>.outputs` will show, beside `outcome`.
        evidence: small facts for the hashed entry, such as the deciding vote's leaf in hex.
        origin: who ended it.

    Raises:
        RunClosedError: the run is over.
    """
    if locked.is_closed:
        raise RunClosedError
    event = Event(
        kind=EventKind.APPROVAL_RESOLVED,
        at=locked.at,
        data={**evidence, "key": key, "outcome": outcome.value},
        payloads={"outputs": dict(outputs)},
    )
    outside.append(row=locked.row, events=(event,), origin=origin)


def answer_question(
    *,
    locked: LockedRun,
    key: str,
    choice: str,
    evidence: Mapping[str, JsonLike],
    origin: Origin,
) -> None:
    """Say what becomes of a step that failed: append `question.resolved`, make the run READY.

    Args:
        locked: the run, locked by this transaction. It may be used for one append only.
        key: the step's key, as `WaitOpener.open` got it.
        choice: `retry`, `skip` or `fail`.
        evidence: small facts for the hashed entry, such as the vote's leaf in hex.
        origin: who said so.

    Raises:
        RunClosedError: the run is over.
    """
    assert choice in CHOICES, f"nobody was offered to {choice}"
    if locked.is_closed:
        raise RunClosedError
    event = Event(
        kind=EventKind.QUESTION_RESOLVED,
        at=locked.at,
        data={**evidence, "key": key, "choice": choice},
    )
    outside.append(row=locked.row, events=(event,), origin=origin)
