"""A request under lock. Read `lock` first. The lock order is run, then request, everywhere."""

from dataclasses import dataclass
from uuid import UUID

from approvals import store
from approvals.selectors.facts import RequestFacts, read_facts
from core.toolkit.db import require_transaction
from engine.services.waits import LockedRun, lock_run


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRequest(RequestFacts):
    """A request nobody else can change until the transaction ends, and the run that waits for it.

    `at` was read after the locks were got.
    """

    run: LockedRun | None


def lock(*, request_id: UUID, run_id: UUID | None) -> LockedRequest | None:
    """Lock a run and then its request, and read what belongs to it; 5 statements.

    Transaction: needs one.
    """
    require_transaction()
    run = None if run_id is None else lock_run(run_id=run_id)
    row = store.lock_request(request_id=request_id)
    return None if row is None else LockedRequest(run=run, **read_facts(row))
