"""`manage.py ledger keys`: the public keys, for whoever checks tree heads."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from audit import conf
from audit.domain.errors import SealRefusedError
from audit.sealing import rows
from audit.sealing.keys import KeyFolder
from audit.sealing.registering import list_retired

HELP = "List the public keys that sign or signed: the lines to hand to auditors."


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    try:
        here = {
            key.verifier.key_id.hex()
            for key in KeyFolder(conf.ledger_keys_dir()).list_keys()
            if key.name == conf.ledger_origin()
        }
    except SealRefusedError:
        here = set()  # on a machine that may not look; what is on record is known everywhere
    retired = list_retired()
    listed = [
        {
            "vkey": key.vkey,
            "key_id": key.key_id,
            "since": key.added_at.isoformat(),
            "status": "retired"
            if key.key_id in retired
            else "signs here"
            if key.key_id in here
            else "not here",
        }
        for key in rows.list_keys()
    ]
    if options["json"]:
        out.stdout.write(json.dumps({"origin": conf.ledger_origin(), "keys": listed}))
        return 0
    for item in listed:
        # The remark is one to verifiers as well, so that the whole output does as a key file.
        out.stdout.write(f"{item['vkey']}\n# since {item['since']}, {item['status']}")
    if not listed:
        out.stdout.write("No key was ever made; see `ledger keygen`.")
    return 0
