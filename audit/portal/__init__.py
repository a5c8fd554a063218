"""The ledger in the portal."""
