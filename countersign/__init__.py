"""Countersign for authors and clients. Pure Python: no Django, no database.

`function` registers a Python function that a step may call with `uses: python/call@1`;
`TransientError` says that trying again may help; `current_attempt` tells a function which run, step
and attempt it serves, with the idempotency key to hand to the systems it changes.
"""

from countersign.client import ApiError, Client
from countersign.functions import (
    Attempt,
    TransientError,
    current_attempt,
    function,
)

__all__ = ["ApiError", "Attempt", "Client", "TransientError", "current_attempt", "function"]
