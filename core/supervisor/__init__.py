"""Runs a whole system on one machine: `python -m core.supervisor`, which is `make run`."""
