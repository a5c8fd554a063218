"""Triggers that keep tables append-only, as a migration operation. Read `MakeAppendOnly` first.

They fire ALWAYS: an ordinary trigger is silent under `session_replication_role = replica`. They
prevent accidents; against a database owner who wants to lie, the evidence is a tree head held
elsewhere. `manage.py verify_ledger` reports a trigger that is gone, weakened or replaced.
"""

from collections.abc import Sequence
from typing import Any

from django.db.migrations.operations import RunSQL

FUNCTION_NAME = "audit_refuse_change"
FUNCTION_BODY = """
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
"""

CREATE_FUNCTION = f"""
CREATE FUNCTION {FUNCTION_NAME}() RETURNS trigger LANGUAGE plpgsql AS $body${FUNCTION_BODY}$body$
"""
DROP_FUNCTION = f"DROP FUNCTION {FUNCTION_NAME}()"


class MakeAppendOnly(RunSQL):
    """Refuse UPDATE, DELETE and TRUNCATE on a table, in the database itself.

    The migration must depend on `("audit", "0001_initial")`, and the app's `ready()` must name the
    table in `audit.registry.register_append_only`, so that verification knows of it.
    """

    def __init__(self, table: str, *, update_allowed: str = "", delete_allowed: str = "") -> None:
        """Say which table.

        Args:
            table: its name.
            update_allowed: SQL over OLD and NEW that says which updates are let through
                nevertheless, such as `only_changes("status")`; without it, none.
            delete_allowed: SQL over OLD that says which rows may be deleted nevertheless; without
                it, none. `"TRUE"` for a table whose rows come and go.
        """
        self.table = table
        self.options = {"update_allowed": update_allowed, "delete_allowed": delete_allowed}
        on_update, on_delete, on_truncate = names = trigger_names(table)
        super().__init__(
            sql=[
                _create(on_update, f"BEFORE UPDATE ON {table} FOR EACH ROW", update_allowed),
                _create(on_delete, f"BEFORE DELETE ON {table} FOR EACH ROW", delete_allowed),
                _create(on_truncate, f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT", ""),
                *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for name in names),
            ],
            reverse_sql=[f"DROP TRIGGER {name} ON {table}" for name in names],
        )

    def describe(self) -> str:
        """Return a line for the migration's output."""
        return f"Make {self.table} append-only"

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """Return how to make the operation again, for squashed migrations."""
        given = {key: value for key, value in self.options.items() if value}
        return type(self).__qualname__, [self.table], given


def only_changes(*columns: str) -> str:
    """Return SQL that holds if an update leaves every column but these as it was."""
    names = ", ".join(f"'{column}'" for column in columns)
    kept = f"to_jsonb({{row}}) - ARRAY[{names}]"
    return f"{kept.format(row='OLD')} = {kept.format(row='NEW')}"


def trigger_names(table: str) -> tuple[str, str, str]:
    """Return the names of a table's triggers: on update, on delete, on truncate."""
    return f"{table}_no_update", f"{table}_no_delete", f"{table}_no_truncate"


def _create(name: str, event: str, allowed: str) -> str:
    # IS NOT TRUE, so that a condition that is NULL allows nothing.
    condition = f" WHEN (({allowed}) IS NOT TRUE)" if allowed else ""
    return f"CREATE TRIGGER {name} {event}{condition} EXECUTE FUNCTION {FUNCTION_NAME}()"
