"""What is done with the ledger, each act on record."""
