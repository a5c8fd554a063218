"""Package core.toolkit.api."""
