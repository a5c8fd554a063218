"""`manage.py ledger report`: the compliance report of a period of any size."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.domain.report_document import write_lines
from audit.selectors.report import Period
from audit.services.reporting import make_report
from core.identity.domain.principal import make_system_principal

HELP = "Make the compliance report of a period, as JSON or CSV; its making is put on record."


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--since", required=True, type=_instant, help="2026-01-01, or an instant")
    parser.add_argument("--until", required=True, type=_instant, help="the first instant after it")
    parser.add_argument("--project", default="", help="slug of one project")
    parser.add_argument("--csv", action="store_true", help="one line a figure")
    parser.add_argument("--to", default="", help="file to write; otherwise it is printed")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it."""
    made = make_report(
        principal=make_system_principal(),
        period=Period(
            since=options["since"], until=options["until"], project_slug=options["project"]
        ),
        entry_count_max=None,
        guarded=False,
        on_progress=lambda count: out.stderr.write(f"{count:,} entries"),
    )
    text = (
        write_lines(made.document).decode()
        if options["csv"]
        else json.dumps(made.document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    )
    if options["to"]:
        try:
            Path(options["to"]).write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise CommandError(f"{options['to']}: {error.strerror}.") from error
    else:
        out.stdout.write(text, ending="")
    out.stderr.write(f"Entry {made.entry_id}; SHA-256 of the document {made.digest_hex}")
    bad = made.seal.bad
    if bad is not None:
        out.stderr.write(f"Entry {bad} does not hold: run `manage.py verify_ledger`.")
    if made.seal.head_fault:
        out.stderr.write(made.seal.head_fault)
    return 0 if made.seal.is_sound else 1


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
