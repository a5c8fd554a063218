"""The one way into the ledger for packages below it. Read `record` first.

The ledger itself is the package `audit`, above this one; the setting `LEDGER_SINK` names its class.
"""

from dataclasses import dataclass
from functools import cache
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.transaction import TransactionManagementError
from django.utils.module_loading import import_string

from core.kernel.record import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEntry:
    """Where an entry now is: its stream, its place in it (from 1), and its leaf hash (32 bytes)."""

    stream_id: UUID
    seq: int
    leaf: bytes


class LedgerSink(Protocol):
    """What puts entries into the ledger. Its contract is `tests/contracts/test_ledger_sink.py`."""

    def record(self, *, stream: str, draft: Draft) -> RecordedEntry:
        """Append one entry to a stream, in the transaction that is open.

        Args:
            stream: `noun:<uuid>` for a stream of one thing, else a name (`identity`, `access`).
            draft: what happened.
        """
        ...


def record(*, stream: str, draft: Draft) -> RecordedEntry:
    """Append one entry to a stream of the ledger.

    It is there if and only if the caller's transaction commits. Entries of one stream wait for
    each other until then, so record last, and where two streams are written keep to one order:
    `identity` before `project:<uuid>`; `access` is written alone.

    Transaction: needs one.

    Raises:
        TransactionManagementError: outside a transaction.
        UncanonicalError: if the draft's data has no canonical form.
    """
    if not connection.in_atomic_block:
        msg = f"a ledger entry ({draft.kind}) needs the transaction of what it records"
        raise TransactionManagementError(msg)
    return _load(settings.LEDGER_SINK).record(stream=stream, draft=draft)


@cache
def _load(path: str) -> LedgerSink:
    sink: LedgerSink = import_string(path)()
    return sink
