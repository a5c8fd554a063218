"""Changing what only somebody can change who owns the tables."""

from django.db import connection

from audit import registry


def tamper(*statements):
    """Execute statements with the triggers off, and put those on again."""
    tables = [table.name for table in registry.append_only_tables()]
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        try:
            for statement in statements:
                cursor.execute(statement)
        finally:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
    restore_triggers()


def restore_triggers():
    with connection.cursor() as cursor:
        for table in registry.append_only_tables():
            for name in table.triggers:
                cursor.execute(f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER {name}")
