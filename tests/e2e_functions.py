"""Functions for end-to-end tests: slow ones, with a witness file that survives `kill -9`."""

import os
import time
from pathlib import Path

from countersign import current_attempt, function


@function("t.slow", idempotent=True)
def slow(*, seconds: int, name: str) -> dict[str, int]:
    """Write down that an attempt began, then take time."""
    attempt = current_attempt()
    witness = Path(os.environ["VAR"]) / f"witness-{name}"
    with witness.open("a") as lines:
        lines.write(f"{os.getpid()} {attempt.number} {attempt.idempotency_key}\n")
    time.sleep(seconds)
    return {"attempt": attempt.number}


@function("t.hang")
def hang(*, name: str) -> None:
    """Never come back."""
    slow(seconds=3600, name=name)


@function("t.exit")
def leave(*, name: str) -> dict[str, int]:
    """End the process at once the first time, as a crash in a library would."""
    made: dict[str, int] = slow(seconds=0, name=name)
    if made["attempt"] == 1:
        os._exit(3)
    return made
