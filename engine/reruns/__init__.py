"""Runs that were run again: where they come from, and who did it."""
