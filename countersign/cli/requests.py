"""Commands about what people decide: `inbox`, `approve`. Read `approve` first."""

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import click

from countersign.cli.doorway import Session, command
from countersign.cli.errors import CommandError, Exit, Finished
from countersign.cli.finding import find_request, read_values
from countersign.cli.output import Output, one_line
from countersign.cli.root import countersign
from countersign.client import ApiError, JsonObject

_CHANGED = 412
_LINES_MAX = 200


@command(countersign)
@click.option(
    "--view",
    type=click.Choice(["mine", "all", "decided"]),
    default="mine",
    show_default=True,
    help="What you can decide now, all you may see, or those that are closed.",
)
@click.option("--run", "run_id", help="Id of a run.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="How many at most.",
)
def inbox(session: Session, view: str, run_id: str | None, limit: int) -> None:
    """List approval requests and questions, those for you by default."""
    asked = {"project": session.profile.project, "run_id": run_id}
    query = {key: value for key, value in asked.items() if value}
    rows = list(islice(session.client.list_requests(view=view, **query), limit))
    session.out.document({"items": rows})
    session.out.table(
        ("number", "title", "risk", "status", "approvals", "asked by", "until", "id"),
        (
            (
                row["number"],
                row["title"],
                row["risk"],
                row["outcome"] or row["status"],
                f"{row['approval_count']}/{row['needed_count']}",
                row["requester_name"],
                (row["expires_at"] or "")[:16],
                row["id"],
            )
            for row in rows
        ),
    )


@command(countersign)
@click.argument("target", metavar="RUN|REQUEST")
@click.option("--reject", is_flag=True, help="Say no; needs a comment.")
@click.option(
    "--answer", type=click.Choice(["retry", "skip", "fail"]), help="Of a question about a step."
)
@click.option("--comment", "-m", default="", help="For the people who read it later.")
@click.option("--form", "pairs", multiple=True, metavar="KEY=VALUE", help="A value of the form.")
@click.option("--form-file", "file", metavar="FILE", help="The form as a file of JSON or YAML.")
@click.option("--confirm", is_flag=True, help="Tick the box the request shows.")
@click.option("--digest", default="", help="Decide only if this is what is asked now.")
@click.option("--yes", "-y", "sure", is_flag=True, help="Do not ask again.")
def approve(  # noqa: PLR0913 - one option each
    session: Session,
    target: str,
    answer: str | None,
    comment: str,
    pairs: tuple[str, ...],
    file: str | None,
    digest: str,
    *,
    reject: bool,
    confirm: bool,
    sure: bool,
) -> None:
    """Decide a request, or the one a run waits for, after showing what is decided.

    A number is a request's; a run is named by its id. With --yes, a number needs --digest. What is
    sent names the digest of what was shown. If it has changed meanwhile, nothing is decided, and
    what changed is printed.
    """
    if reject and answer:
        raise CommandError("--reject is for approvals, --answer for questions; not both")
    if sure and not digest and target.removeprefix("#").isdecimal():
        # Runs have numbers too: nobody would be there to see that it is another request.
        message = "with --yes a request is named by its id, or by its number with its --digest"
        raise CommandError(message, code="cli.number_unseen")
    shown = find_request(session, target)
    decision = answer or ("reject" if reject else "approve")
    _check_choice(shown, decision)
    form = _read_form(shown, pairs, file)
    if digest and digest != shown["digest"]:
        message = f"the request's digest is {shown['digest']} now; nothing was decided"
        raise CommandError(message, code="cli.changed", exit_code=Exit.REFUSED)
    _show(session.out, shown)
    consequence = _consequence_of(shown, decision)
    if not sure:
        confirm = confirm or _ask(session, shown, decision, consequence)
    try:
        result = session.client.decide(
            shown["id"],
            decision,
            digest=shown["digest"],
            comment=comment,
            form=form,
            confirmed=confirm,
            stage=shown["stage"] or "",
        )
    except ApiError as error:
        if error.status == _CHANGED:
            _tell_drift(session, shown, error)
        raise
    session.out.document(result)
    again = " (had been decided so before)" if result["replayed"] else ""
    ended = result["outcome"] or f"{result['approval_count']} of {result['needed_count']} approvals"
    session.out.line(
        f"{decision}: request {result['number']} is {result['status']}, {ended}{again}"
    )


def _check_choice(shown: JsonObject, decision: str) -> None:
    choices = [item["choice"] for item in shown["choices"]]
    if choices and decision not in choices:
        message = f"what can be decided here: {', '.join(choices)}; not {decision}"
        raise CommandError(message, code="cli.no_such_choice")


def _consequence_of(shown: JsonObject, decision: str) -> str:
    found = (item["consequence"] for item in shown["choices"] if item["choice"] == decision)
    return str(next(found, ""))


def _read_form(shown: JsonObject, pairs: tuple[str, ...], file: str | None) -> JsonObject | None:
    if not pairs and not file:
        return None
    return read_values(pairs, file, schema=shown["form_schema"] or {}, what="the form's values")


def _ask(session: Session, shown: JsonObject, decision: str, consequence: str) -> bool:
    """Ask whether this is meant; return whether the request's box is ticked by that.

    Raises:
        CommandError: nobody is there to answer.
        Finished: it is not meant.
    """
    if not sys.stdin.isatty():
        raise CommandError(
            "nobody is there to confirm it; `--yes` decides without asking", code="cli.no_answer"
        )
    box = one_line(shown["confirm"]) if decision == "approve" else ""
    session.out.note(f"If you {decision}: {one_line(consequence)}")
    question = f"{box}. {decision.capitalize()}?" if box else f"{decision.capitalize()}?"
    if not click.confirm(question, err=True):
        session.out.note("Nothing was decided.")
        raise Finished(Exit.REFUSED)
    return bool(box)


def _show(out: Output, shown: JsonObject) -> None:
    out.line(one_line(shown["title"]), style="bold")
    out.line(f"asked by {shown['requester_name']}, risk {shown['risk']}, {shown['kind']}")
    if shown["amount"]:
        out.line(f"amount: {shown['amount']['value']} {shown['amount']['currency']} (minor units)")
    if shown["expires_at"]:
        out.line(f"until {shown['expires_at']}")
    for rule in shown["rule_words"]:
        out.line(f"rule: {one_line(rule)}")
    out.line("subject:")
    for line in islice(_lines_of(shown["subject"]), _LINES_MAX):
        out.line(f"  {line}")
    for name, value in (shown["form_values"] or {}).items():
        out.line(f"form {one_line(name)}: {one_line(value)}")
    if shown["confirm"]:
        out.line(f"box: {one_line(shown['confirm'])}")
    out.line(f"digest: {shown['digest']}", style="dim")


def _lines_of(value: Any, *, at: str = "") -> Iterator[str]:
    """Yield a value as lines `place: leaf`, so that two of them can be compared."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _lines_of(item, at=f"{at}.{key}" if at else str(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _lines_of(item, at=f"{at}[{index}]")
    else:
        yield f"{one_line(at)}: {one_line(value)}"


def _tell_drift(session: Session, shown: JsonObject, error: ApiError) -> None:
    """Say what has changed since the request was shown. Raises: CommandError."""
    now = session.client.get_request(shown["id"])
    parts = ("subject", "title", "if_approved", "if_rejected", "form_values", "stage", "rule_words")
    before = [line for part in parts for line in _lines_of(shown[part], at=part)]
    after = [line for part in parts for line in _lines_of(now[part], at=part)]
    changes = [{"message": f"- {line}"} for line in before if line not in after]
    changes += [{"message": f"+ {line}"} for line in after if line not in before]
    raise CommandError(
        "the request has changed since it was shown; nothing was decided. Look again:",
        code=error.code,
        exit_code=Exit.REFUSED,
        problems=changes,
    ) from error
