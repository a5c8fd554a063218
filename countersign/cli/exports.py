"""Exports of the ledger: asked for, waited for, downloaded. Read `_take`."""

import hashlib
import secrets as random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import httpx

from countersign.cli.doorway import Session, command
from countersign.cli.errors import CommandError, Exit
from countersign.cli.finding import find_run_id
from countersign.cli.root import countersign
from countersign.client import JsonObject

_FORMATS = ("bundle", "jsonl", "csv", "cloudevents", "ocsf")
_POLL_SECONDS_MIN = 0.2
_POLL_SECONDS_MAX = 2.0
_BREAK_COUNT_MAX = 20  # times in a row a download may break without a byte more
_OPEN = frozenset({"queued", "running"})


@countersign.group()
def export() -> None:
    """Export entries of the ledger, as a bundle to verify offline or for other programs."""


def _options(body: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every kind of export takes."""
    for option in (
        click.option(
            "--output",
            "-o",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File to write; by default the server's name for it.",
        ),
        click.option(
            "--format",
            "-f",
            "format_",
            type=click.Choice(_FORMATS),
            default="bundle",
            show_default=True,
        ),
    ):
        body = option(body)
    return body


@command(export, name="run")
@click.argument("run", metavar="RUN")
@_options
def export_run(session: Session, run: str, *, format_: str, output: Path | None) -> None:
    """Export RUN, a run's id or number, with its requests."""
    _take(session, {"kind": "run", "run_id": find_run_id(session, run)}, format_, output)


@command(export, name="project")
@click.option("--since", help="Not before this instant, such as 2026-01-01T00:00:00Z.")
@click.option("--until", help="Before this instant.")
@_options
def export_project(
    session: Session,
    *,
    since: str | None,
    until: str | None,
    format_: str,
    output: Path | None,
) -> None:
    """Export what is about the project and its workflows, perhaps only of a period."""
    period = {name: at for name, at in (("since", since), ("until", until)) if at}
    _take(session, {"kind": "project", "project": session.project, **period}, format_, output)


@command(export, name="period")
@click.argument("since", metavar="SINCE")
@click.argument("until", metavar="UNTIL")
@_options
def export_period(
    session: Session, since: str, until: str, *, format_: str, output: Path | None
) -> None:
    """Export whatever happened from SINCE and before UNTIL."""
    _take(session, {"kind": "period", "since": since, "until": until}, format_, output)


@command(export, name="whole")
@_options
def export_whole(session: Session, *, format_: str, output: Path | None) -> None:
    """Export everything."""
    _take(session, {"kind": "whole"}, format_, output)


def _take(session: Session, wish: JsonObject, format_: str, output: Path | None) -> None:
    """Ask for an export, wait for it, and download it; a download that breaks off goes on."""
    asked = session.client.request_export({**wish, "format": format_}, key=random.token_hex(16))
    ready = _wait(session, asked)
    # A name, whatever the server says: never a way out of this folder.
    path = output or Path(Path(str(ready["file_name"])).name or "export")
    _download(session, ready, path)
    session.out.document({**ready, "path": str(path)})
    session.out.line(
        f"{path}: {ready['done_count']:,} entries, {ready['size_bytes']:,} bytes, "
        f"SHA-256 {ready['sha256']}"
    )
    if not ready["is_complete"]:
        count = ready["unsealed_count"]
        session.out.note(
            f"{count} entries were not sealed yet and are not in it."
            if count
            else "The run still goes on; what comes later is not in it."
        )


def _wait(session: Session, export_: JsonObject) -> JsonObject:
    """Return an export that is ready. Raises: CommandError, if it ends in another way."""
    pause, shown = _POLL_SECONDS_MIN, ""
    while export_["status"] in _OPEN:
        time.sleep(pause)
        pause = min(pause * 1.4, _POLL_SECONDS_MAX)
        export_ = session.client.get_export(str(export_["id"]))
        total = export_["total_count"]
        said = f"{export_['done_count']:,} of {total:,} entries" if total else "waiting"
        if said != shown:
            session.out.note(said)
            shown = said
    if export_["status"] != "ready":
        raise CommandError(
            f"the export ended as {export_['status']}",
            code=str(export_["error_code"] or "cli.export_ended"),
        )
    return export_


def _download(session: Session, ready: JsonObject, path: Path) -> None:
    """Write the file under another name and rename it when its digest is right."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    size, breaks = int(ready["size_bytes"]), 0
    while (have := part.stat().st_size if part.exists() else 0) < size or not part.exists():
        try:
            with part.open("ab") as file:
                session.client.download_export(str(ready["id"]), file.write, start=have)
        except httpx.TransportError:
            breaks = 0 if part.stat().st_size > have else breaks + 1
            if breaks > _BREAK_COUNT_MAX:
                raise
            session.out.note(f"The download broke off at {part.stat().st_size:,} bytes; going on.")
            time.sleep(_POLL_SECONDS_MAX)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != ready["sha256"]:
        raise CommandError(
            f"{part} has SHA-256 {found}, not {ready['sha256']}",
            code="cli.digest_differs",
            exit_code=Exit.REFUSED,
        )
    part.replace(path)
