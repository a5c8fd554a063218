"""Counting what a client sends to PostgreSQL. Read `count_round_trips`.

Only the standard library and psycopg: the peers' processes use it too.
"""

import tempfile
from collections.abc import Callable, Iterable
from typing import Any

# What a client sends and then waits for. In the extended protocol one `Sync` ends a whole request.
_ASKING = ("Query", "Sync")
_QUIET_FLAGS = 1  # PQTRACE_SUPPRESS_TIMESTAMPS


def count_round_trips(connections: Iterable[Any], act: Callable[[], object]) -> int:
    """Return how often libpq asked the server and waited while `act` ran.

    Args:
        connections: the psycopg connections `act` uses; no other is counted.
        act: what to measure, in this thread or others.
    """
    with tempfile.TemporaryFile() as file:
        links = [connection.pgconn for connection in connections]
        for link in links:
            link.trace(file.fileno())
            link.set_trace_flags(_QUIET_FLAGS)
        try:
            act()
        finally:
            for link in links:
                link.untrace()
        file.seek(0)
        return count_requests(file.read().decode("utf-8", "replace"))


def count_requests(trace: str) -> int:
    """Return how many requests of the client a libpq trace holds.

    A line is `F<tab>length<tab>message<tab>…`, where F is from the client; a text parameter may
    hold line breaks, so only whole first fields count.
    """
    rows = (line.split("\t") for line in trace.splitlines())
    return sum(row[0] == "F" and row[2] in _ASKING for row in rows if len(row) > 2)  # noqa: PLR2004
