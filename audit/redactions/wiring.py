"""What keepers do about redaction. Read `register`."""

from audit.keeping import register_job
from audit.services.erasing import execute_orders
from audit.services.retention import execute_retention
from core.kernel import limits


def register() -> None:
    """Let keepers erase what was ordered, and what is over its time; called in `ready()`."""
    register_job("redaction", execute_orders, limits.REDACTION_SECONDS)
    register_job("retention", execute_retention, limits.RETENTION_SECONDS)
