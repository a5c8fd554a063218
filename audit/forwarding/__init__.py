"""Sending entries to other systems: at least once, in the order of the log."""
