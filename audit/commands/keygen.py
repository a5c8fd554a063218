"""`manage.py ledger keygen`: a key to sign tree heads with."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit import conf
from audit.sealing.keys import KeyFolder
from audit.sealing.recording import make_origin
from audit.sealing.registering import ensure_key

HELP = (
    "See to it that there is a key to sign tree heads with, and that every key of the folder is on "
    "record. Does nothing where there is."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--by", default="", metavar="USERNAME", help="whose doing it is")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    folder = KeyFolder(conf.ledger_keys_dir())
    done = ensure_key(
        folder=folder, name=conf.ledger_origin(), origin=make_origin(by=options["by"])
    )
    for key in done.added:
        out.stdout.write(key.verifier.text)
    if not done.added:
        out.stdout.write(f"{len(done.keys)} keys of {conf.ledger_origin()} sign already.")
    return 0
