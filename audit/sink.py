"""The ledger as the packages below see it. Read `LedgerSink`."""

from audit import store
from core.kernel.record import Draft
from core.toolkit.ledger import RecordedEntry


class LedgerSink:
    """Implements `core.toolkit.ledger.LedgerSink`; named by the setting `LEDGER_SINK`."""

    def record(self, *, stream: str, draft: Draft) -> RecordedEntry:
        """Append one entry to a stream without a guard row elsewhere.

        Transaction: needs one. Raises: as `audit.store.append`.
        """
        return store.append(stream=stream, drafts=(draft,))
