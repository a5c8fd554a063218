"""Commands of operators, each with a reason on record: pause, resume, retry, skip, rerun, send.

Read `rerun` first.
"""

import json
from typing import Any

import click

from countersign.cli.doorway import Session, command
from countersign.cli.errors import CommandError
from countersign.cli.finding import find_run_id, read_values
from countersign.cli.output import one_line
from countersign.cli.root import countersign
from countersign.client import JsonObject

_RUN = click.argument("run_name", metavar="RUN")
_STEP = click.argument("step", metavar="STEP")
_REASON = click.option("--reason", "-m", required=True, help="Why; it goes on record.")
_CHILDREN = click.option(
    "--with-children", is_flag=True, help="Also the runs it has called and awaits."
)


@command(countersign)
@_RUN
@_REASON
@_CHILDREN
def pause(session: Session, run_name: str, reason: str, *, with_children: bool) -> None:
    """Let nothing new begin in RUN; what executes may finish."""
    run_id = find_run_id(session, run_name)
    _tell(session, session.client.pause_run(run_id, reason=reason, with_children=with_children))


@command(countersign)
@_RUN
@_REASON
@_CHILDREN
def resume(session: Session, run_name: str, reason: str, *, with_children: bool) -> None:
    """Let RUN go on that was paused, or has halted and can be followed again."""
    run_id = find_run_id(session, run_name)
    _tell(session, session.client.resume_run(run_id, reason=reason, with_children=with_children))


@command(countersign)
@_RUN
@_STEP
@_REASON
def retry(session: Session, run_name: str, step: str, reason: str) -> None:
    """Try STEP of RUN again: a key such as `deploy#1`, or an id that occurs once."""
    run_id = find_run_id(session, run_name)
    key = _find_key(session, run_id, step)
    _tell(session, session.client.retry_step(run_id, key, reason=reason))


@command(countersign)
@_RUN
@_STEP
@_REASON
def skip(session: Session, run_name: str, step: str, reason: str) -> None:
    """Let RUN go on without STEP; refused for anything that is or holds an approval."""
    run_id = find_run_id(session, run_name)
    key = _find_key(session, run_id, step)
    _tell(session, session.client.skip_step(run_id, key, reason=reason))


@command(countersign)
@_RUN
@click.option("--from", "step", help="Key or id of the step to begin from; else everything.")
@click.option("--input", "-i", "pairs", multiple=True, metavar="KEY=VALUE", help="Another input.")
@click.option("--inputs", "file", metavar="FILE", help="Other inputs, as JSON or YAML.")
@click.option("--rev", type=click.IntRange(min=1), help="Another published version.")
@click.option("--reason", "-m", default="", help="Why; it goes on record.")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken over and run again.")
@click.option("--idempotency-key", default="", help="The same key starts no second run.")
def rerun(  # noqa: PLR0913 - one option each
    session: Session,
    run_name: str,
    step: str | None,
    pairs: tuple[str, ...],
    file: str | None,
    rev: int | None,
    reason: str,
    idempotency_key: str,
    *,
    dry_run: bool,
) -> None:
    """Run RUN again from a step on, as a new run that takes over what was done before it.

    Approvals that something executed again depends on are asked again. With other inputs, given
    beside those of the run, or another version it is a fork.
    """
    run_id = find_run_id(session, run_name)
    wish: JsonObject = {"step": step, "inputs": None, "rev": rev}
    if pairs or file:
        wish["inputs"] = _fork_inputs(session, run_id, pairs, file, rev=rev)
    if dry_run:
        _tell_foreseen(session, session.client.foresee_rerun(run_id, **wish))
        return
    if not reason.strip():
        raise CommandError("say why: --reason")
    started = session.client.rerun(run_id, **wish, reason=reason, idempotency_key=idempotency_key)
    session.out.document(started)
    session.out.line(f"run {started['number']} started: {started['id']}")


@command(countersign)
@_RUN
@click.argument("event_type", metavar="TYPE")
@click.option("--data", "-d", default="{}", help="The event's data, a JSON map.")
@click.option("--id", "event_id", default="", help="Your id of it; the same id counts once.")
@_REASON
def send(
    session: Session, run_name: str, event_type: str, data: str, event_id: str, reason: str
) -> None:
    """Send an event to RUN and to no other."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise CommandError(f"--data: {data!r} is not JSON") from error
    if not isinstance(value, dict):
        raise CommandError("--data: an event's data is a map")
    run_id = find_run_id(session, run_name)
    sent = session.client.send_run_event(
        run_id, event_type, data=value, reason=reason, event_id=event_id
    )
    session.out.document(sent)
    session.out.line(f"sent as {sent['id']}" + (" (had been sent before)" * sent["replayed"]))


def _tell(session: Session, steered: JsonObject) -> None:
    session.out.document(steered)
    again = " (it was so already)" if steered["replayed"] else ""
    session.out.line(f"run {steered['id']} is {steered['status']}{again}")


def _find_key(session: Session, run_id: str, step: str) -> str:
    """Return the key of a step named by its key or its id. Raises: CommandError."""
    if "#" in step:
        return step
    keys = [
        str(item["key"])
        for item in session.client.list_run_steps(run_id)
        if item["step"] == step and not item["undoes"]
    ]
    if len(keys) == 1:
        return keys[0]
    known = f"it has {', '.join(keys[:10])}" if keys else "it has none of that name"
    raise CommandError(f"name the step by its key; {known}", code="cli.no_such_step")


def _fork_inputs(
    session: Session, run_id: str, pairs: tuple[str, ...], file: str | None, *, rev: int | None
) -> JsonObject:
    """Return a run's inputs with others put in their place."""
    run = session.client.get_run(run_id)
    version: Any = session.client.get_version(run["project"], run["workflow"], rev or run["rev"])
    given = read_values(pairs, file, schema=version["inputs_schema"], what="inputs")
    return {**(run["inputs"] or {}), **given}


def _tell_foreseen(session: Session, foreseen: JsonObject) -> None:
    out = session.out
    out.document(foreseen)
    for item in foreseen["taken_over"]:
        out.line(f"taken over: {item['key']} {item['outcome']}", style="dim")
    for item in foreseen["runs_again"]:
        because = f" of {item['because']}" if item["because"] else ""
        people = ", people are asked" if item["asks_people"] else ""
        out.line(f"again: {item['key']} ({item['why']}{because}{people})")
    if foreseen["changed_inputs"]:
        out.line(f"other inputs: {one_line(', '.join(foreseen['changed_inputs']))}")
