"""Package core.identity."""
