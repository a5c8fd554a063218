"""What reads the ledger, guarded."""
