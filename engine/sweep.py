"""The sweep: finds what hints missed. Read `sweep_once`.

Any number of processes may sweep at once; each takes other rows (SKIP LOCKED). An idle round costs
one statement of index probes, and one for each package above that registered a sweep.
"""

from dataclasses import dataclass, replace
from uuid import UUID

import structlog
from django.db import connection

from core.kernel import limits
from core.toolkit import queue
from engine import registry, store

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many runs a round moved, by reason, and how many rows other packages moved."""

    due: int = 0
    lost: int = 0
    ready: int = 0
    others: int = 0

    @property
    def has_more(self) -> bool:
        """Say whether more is due or lost than one round takes, so that the next has no pause."""
        return limits.SWEEP_ROW_COUNT_MAX in (self.due, self.lost)

    @property
    def is_idle(self) -> bool:
        """Say whether the round found nothing."""
        return not (self.due or self.lost or self.ready or self.others)


def sweep_once() -> Swept:
    """Wake what is due, free what is lost, hint what was forgotten; once.

    Transaction: each statement its own.
    """
    # Runs first: whatever fails in a package above, they move on.
    swept = _sweep_runs() if store.is_sweep_needed() else Swept()
    return replace(swept, others=sum(_sweep_other(name) for name in registry.sweeps()))


def _sweep_other(name: str) -> int:
    """Call a registered sweep; its failure is its own and keeps nobody else from being swept."""
    try:
        return registry.sweeps()[name]()
    except Exception:  # the process edge between packages: the next round tries again
        log.exception("engine.sweep_failed", sweep=name)
        connection.close_if_unusable_or_obsolete()
        return 0


def _sweep_runs() -> Swept:
    due = _hint(store.sweep_due())
    lost = store.sweep_lost()
    for run_id in lost:
        log.warning("engine.run_lost", run=str(run_id))
    # Not while no hint gets through: they would count as hinted, and wait longer for it.
    forgotten = store.sweep_ready() if queue.BREAKER.lets_through() else []
    return Swept(due=due, lost=_hint(lost), ready=_hint(forgotten))


def _hint(run_ids: list[UUID]) -> int:
    for run_id in run_ids:
        queue.hint("engine.drive", run_id=str(run_id))
    return len(run_ids)
