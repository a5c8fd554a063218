"""Live signals about the ledger."""
