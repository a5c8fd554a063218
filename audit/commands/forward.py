"""`manage.py ledger forward`: where each sink is, and letting one go on or begin again."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit.outward.steering import resume_sink, rewind_sink
from audit.selectors.anchors import Outward, list_sinks

HELP = (
    "Say how far each sink is, what waits for it and what went wrong last; or let a stopped one go "
    "on, or have one sent everything from a leaf again."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="the sink that --from is about")
    parser.add_argument("--resume", metavar="NAME", help="let a stopped sink go on")
    parser.add_argument(
        "--from", dest="leaf", type=int, metavar="LEAF", help="send everything from a leaf again"
    )
    parser.add_argument("--reason", default="", help="why, which goes on record")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it; 1 if a sink has stopped, 2 if what was asked for makes no sense."""
    name, leaf, resume = options["name"], options["leaf"], options["resume"]
    if resume or leaf is not None:
        if not options["reason"].strip():
            out.stderr.write("Say why with --reason: it goes on record.")
            return 2
        if resume:
            resume_sink(name=resume, reason=options["reason"])
        elif not name:
            out.stderr.write("Say which sink.")
            return 2
        else:
            rewind_sink(name=name, leaf_index=leaf, reason=options["reason"])
    sinks = list_sinks()
    for sink in sinks:
        out.stdout.write(describe(sink))
    if not sinks:
        out.stdout.write("There are no sinks: LEDGER_SINKS is empty.")
    return 1 if any(sink.state != "going" for sink in sinks) else 0


def describe(item: Outward) -> str:
    """Return one line about an anchor or a sink."""
    line = f"{item.name} ({item.kind}): {item.state} at {item.position:,}, {item.lag:,} behind"
    if item.moved_at is not None:
        line += f", last success {item.moved_at:%Y-%m-%d %H:%M:%S} UTC"
    if item.last_error:
        line += f"; {item.attempt_count} attempts since: {item.last_error}"
    return line
