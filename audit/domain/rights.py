"""Who may do what with which table: the roles of the database. Read `plan_rights` first.

No process that serves people or drives runs may change what is evidence, not even with the triggers
off, because its role has no right to; the one that seals knows nothing of people; the one that
erases may empty values and nothing else. Rights are written as `GRANT` takes them, a right on some
columns as `UPDATE (salt, value)`, its columns in alphabetical order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

READ: Final = frozenset({"SELECT"})
APPEND: Final = frozenset({"SELECT", "INSERT"})
CHANGE: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_LEDGER_PREFIX = "audit_"
_VALUES = "audit_payload"  # what may be personal; hashes are enough for who seals
_READ_ONLY = frozenset({"django_migrations"})


class DatabaseRole(StrEnum):
    """A role of the database; a deployment's accounts are members of one each.

    `OWNER` owns every table and nobody signs in as it; migrations assume it. `APP` is for web,
    workers, mailer and sweep, `SEALER` for the process that signs, `REDACTOR` for the keeper, which
    erases and carries out, `AUDITOR` reads the ledger.
    """

    OWNER = "owner"
    APP = "app"
    SEALER = "sealer"
    REDACTOR = "redactor"
    AUDITOR = "auditor"

    @classmethod
    def writers(cls) -> tuple["DatabaseRole", ...]:
        """Return those whose acts go on record: all that append."""
        return cls.APP, cls.SEALER, cls.REDACTOR

    @classmethod
    def granted(cls) -> tuple["DatabaseRole", ...]:
        """Return those that are given rights: the owner needs none."""
        return cls.APP, cls.SEALER, cls.REDACTOR, cls.AUDITOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A table of evidence, and what each role may do with it beside nothing."""

    table: str
    rights: Mapping[DatabaseRole, frozenset[str]]


def plan_rights(
    *, tables: Iterable[str], evidence: Iterable[Evidence]
) -> dict[DatabaseRole, dict[str, frozenset[str]]]:
    """Return what each role may do with each table; a table that is not there it may not touch.

    Args:
        tables: every table of the application.
        evidence: those whose rows never change.
    """
    kept = {item.table: item.rights for item in evidence}
    plan: dict[DatabaseRole, dict[str, frozenset[str]]] = {
        role: {} for role in DatabaseRole.granted()
    }
    for table in sorted(tables):
        for role in DatabaseRole.granted():
            rights = _rights_of(role, table, kept.get(table))
            if rights:
                plan[role][table] = rights
    return plan


def _rights_of(
    role: DatabaseRole, table: str, kept: Mapping[DatabaseRole, frozenset[str]] | None
) -> frozenset[str]:
    is_of_ledger = table.startswith(_LEDGER_PREFIX)
    if role is DatabaseRole.AUDITOR:
        return READ if is_of_ledger else frozenset()
    if role is DatabaseRole.SEALER:
        readable = is_of_ledger and table != _VALUES
        return (kept or {}).get(role, READ if readable else frozenset())
    if kept is not None:
        return kept.get(role, READ)
    return READ if table in _READ_ONLY else CHANGE
