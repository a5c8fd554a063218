"""`manage.py ledger anchor`: what is kept elsewhere, and whether it is still what we have."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit.anchoring.anchoring import anchor_once
from audit.anchoring.verifying import verify_anchors
from audit.commands.forward import describe
from audit.outward import conf
from audit.selectors.anchors import list_anchors

HELP = (
    "Say which tree head each anchor has; or anchor the newest one now; or compare every kept tree "
    "head with the log as it is."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--now", action="store_true", help="anchor the newest tree head now")
    parser.add_argument(
        "--verify", action="store_true", help="compare each kept tree head with the log"
    )


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it; 1 if an anchor fails or disputes, or a kept tree head is not the log's."""
    targets = conf.anchors()
    if not targets:
        out.stdout.write("There are no anchors: LEDGER_ANCHORS is empty.")
        return 0
    if options["verify"]:
        return _verify(out)
    if options["now"]:
        for target in targets:
            anchor_once(target, is_forced=True)
    found = list_anchors()
    for item in found:
        out.stdout.write(describe(item))
    return 1 if any(item.state != "going" or item.last_error for item in found) else 0


def _verify(out: BaseCommand) -> int:
    found = verify_anchors()
    for tally in found.tallies:
        out.stdout.write(f"{tally.anchor}: {tally.count:,} tree heads hold")
    if found.fault is not None:
        out.stderr.write(found.fault)
        return 1
    return 0
