"""Statements in words, for the schedule. Read `say_statement`."""

import re
from functools import lru_cache

# The first that is found names the statement.
_KNOWN = (
    ("INSERT INTO engine_run", "starts the run"),
    ("UPDATE engine_run SET epoch = epoch + 1", "claims the run"),
    ("UPDATE engine_run SET fault_count = 0", "appends to the run"),
    ("UPDATE engine_run SET fault_count = fault_count + 1", "notes a fault of the run"),
    ("status <> 'CLOSED'", "appends to the run from outside"),
    ("outcome = 'cancelled', wake_at = NULL", "closes the halted run"),
    ("WITH locked AS MATERIALIZED", "locks the run"),
    (
        "seq, head, wake_at, initiator_id, created_at, clock_timestamp() FROM engine_run",
        "reads the run",
    ),
    ("INSERT INTO engine_worker", "extends the lease"),
    ("UPDATE engine_worker SET lease_until", "ends the lease"),
    ("SELECT id, epoch FROM engine_run WHERE worker", "lists what it drives"),
    ("worker = NULL, wake_at = clock_timestamp()\n    WHERE id = %s AND epoch", "releases the run"),
    ("SELECT EXISTS (SELECT 1 FROM engine_run", "asks if a sweep is needed"),
    (
        "WHERE status = 'WAITING' AND wake_at <= clock_timestamp()\n        ORDER",
        "sweeps due",
    ),
    ("WHERE status = 'RUNNING' AND NOT EXISTS", "sweeps lost"),
    ("WHERE status = 'READY'\n        AND wake_at <", "sweeps ready"),
    ("INSERT INTO engine_dedupe", "notes that it counts"),
    ("FROM audit_entry", "reads the stream"),
)
# How the words of a transition end.
WEIGHTY = ("the run", "from outside", "it counts")
_BLANKS = re.compile(r"\s+")
_CHARS_SHOWN = 70


@lru_cache(maxsize=1_000)
def say_statement(sql: str) -> str:
    """Return what a statement does: in words if it is the engine's, else its beginning."""
    for part, words in _KNOWN:
        if part in sql:
            return words
    text = _BLANKS.sub(" ", sql).strip()
    if text.startswith("SELECT") and " FROM " in text:
        text = f"SELECT … FROM {text.partition(' FROM ')[2]}"
    return text if len(text) <= _CHARS_SHOWN else f"{text[:_CHARS_SHOWN]}…"
