"""Package core.toolkit."""
