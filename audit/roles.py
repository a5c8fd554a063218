"""The roles of the database: what is to be granted, and what is. Read `plan_statements` first.

Everything is derived from the tables there are and from `audit.registry`, so that a new table is
covered, and one of evidence closed, without anybody thinking of it. Applied after each migration.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import connection
from psycopg import sql

from audit import registry
from audit.domain.rights import DatabaseRole, Evidence, plan_rights

PREFIX = "countersign_"

_OBJECTS = """
SELECT c.relname, c.relkind = 'S' FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname"""
_OWNED_SEQUENCES = """
SELECT d.objid::regclass::text FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
WHERE c.relkind = 'S' AND d.deptype IN ('a', 'i')"""
_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1"""
_MISSING_ROLES = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regrole(name) IS NULL"

# What an account may do with a table, on the whole of it or on columns.
_TABLE_RIGHTS = """
SELECT c.relname, r.name, p.name
FROM unnest(%s::text[]) AS r (name)
CROSS JOIN pg_class c
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER',
                        'REFERENCES']) AS p (name)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
  AND has_table_privilege(r.name, c.oid, p.name)"""
_COLUMN_RIGHTS = """
SELECT c.relname, r.name, string_agg(a.attname, ', ' ORDER BY a.attname)
FROM unnest(%s::text[]) AS r (name)
CROSS JOIN pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND a.attnum > 0 AND NOT a.attisdropped
  AND has_column_privilege(r.name, c.oid, a.attnum, 'UPDATE')
  AND NOT has_table_privilege(r.name, c.oid, 'UPDATE')
GROUP BY 1, 2"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a role may do with a table, and should: rights as `GRANT` takes them."""

    role: str
    table: str
    missing: tuple[str, ...]
    excess: tuple[str, ...]

    def __str__(self) -> str:
        parts = []
        if self.missing:
            parts.append(f"lacks {', '.join(self.missing)}")
        if self.excess:
            parts.append(f"may {', '.join(self.excess)}, which it must not")
        return f"{self.role} on {self.table}: {'; '.join(parts)}"


def role_name(role: DatabaseRole, *, prefix: str = PREFIX) -> str:
    """Return what a role is called in the database."""
    return f"{prefix}{role.value}"


def plan_statements(*, prefix: str = PREFIX) -> list[str]:
    """Return the SQL that makes the roles and gives each exactly its rights; may be run again.

    It needs an account that may create roles and owns the tables, or a superuser.
    """
    return [statement.as_string() for statement in _statements(prefix)]


def plan_evidence_rights() -> dict[DatabaseRole, dict[str, frozenset[str]]]:
    """Return what each role may do with each table that is there."""
    tables, _ = _list_objects()
    return plan_rights(tables=tables, evidence=_list_evidence())


def compare_rights(*, prefix: str = PREFIX) -> list[Difference]:
    """Return where the roles' rights are not what they must be. Roles that are missing lack all."""
    names = {role: role_name(role, prefix=prefix) for role in DatabaseRole.granted()}
    missing = _list_missing(list(names.values()))
    found = read_rights([name for name in names.values() if name not in missing])
    differences = []
    for role, tables in plan_evidence_rights().items():
        held = found.get(names[role], {})
        for table in sorted(tables.keys() | held.keys()):
            wanted, has = tables.get(table, frozenset()), held.get(table, frozenset())
            if wanted != has:
                differences.append(
                    Difference(
                        role=names[role],
                        table=table,
                        missing=tuple(sorted(wanted - has)),
                        excess=tuple(sorted(has - wanted)),
                    )
                )
    return differences


def read_rights(names: list[str]) -> dict[str, dict[str, frozenset[str]]]:
    """Return what accounts may do, by account and table."""
    held: dict[str, dict[str, frozenset[str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_TABLE_RIGHTS, (names,))
        for table, name, right in cursor.fetchall():
            tables = held.setdefault(name, {})
            tables[table] = tables.get(table, frozenset()) | {right}
        cursor.execute(_COLUMN_RIGHTS, (names,))
        for table, name, columns in cursor.fetchall():
            tables = held.setdefault(name, {})
            tables[table] = tables.get(table, frozenset()) | {f"UPDATE ({columns})"}
    return held


def _statements(prefix: str) -> Iterator[sql.Composed]:
    tables, sequences = _list_objects()
    names = {role: sql.Identifier(role_name(role, prefix=prefix)) for role in DatabaseRole}
    for role, name in names.items():
        yield from _make_role(role_name(role, prefix=prefix), name)
    owner, granted = names[DatabaseRole.OWNER], [names[role] for role in DatabaseRole.granted()]
    everyone = sql.SQL(", ").join(granted)
    yield sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(owner)
    yield sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(everyone)
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(everyone)
    yield from _own(owner, tables=tables, sequences=sequences)
    for table in tables:
        yield sql.SQL("REVOKE ALL ON TABLE {} FROM PUBLIC, {}").format(
            sql.Identifier(table), everyone
        )
    plan = plan_rights(tables=tables, evidence=_list_evidence())
    for role, rights in plan.items():
        yield from _grant(names[role], rights)
    writers = sql.SQL(", ").join(names[role] for role in DatabaseRole.writers())
    for sequence in sequences:
        yield sql.SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(sql.Identifier(sequence), writers)


def _make_role(name: str, identifier: sql.Identifier) -> Iterator[sql.Composed]:
    # There is no CREATE ROLE IF NOT EXISTS.
    yield sql.SQL(
        "DO $do$ BEGIN IF to_regrole({}) IS NULL THEN CREATE ROLE {} NOLOGIN; END IF; END $do$"
    ).format(sql.Literal(f'"{name}"'), identifier)
    yield sql.SQL(
        "ALTER ROLE {} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    ).format(identifier)


def _own(
    owner: sql.Identifier, *, tables: list[str], sequences: list[str]
) -> Iterator[sql.Composed]:
    # Who is a member may hand tables over; PostgreSQL 16 makes no creator a member by itself.
    yield sql.SQL("GRANT {} TO CURRENT_USER").format(owner)
    with connection.cursor() as cursor:
        cursor.execute(_OWNED_SEQUENCES)
        follow = {row[0] for row in cursor.fetchall()}
        cursor.execute(_FUNCTIONS)
        functions = [row[0] for row in cursor.fetchall()]
    for table in tables:
        yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), owner)
    for sequence in sequences:
        if sequence not in follow:
            yield sql.SQL("ALTER SEQUENCE {} OWNER TO {}").format(sql.Identifier(sequence), owner)
    for function in functions:
        # As PostgreSQL itself writes a function with its arguments.
        yield sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(sql.SQL(function), owner)


def _grant(name: sql.Identifier, rights: Mapping[str, frozenset[str]]) -> Iterator[sql.Composed]:
    for table, wanted in rights.items():
        listed = sql.SQL(", ".join(sorted(wanted)))
        yield sql.SQL("GRANT {} ON TABLE {} TO {}").format(listed, sql.Identifier(table), name)


def _list_objects() -> tuple[list[str], list[str]]:
    """Return the tables and the sequences of the application."""
    with connection.cursor() as cursor:
        cursor.execute(_OBJECTS)
        found = cursor.fetchall()
    return [name for name, is_ in found if not is_], [name for name, is_ in found if is_]


def _list_evidence() -> list[Evidence]:
    return [
        Evidence(table=table.name, rights=table.rights) for table in registry.append_only_tables()
    ]


def _list_missing(names: list[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_MISSING_ROLES, ([f'"{name}"' for name in names],))
        return {row[0].strip('"') for row in cursor.fetchall()}
