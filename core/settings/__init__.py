"""Package core.settings."""
