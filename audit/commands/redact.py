"""`manage.py ledger redact`: erase what was ordered and approved."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit.domain.redaction import OrderStatus
from audit.redactions.models import Redaction
from audit.services.erasing import execute_orders

HELP = (
    "Erase what approved redactions name, with every copy, and say so in the ledger. The keeper "
    "does the same. Ends with 1 if an order has to wait, and says for what."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--list", action="store_true", help="list the orders that are not done, and erase nothing"
    )


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it. Who orders is asked in the portal and the API: the server's account may not."""
    if not options["list"]:
        done = execute_orders()
        out.stdout.write(f"{done} orders are done.")
    open_orders = Redaction.objects.filter(
        status__in=[OrderStatus.REQUESTED, OrderStatus.APPROVED]
    ).order_by("pk")
    waiting = 0
    for order in open_orders:
        waits = order.blocked if order.status == OrderStatus.APPROVED else "a second person"
        waiting += order.status == OrderStatus.APPROVED and bool(order.blocked)
        out.stdout.write(f"{order.pk} {order.label}: {order.status}, waits for: {waits or '-'}")
    return 1 if waiting and not options["list"] else 0
