"""The one function the patterns' definitions call."""

from typing import Any

from countersign import function


@function("patterns.work", idempotent=True)
def work(**given: Any) -> dict[str, Any]:
    """Return what it was given, and `ok`; it stands for whatever a step really does."""
    return {"ok": True, **given}
