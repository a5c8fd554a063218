"""`manage.py ledger doctor`: is the ledger sealed as it should be, and if not, what to do?"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import conf
from audit.sealing.doctor import examine
from audit.sealing.keys import KeyFolder
from audit.sealing.recording import make_origin
from audit.sealing.restoring import accept_restore, adopt_head

HELP = (
    "Say what is wrong with keys, heads, tree and sealer, and what to do; ends with 1 if anything "
    "is. Changes nothing unless told to accept a loss."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--by", default="", metavar="USERNAME", help="who accepts a loss")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--accept-restore",
        metavar="REASON",
        help="the database was set back for good: end the log, and begin one under the new "
        "LEDGER_ORIGIN with what is left",
    )
    ways.add_argument(
        "--adopt-head",
        metavar="REASON",
        help="`last-signed` is lost, or the key folder is new: go on from the newest tree head",
    )


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    folder, origin = KeyFolder(conf.ledger_keys_dir()), conf.ledger_origin()
    if options["accept_restore"] is not None or options["adopt_head"] is not None:
        _accept(options, out, folder=folder, name=origin)
        return 0
    findings = examine(folder=folder, origin=origin)
    if options["json"]:
        body = {"healthy": not findings, "findings": [asdict(item) for item in findings]}
        out.stdout.write(json.dumps(body, sort_keys=True))
    elif not findings:
        out.stdout.write(f"Nothing is wrong with the sealing of {origin}.")
    for item in findings if not options["json"] else ():
        out.stdout.write(f"{item.code}: {item.what}\n  {item.advice}")
    return 1 if findings else 0


def _accept(options: Mapping[str, Any], out: BaseCommand, *, folder: KeyFolder, name: str) -> None:
    why = (options["accept_restore"] or options["adopt_head"] or "").strip()
    if not why or not options["by"]:
        raise CommandError("Say why, and who you are: REASON and --by USERNAME.", returncode=2)
    by = make_origin(by=options["by"])
    if options["adopt_head"] is not None:
        head = adopt_head(folder=folder, name=name, origin=by, why=why)
        out.stdout.write(f"The log {head.origin} goes on from {head.size:,} entries.")
        return
    done = accept_restore(folder=folder, name=name, origin=by, why=why)
    out.stdout.write(
        f"The log {done.before} ended; {done.signed_size:,} entries of it were signed. "
        f"{done.now} begins with the {done.kept_size:,} that are left. Give its key to whoever "
        "checks it: `ledger keys`."
    )
