"""Package core.toolkit.embedded."""
