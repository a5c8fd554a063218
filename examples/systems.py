"""Small stand-ins for the systems a use case changes: a database file for each. Read `System`.

They are files in a folder `systems` of the data folder, `VAR`. What a real system must do too, they
do: the same idempotency key changes them once, because side effects happen at least once.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from countersign import current_attempt

JsonObject: TypeAlias = dict[str, Any]

_BUSY_SECONDS = 20.0  # several worker processes share a file
_DONE = "CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, answer TEXT NOT NULL)"


class SystemRefusedError(Exception):
    """The other system says no. Trying again would end the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One stand-in. `schema` are statements that make its tables if they are not there yet."""

    name: str
    schema: tuple[str, ...]

    def change(self, apply: Callable[[sqlite3.Connection], JsonObject]) -> JsonObject:
        """Change it once for the attempt's idempotency key, and return what it answered.

        The change and the note that it happened are one transaction.
        """
        key = current_attempt().idempotency_key
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            with database:
                known = database.execute("SELECT answer FROM done WHERE key = ?", [key]).fetchone()
                if known is not None:
                    answer: JsonObject = json.loads(known[0])
                    return answer
                answer = apply(database)
                database.execute("INSERT INTO done VALUES (?, ?)", [key, json.dumps(answer)])
        return answer

    def read(self, query: str, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._opened() as database:
            return database.execute(query, arguments).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        folder = Path(os.environ.get("VAR", "var")) / "systems"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.sqlite3"
        with closing(
            sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as database:
            for statement in (_DONE, *self.schema):
                database.execute(statement)
            yield database
