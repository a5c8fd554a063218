"""`manage.py ledger roles`: the roles of the database, so that no process can rewrite evidence."""

import re
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from audit import roles

HELP = "Print, apply or check the database roles that keep processes from changing evidence."

_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,40}")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--print", action="store_true", help="print the SQL (what happens by default)")
    how.add_argument("--apply", action="store_true", help="run it, all or nothing")
    how.add_argument("--check", action="store_true", help="say what is not as it must be")
    parser.add_argument(
        "--prefix", default=roles.PREFIX, help=f"what the roles' names begin with ({roles.PREFIX})"
    )


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it. Raises: CommandError."""
    prefix = options["prefix"]
    if _PREFIX.fullmatch(prefix) is None:
        raise CommandError(f"{prefix!r} cannot begin the name of a role.", returncode=2)
    if options["check"]:
        return _check(prefix, out)
    statements = roles.plan_statements(prefix=prefix)
    if not options["apply"]:
        out.stdout.write("".join(f"{statement};\n" for statement in statements), ending="")
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    out.stdout.write(f"{len(statements)} statements were run; each role has exactly its rights.")
    return 0


def _check(prefix: str, out: BaseCommand) -> int:
    found = roles.compare_rights(prefix=prefix)
    for difference in found:
        out.stdout.write(str(difference))
    if not found:
        out.stdout.write("Every role has exactly its rights.")
    return 1 if found else 0
