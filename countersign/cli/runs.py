"""Commands about runs: start, watch, list, read and cancel. Read `run` first."""

from typing import Any

import click
from rich.console import Group as Lines
from rich.live import Live
from rich.table import Table
from rich.text import Text

from countersign.cli import words
from countersign.cli.doorway import Session, command
from countersign.cli.errors import CommandError
from countersign.cli.finding import find_run_id, read_values, split_workflow
from countersign.cli.following import Follower, Sight, finish, list_waits
from countersign.cli.output import Output, one_line, styled
from countersign.cli.root import countersign
from countersign.client import JsonObject

_STEPS_SHOWN_MAX = 60
_RUN = click.argument("run_name", metavar="RUN")
_TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(min=0), help="Seconds to wait at most; then exit code 7."
)


@command(countersign)
@click.argument("workflow", metavar="WORKFLOW")
@click.option(
    "--input", "-i", "pairs", multiple=True, metavar="KEY=VALUE", help="An input; KEY:=JSON too."
)
@click.option("--inputs", "file", metavar="FILE", help="Inputs as a file of JSON or YAML.")
@click.option("--rev", type=click.IntRange(min=1), help="A version; by default the published one.")
@click.option(
    "--priority",
    type=click.IntRange(min=0, max=9),
    default=0,
    help="Of runs that wait, higher ones go first; over 0 takes the permission operate_run.",
)
@click.option("--idempotency-key", default="", help="The same key starts no second run.")
@click.option("--watch", "watches", is_flag=True, help="Show what happens until the run is over.")
@click.option("--wait", "waits", is_flag=True, help="Wait until the run is over.")
@_TIMEOUT
def run(  # noqa: PLR0913 - one option each
    session: Session,
    workflow: str,
    pairs: tuple[str, ...],
    file: str | None,
    rev: int | None,
    priority: int,
    idempotency_key: str,
    timeout: float | None,
    *,
    watches: bool,
    waits: bool,
) -> None:
    """Start a run of WORKFLOW, a slug or project/slug.

    With --watch or --wait the exit code says how it ended: 0 succeeded, 6 rejected, 5 otherwise.
    """
    project, slug = split_workflow(session, workflow)
    inputs = read_values(
        pairs, file, schema=_schema_of(session, project, slug, rev, pairs), what="inputs"
    )
    started = session.client.start_run(
        project,
        slug,
        inputs=inputs,
        rev=rev,
        priority=priority,
        idempotency_key=idempotency_key,
    )
    again = " (had been started with this key)" if started["replayed"] else ""
    if watches or waits:
        session.out.line(f"run {started['number']} started: {started['id']}{again}")
        session.out.record({"type": "started", **started})
        _follow(session, str(started["id"]), timeout=timeout, quiet=not watches)
        return
    session.out.document(started)
    session.out.line(f"run {started['number']} started: {started['id']}{again}")


@command(countersign)
@_RUN
@_TIMEOUT
def watch(session: Session, run_name: str, timeout: float | None) -> None:
    """Show what happens in RUN (an id, or a number) until it is over.

    The exit code says how it ended: 0 succeeded, 6 rejected, 5 otherwise. With --json, one line for
    each change and a last one of type `end`.
    """
    _follow(session, find_run_id(session, run_name), timeout=timeout, quiet=False)


@command(countersign)
@click.option("--workflow", help="Slug of a workflow.")
@click.option("--status", help="READY, RUNNING, WAITING, PAUSED, HALTED or CLOSED.")
@click.option("--outcome", help="succeeded, failed, rejected, expired or cancelled.")
@click.option("--initiator", help="Name of the account that started it.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many at most.",
)
@click.option("--all", "everywhere", is_flag=True, help="Of every project.")
def runs(
    session: Session,
    workflow: str | None,
    status: str | None,
    outcome: str | None,
    initiator: str | None,
    limit: int,
    *,
    everywhere: bool,
) -> None:
    """List runs, newest first."""
    asked: dict[str, Any] = {
        "workflow": workflow,
        "status": status.upper() if status else None,
        "outcome": outcome,
        "initiator": initiator,
        "project": None if everywhere else session.profile.project or None,
    }
    found = session.client.list_runs(**{key: value for key, value in asked.items() if value})
    rows = [row for row, _ in zip(found, range(limit), strict=False)]
    session.out.document({"items": rows})
    session.out.table(
        ("number", "workflow", "title", "status", "outcome", "by", "started", "id"),
        (
            (
                row["number"],
                f"{row['project']}/{row['workflow']}",
                row["title"],
                row["status"],
                row["outcome"],
                row["initiator"],
                row["created_at"][:19],
                row["id"],
            )
            for row in rows
        ),
    )


@command(countersign)
@_RUN
@click.option(
    "--at", default="", metavar="SEQ|INSTANT", help="As it was after an entry, or at an instant."
)
def show(session: Session, run_name: str, at: str) -> None:
    """Show RUN with its steps, and what it waits for; with --at as it was then.

    An instant is written as 2026-03-01T09:30:00Z. `countersign logs RUN` numbers the entries.
    """
    run_id = find_run_id(session, run_name)
    if at:
        _show_past(session, run_id, at)
        return
    sight = next(Follower(session=session, run_id=run_id).follow(timeout_seconds=None))
    session.out.document(sight.run)
    if not session.out.as_json:
        session.out.console.print(_draw(sight))


@command(countersign)
@_RUN
@click.option("--follow", "-f", "follows", is_flag=True, help="Go on until the run is over.")
def logs(session: Session, run_name: str, *, follows: bool) -> None:
    """Print what is on record of RUN, oldest first; with --json one entry a line."""
    run_id = find_run_id(session, run_name)
    if not follows:
        _print_events(session, run_id, after_seq=0)
        return
    session.state.goes_on = "The run goes on."
    seq = 0
    for sight in Follower(session=session, run_id=run_id).follow(timeout_seconds=None):
        if sight.run["seq"] > seq:
            seq = _print_events(session, run_id, after_seq=seq)


@command(countersign)
@_RUN
@click.option("--reason", "-m", required=True, help="Why; it goes on record.")
@click.option("--compensate", is_flag=True, help="Undo what has completed before it closes.")
def cancel(session: Session, run_name: str, reason: str, *, compensate: bool) -> None:
    """Cancel RUN: what has not begun never will."""
    if not reason.strip():
        raise CommandError("say why: --reason")
    run_id = find_run_id(session, run_name)
    session.client.cancel_run(run_id, reason=reason, compensate=compensate)
    session.out.document({"id": run_id, "cancelled": True})
    session.out.line("cancelled; what executes now is finished first")


def _show_past(session: Session, run_id: str, at: str) -> None:
    """Print a run as it was after an entry, or at an instant."""
    is_number = at.isascii() and at.isdigit()
    past = session.client.get_run_state(
        run_id, at_seq=int(at) if is_number else 0, at="" if is_number else at
    )
    session.out.document(past)
    if session.out.as_json:
        return
    said = f"as it was after entry {past['at_seq']} of {past['last_seq']}"
    session.out.line(f"{said}: {past['kind']}, {past['written_at']}")
    for item in past["erased"]:
        session.out.line(f"entry {item['seq']}: {', '.join(item['names'])} redacted since")
    if past["unreadable"]:
        session.out.line(f"its state cannot be told: {past['unreadable']}")
        return
    session.out.console.print(_draw(Sight(run=past["run"])))


def _schema_of(
    session: Session, project: str, slug: str, rev: int | None, pairs: tuple[str, ...]
) -> JsonObject:
    """Return the schema of a version's inputs, if values have to be read by it."""
    if not pairs:
        return {}
    number = rev or session.client.get_workflow(project, slug)["published_rev"]
    if number is None:
        return {}  # nothing is published; starting says so
    schema: JsonObject = session.client.get_version(project, slug, number)["inputs_schema"]
    return schema


def _follow(session: Session, run_id: str, *, timeout: float | None, quiet: bool) -> None:
    """Watch a run until it is over, and leave with its exit code."""
    session.state.goes_on = f"The run goes on; `countersign watch {run_id}` shows it."
    sights = Follower(session=session, run_id=run_id).follow(timeout_seconds=timeout)
    last: Sight | None = None
    if not quiet and session.out.is_live:
        with Live(console=session.out.console, auto_refresh=True, transient=False) as live:
            for last in sights:
                live.update(_draw(last))
    else:
        told: dict[str, str] = {}
        for last in sights:
            if not quiet:
                _tell_changes(session.out, last, told)
    assert last is not None, "it yields at least once"
    session.state.goes_on = ""
    session.out.record({"type": "end", "run": last.run})
    _tell_end(session.out, last.run)
    finish(last.run)


def _tell_changes(out: Output, sight: Sight, told: dict[str, str]) -> None:
    """Print what is new since the last time, one line each."""
    for step in sight.run["steps"]:
        said = words.tell_step(step)
        if said != "pending" and told.get(step["key"]) != said:
            told[step["key"]] = said
            out.line(f"{step['key']}: {said}")
            out.record({"type": "step", "step": step})
    for line in list_waits(sight):
        if line not in told:
            told[line] = ""
            out.line(line)
            out.record({"type": "waits", "message": line})


def _tell_end(out: Output, run: JsonObject) -> None:
    if run["status"] == "HALTED":
        out.line(f"run {run['number']} is halted; only an operator moves it on", style="red")
        return
    style = "green" if run["outcome"] in {"succeeded", "continued"} else "red"
    out.line(f"run {run['number']} is over: {run['outcome']}", style=style)
    for name, value in run["outputs"].items():
        out.line(f"  {name}: {one_line(value)}")


def _draw(sight: Sight) -> Lines:
    """Return a run as it is drawn in a terminal."""
    run = sight.run
    head = Text(f"run {run['number']}  {one_line(run['title'])}  ", style="bold")
    head.append_text(styled(run["outcome"] or run["status"]))
    table = Table(box=None, pad_edge=False, show_header=False)
    for step in run["steps"][-_STEPS_SHOWN_MAX:]:
        depth = step["key"].removeprefix("compensate/").count("/")
        table.add_row(
            Text("  " * depth + one_line(step["key"])),
            styled(step["outcome"] or step["status"]),
            Text(one_line(_detail_of(step)), style="dim"),
        )
    waits = [Text(one_line(line), style="yellow") for line in list_waits(sight)]
    return Lines(head, table, *waits)


def _detail_of(step: JsonObject) -> str:
    progress = step.get("progress")
    if step.get("error"):
        return f"{step['error']['kind']}: {step['error']['message']}"
    if progress:
        total = progress["total"] or "?"
        return f"{progress['good'] + progress['failed']} of {total}"
    return step["why"] or (f"attempt {step['attempt']}" if step["attempt"] > 1 else step["verb"])


def _print_events(session: Session, run_id: str, *, after_seq: int) -> int:
    """Print the entries after one, and return the number of the last."""
    for event in session.client.list_run_events(run_id):
        if event["seq"] <= after_seq:
            continue
        after_seq = event["seq"]
        session.out.record(event)
        session.out.line(f"{event['seq']:>5}  {event['at'][:19]}  {words.tell(event)}")
    return after_seq
