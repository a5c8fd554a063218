"""Appending what nothing follows from. Read `append_beside`; all else is in `engine.store`."""

from collections.abc import Sequence

from audit import store as ledger
from audit.domain.entry import BuiltEntry, StreamHead
from engine.store import RunRow

# The row is the head of its stream, and otherwise stays as it is: nobody is woken.
_BESIDE = """
    UPDATE engine_run SET seq = %s::bigint, head = %s::bytea
    WHERE id = %s::uuid AND seq = %s::bigint AND status <> 'CLOSED'
    RETURNING id"""


def append_beside(*, run: RunRow, head: StreamHead, entries: Sequence[BuiltEntry]) -> None:
    """Append to a run locked by this transaction, without waking it."""
    params = (head.seq, head.head, run.id, run.seq)
    count = ledger.append_guarded(guard=_BESIDE, guard_params=params, entries=entries)
    assert count == len(entries), "the run changed although its row is locked"
