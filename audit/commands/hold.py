"""`manage.py ledger hold`: which legal holds stand."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit.redactions.models import Hold

HELP = "List the legal holds that stand. They are placed and released in the portal and the API."


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--all", action="store_true", help="list those that were released as well")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    holds = Hold.objects.order_by("pk")
    if not options["all"]:
        holds = holds.filter(released_at=None)
    for hold in holds:
        until = f", released {hold.released_at:%Y-%m-%d}" if hold.released_at else ""
        out.stdout.write(f"{hold.pk} {hold.label}, since {hold.placed_at:%Y-%m-%d}{until}")
    return 0
