"""`manage.py ledger export`: an export without a web server, in the name of an account."""

import shutil
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from audit.domain.exporting import ExportFormat, ExportKind, Period, Wish
from audit.exports.models import Export, ExportStatus
from audit.exports.running import run_export
from audit.services.exports import open_download, request_export
from core.identity.selectors.principals import find_by_username, get_principal, make_origin
from core.kernel.record import Via

HELP = "Export entries of the ledger to a file, in the name of an account and with its rights."

_POLL_SECONDS = 0.5


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", choices=[item.value for item in ExportKind])
    parser.add_argument("--as", dest="username", required=True, help="name of the account")
    parser.add_argument("--to", required=True, type=Path, help="file to write")
    parser.add_argument("--format", choices=[item.value for item in ExportFormat], default="bundle")
    parser.add_argument("--run", type=UUID, help="id of the run")
    parser.add_argument("--project", default="", help="slug of the project")
    parser.add_argument("--since", type=_instant, help="2026-01-01, or an instant")
    parser.add_argument("--until", type=_instant, help="the first instant after the period")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Do it; a worker may take it first, and then it is waited for."""
    user = find_by_username(username=options["username"])
    if user is None or not user.is_active:
        raise CommandError(f"There is no active account {options['username']}.", returncode=2)
    if (options["since"] is None) != (options["until"] is None):
        raise CommandError("A period has both ends: --since and --until.", returncode=2)
    period = Period(since=options["since"], until=options["until"]) if options["since"] else None
    principal = get_principal(user=user, origin=make_origin(user=user, via=Via.COMMAND, auth=""))
    wish = Wish(
        kind=ExportKind(options["kind"]),
        format=ExportFormat(options["format"]),
        run_id=options["run"],
        project=options["project"],
        period=period,
    )
    export_id = request_export(principal=principal, wish=wish).export.id
    export = _write(export_id, out)
    if export.status != ExportStatus.READY:
        out.stderr.write(f"The export ended as {export.status}: {export.error_code}")
        return 1
    found = open_download(principal=principal, export_id=export_id)
    try:
        shutil.copyfile(found.path, options["to"])
    except OSError as error:
        raise CommandError(f"{options['to']}: {error.strerror}.") from error
    out.stdout.write(
        f"{options['to']}: {export.done_count:,} entries, {found.size:,} bytes, "
        f"SHA-256 {found.sha256_hex}"
    )
    if export.unsealed_count:
        out.stderr.write(f"{export.unsealed_count:,} entries are not sealed yet and not in it.")
    return 0


def _write(export_id: UUID, out: BaseCommand) -> Export:
    """Write an export, or wait for whoever does; return it as it ended."""

    def say(job: Export) -> None:
        out.stderr.write(f"{job.done_count:,} of {job.total_count or 0:,} entries")

    while True:
        if run_export(export_id=export_id, on_part=say):
            continue
        export = Export.objects.get(pk=export_id)
        if export.status not in {ExportStatus.QUEUED, ExportStatus.RUNNING}:
            return export
        time.sleep(_POLL_SECONDS)


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
