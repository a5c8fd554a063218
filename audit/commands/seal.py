"""`manage.py ledger seal`: the sealer."""

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit import conf
from audit.sealing.keys import KeyFolder
from audit.sealing.running import Sealer
from core.kernel.clock import SYSTEM_CLOCK

HELP = "Give entries that wait their places in the tree, and sign it."


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--forever", action="store_true", help="until told to stop; any number may")
    how.add_argument("--once", action="store_true", help="until nothing waits")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    sealer = Sealer(
        folder=KeyFolder(conf.ledger_keys_dir()), origin=conf.ledger_origin(), clock=SYSTEM_CLOCK
    )
    if options["once"]:
        out.stdout.write(f"{sealer.seal_all():,} entries are sealed now.")
        return 0
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    sealer.run(stopping=stopping, seconds=conf.ledger_seal_seconds())
    return 0
