"""Package approvals.domain."""
