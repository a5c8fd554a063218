"""`manage.py ledger rotate-key`: a new signing key beside the old one, or the end of one."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit import conf
from audit.sealing.keys import KeyFolder
from audit.sealing.recording import make_origin
from audit.sealing.registering import retire_key, rotate_key

HELP = (
    "Make a new signing key beside those there are; all of them sign, until one is ended with "
    "--retire."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--retire", metavar="KEYID", help="end this key instead; its file goes")
    parser.add_argument("--why", default="", metavar="REASON", help="goes on record")
    parser.add_argument("--by", default="", metavar="USERNAME", help="whose doing it is")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    folder, name = KeyFolder(conf.ledger_keys_dir()), conf.ledger_origin()
    origin, why = make_origin(by=options["by"]), options["why"].strip()
    if options["retire"]:
        retire_key(folder=folder, name=name, key_id=options["retire"], origin=origin, why=why)
        out.stdout.write(f"{options['retire']} signs no more.")
        return 0
    key = rotate_key(folder=folder, name=name, origin=origin, why=why)
    out.stdout.write(key.verifier.text)
    out.stderr.write(
        "Hand this line to your auditors, copy the key to every sealer, and retire the old one."
    )
    return 0
