"""The backend Django loads from `ENGINE = "tests.database_backend"`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core.management.color import Style
from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations as PostgreSqlOperations

from core.identity.seed import seed

_ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


class DatabaseOperations(PostgreSqlOperations):
    """Empties tables between tests though they are append-only.

    Tables of evidence refuse TRUNCATE by triggers that fire always, even for a superuser with
    `session_replication_role = replica`. So the flush takes the triggers off and puts each back as
    it was, in the one transaction that empties the tables: no test ever sees them off.
    """

    def sql_flush(
        self,
        style: Style,
        tables: Iterable[str],
        *,
        reset_sequences: bool = False,
        allow_cascade: bool = False,  # noqa: ARG002  # fixed by the framework
    ) -> list[str]:
        """Return the statements that empty the tables which hold anything."""
        filled = self._list_filled(sorted(tables))
        if not filled:
            return []
        # Cascading reaches only tables that are empty or in the list: all of them were asked for.
        truncate = super().sql_flush(
            style, filled, reset_sequences=reset_sequences, allow_cascade=True
        )
        triggers = list(self._list_triggers())
        return [
            *(f"ALTER TABLE {table} DISABLE TRIGGER {name}" for table, name, _ in triggers),
            *truncate,
            *(f"ALTER TABLE {table} {enable} TRIGGER {name}" for table, name, enable in triggers),
        ]

    def execute_sql_flush(self, sql_list: Iterable[str]) -> None:
        """Run the statements, then write the rows every installation starts with.

        Migrations wrote them once; without them the next test would find a platform that has no
        global scope and no roles.
        """
        statements = list(sql_list)
        super().execute_sql_flush(statements)
        if statements:
            seed(apps)

    def _list_filled(self, tables: list[str]) -> list[str]:
        if not tables:
            return []
        probes = ", ".join(f"EXISTS (SELECT 1 FROM {self.quote_name(name)})" for name in tables)
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {probes}")
            row = cursor.fetchone()
        return [name for name, filled in zip(tables, row, strict=True) if filled]

    def _list_triggers(self) -> Iterator[tuple[str, str, str]]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.relname, t.tgname, t.tgenabled::text FROM pg_trigger t"
                " JOIN pg_class c ON c.oid = t.tgrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'"
                " WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY 1, 2"
            )
            for table, name, state in cursor.fetchall():
                yield self.quote_name(table), self.quote_name(name), _ENABLE[state]


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL with that flush, and with a way to stand around a COMMIT.

    Django's `execute_wrapper` stands around statements only, and a COMMIT is none; but a process
    may die just before it or just after.
    """

    ops: Any
    ops_class = DatabaseOperations
    commit_wrapper: Callable[[Callable[[], None]], None] | None = None

    def _commit(self) -> None:
        if self.commit_wrapper is None:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
        else:
            self.commit_wrapper(super()._commit)  # type: ignore[misc]  # as above
