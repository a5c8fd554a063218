"""Package core.identity.domain."""
