"""Package audit.domain."""
