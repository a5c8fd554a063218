"""`manage.py ledger retain`: erase what projects keep no longer."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit.domain.redaction import write_period
from audit.redactions.retaining import look_ahead
from audit.services.retention import execute_retention

HELP = (
    "Erase the payloads that projects keep no longer, a bounded number of streams at a time. The "
    "keeper does the same. With --dry-run, count what would be erased, by project and month."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--dry-run", action="store_true", help="erase nothing, count")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    if not options["dry_run"]:
        out.stdout.write(f"{execute_retention()} streams were erased.")
        return 0
    for outlook in look_ahead():
        out.stdout.write(
            f"{outlook.project_slug} {outlook.part.value} {write_period(outlook.days)}: "
            f"{outlook.held_count} held{'' if outlook.is_whole else ', only the oldest'}"
        )
        for month, streams, payloads in outlook.months:
            out.stdout.write(f"  {month} {streams} streams, {payloads} payloads")
    return 0
