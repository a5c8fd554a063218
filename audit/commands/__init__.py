"""What `manage.py ledger` can do: one module a verb, found by its name."""
