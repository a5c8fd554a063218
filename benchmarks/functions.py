"""Steps that do nothing but tell when."""

import time

from countersign import function


@function("bench.mark", idempotent=True)
def mark() -> dict[str, str]:
    """Return the wall clock in nanoseconds, as text."""
    return {"at": str(time.time_ns())}


@function("bench.nothing", idempotent=True)
def nothing() -> None:
    """Do nothing."""
