"""`manage.py verify_ledger`: is everything on record as it was written?"""

import json
import re
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from audit.domain.notes import VerifierKey
from audit.domain.verification import HeadRow
from audit.selectors.verification import Verification, find_stream, verify_ledger
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.errors import PlatformError

_HEAD = re.compile(
    r"(?P<stream>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (?P<seq>[1-9][0-9]*)"
    r" (?P<leaf>[0-9a-f]{64})"
)


class Command(BaseCommand):
    """Checks the ledger and names the first thing that is wrong."""

    help = (
        "Check every entry, payload, stream head and trigger of the ledger against its hashes, and "
        "the tree over them against its signed heads, in one snapshot. Ends with 1 and names the "
        "first discrepancy, if there is one. Nothing is changed."
    )
    # The checks of other parts say nothing about the evidence, and may keep it from being read.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--stream", help="check one stream only: its id, or run:<id>, access")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--heads",
            action="store_true",
            help="print where each stream ends, to keep where nobody of this database can write",
        )
        parser.add_argument(
            "--against",
            type=Path,
            metavar="FILE",
            help="an earlier output of --heads: each of its heads must still be there",
        )
        parser.add_argument(
            "--key",
            action="append",
            dest="keys",
            metavar="VKEY",
            help="a public key that may have signed tree heads, repeatable; without one, those on "
            "record, which only whoever trusts this database believes",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it. Raises: CommandError."""
        started = SYSTEM_CLOCK.monotonic()
        found = verify_ledger(
            stream=_find(options["stream"]),
            on_progress=None if options["json"] else self._report_progress,
            on_head=self._print_head if options["heads"] else None,
            kept=_read_kept(options["against"]) if options["against"] else (),
            trusted=_read_keys(options["keys"] or ()),
        )
        seconds = SYSTEM_CLOCK.monotonic() - started
        if options["json"]:
            self.stdout.write(json.dumps(_summarize(found, seconds), sort_keys=True))
        elif found.discrepancy is None:
            self.stdout.write(_describe(found, seconds))
        for warning in found.warnings if not options["json"] else ():
            self.stderr.write(f"Warning: {warning}.")
        if found.discrepancy is not None:
            raise CommandError(f"The ledger does not verify: {found.discrepancy}.", returncode=1)

    def _report_progress(self, count: int) -> None:
        self.stderr.write(f"{count:,} entries hold so far")

    def _print_head(self, head: HeadRow) -> None:
        if head.seq:
            self.stdout.write(f"{head.stream} {head.seq} {head.head.hex()}")


def _find(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        stream = find_stream(text=text)
    except PlatformError as error:
        raise CommandError(error.message, returncode=2) from error
    if stream is None:
        raise CommandError(f"There is no stream {text}.", returncode=2)
    return stream


def _read_keys(texts: Sequence[str]) -> tuple[VerifierKey, ...]:
    try:
        return tuple(VerifierKey.parse(text) for text in texts)
    except PlatformError as error:
        raise CommandError(error.message, returncode=2) from error


def _read_kept(path: Path) -> Iterator[HeadRow]:
    """Yield the heads in an earlier output, and pass over its summary."""
    count = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                match = _HEAD.fullmatch(line.strip())
                if match is not None:
                    count += 1
                    leaf = bytes.fromhex(match["leaf"])
                    yield HeadRow(match["stream"], int(match["seq"]), leaf)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}.", returncode=2) from error
    if count == 0:
        raise CommandError(f"{path} holds no heads: make it with --heads.", returncode=2)


def _summarize(found: Verification, seconds: float) -> dict[str, Any]:
    wrong = found.discrepancy
    return {
        "verified": wrong is None,
        "entries": found.entry_count,
        "streams": found.stream_count,
        "payloads": found.payload_count,
        "erased": found.erased_count,
        "pending": found.pending_count,
        "leaves": found.leaf_count,
        "nodes": found.node_count,
        "tree_heads": found.head_count,
        "origin": found.origin,
        "warnings": list(found.warnings),
        "seconds": round(seconds, 3),
        "entries_per_second": _rate(found, seconds),
        "discrepancy": None
        if wrong is None
        else {
            "stream": wrong.stream,
            "seq": wrong.seq,
            "field": wrong.field,
            "expected": wrong.expected,
            "found": wrong.found,
        },
    }


def _describe(found: Verification, seconds: float) -> str:
    sealed = (
        f"{found.leaf_count:,} are sealed under {found.head_count:,} tree heads,"
        f" {found.pending_count:,} wait for it"
    )
    return (
        f"The ledger verifies: {found.entry_count:,} entries in {found.stream_count:,} streams,"
        f" {found.payload_count:,} payloads; {sealed}."
        f" {_rate(found, seconds):,} entries a second."
    )


def _rate(found: Verification, seconds: float) -> int:
    return round(found.entry_count / seconds) if seconds > 0 else 0
