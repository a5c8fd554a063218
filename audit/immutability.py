"""Triggers that keep tables append-only, as a migration operation. Read `MakeAppendOnly` first.

They fire ALWAYS: an ordinary trigger is silent under `session_replication_role = replica`. They
prevent accidents; against a database owner who wants to lie, the evidence is a tree head held
elsewhere. `manage.py verify_ledger` reports a trigger that is gone, weakened or replaced.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

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


class MakeAppendOnly(Operation):
    """Refuse UPDATE, DELETE and TRUNCATE on a table, in the database itself.

    The migration must depend on `("audit", "0001_initial")`, and the app's `ready()` must name the
    table in `audit.registry.register_append_only`, so that verification knows of it.

    Args:
        table: its name.
        update_allowed: SQL over OLD and NEW that says which updates are let through nevertheless,
            such as `only_changes("status")`; without it, none.
        delete_allowed: SQL over OLD that says which rows may be deleted nevertheless; without it,
            none. `"TRUE"` for a table whose rows come and go.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, table: str, *, update_allowed: str = "", delete_allowed: str = "") -> None:
        self.table = table
        self.update_allowed = update_allowed
        self.delete_allowed = delete_allowed

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing: Django's models know no triggers."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create the triggers and enable them always."""
        for statement in self.list_statements():
            schema_editor.execute(statement)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop the triggers."""
        for name in trigger_names(self.table):
            schema_editor.execute(f"DROP TRIGGER {name} ON {self.table}")

    def describe(self) -> str:
        """Return a line for the migration's output."""
        return f"Make {self.table} append-only"

    def list_statements(self) -> Sequence[str]:
        """Return the SQL, in order."""
        on_update, on_delete, on_truncate = trigger_names(self.table)
        return (
            self._create(on_update, "UPDATE", when=_unless(self.update_allowed)),
            self._create(on_delete, "DELETE", when=_unless(self.delete_allowed)),
            f"CREATE TRIGGER {on_truncate} BEFORE TRUNCATE ON {self.table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION_NAME}()",
            *(
                f"ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {name}"
                for name in trigger_names(self.table)
            ),
        )

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """Return how to make the operation again, for squashed migrations."""
        options = {
            "update_allowed": self.update_allowed,
            "delete_allowed": self.delete_allowed,
        }
        return (
            type(self).__qualname__,
            [self.table],
            {key: value for key, value in options.items() if value},
        )

    def _create(self, name: str, event: str, *, when: str) -> str:
        return (
            f"CREATE TRIGGER {name} BEFORE {event} ON {self.table}"
            f" FOR EACH ROW {when}EXECUTE FUNCTION {FUNCTION_NAME}()"
        )


def only_changes(*columns: str) -> str:
    """Return SQL that holds if an update leaves every column but these as it was."""
    names = ", ".join(f"'{column}'" for column in columns)
    kept = f"to_jsonb({{row}}) - ARRAY[{names}]"
    return f"{kept.format(row='OLD')} = {kept.format(row='NEW')}"


def trigger_names(table: str) -> tuple[str, str, str]:
    """Return the names of a table's triggers: on update, on delete, on truncate."""
    return f"{table}_no_update", f"{table}_no_delete", f"{table}_no_truncate"


def _unless(allowed: str) -> str:
    # IS NOT TRUE, so that a condition that is NULL allows nothing.
    return f"WHEN (({allowed}) IS NOT TRUE) " if allowed else ""
