"""Package approvals."""
