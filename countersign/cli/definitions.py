"""Commands about definitions: `lint`, `diff`, `apply`, `workflows`. Read `apply` first."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import click

from countersign.cli import files
from countersign.cli.doorway import Session, command, say_problem
from countersign.cli.errors import CommandError, Exit, Finished
from countersign.cli.files import Definition
from countersign.cli.root import countersign
from countersign.client import ApiError, JsonObject

_PLACES = click.argument("places", nargs=-1, required=True, metavar="FILE|DIR…")
_MISSING = 404
_CLASSES = ("cosmetic", "additive", "behavioural", "governance-weakening")
_SHOWN_CHARS_MAX = 160


@dataclass(slots=True, kw_only=True)
class Change:
    """What applying does to one workflow: `new`, `changed` or `unchanged`; then what was done."""

    definition: Definition
    action: str
    latest: JsonObject | None
    rev: int | None = None
    is_published: bool = False

    def as_json(self) -> JsonObject:
        """Return the documented form."""
        return {
            "workflow": self.definition.name,
            "file": self.definition.path,
            "action": self.action,
            "rev": self.rev,
            "published": self.is_published,
        }


@command(countersign)
@_PLACES
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
def lint(session: Session, places: tuple[str, ...], *, strict: bool) -> None:
    """Check definitions with the server's rules, without saving them.

    Problems are printed as `file:line:column: error: what [code]`, as compilers do. Exit code 1 if
    there is an error.
    """
    definitions = files.read_definitions(places)
    problems = [item for definition in definitions for item in _check(session, definition)]
    failing = [item for item in problems if strict or item["severity"] == "error"]
    valid = not failing
    session.out.document({"valid": valid, "files": len(definitions), "problems": problems})
    for problem in problems:
        session.out.line(say_problem(problem))
    warnings = len(problems) - len(failing)
    said = f"{len(definitions)} checked, {len(failing)} errors, {warnings} warnings"
    session.out.line(said, style="green" if valid else "red")
    if not valid:
        raise Finished(Exit.REFUSED)


@command(countersign)
@_PLACES
@click.option(
    "--published", is_flag=True, help="Compare with what is published, not with the newest version."
)
@click.option(
    "--fail-on",
    type=click.Choice(_CLASSES),
    help="Exit code 1 if a change is of this class or of one that matters more.",
)
def diff(
    session: Session, places: tuple[str, ...], fail_on: str | None, *, published: bool
) -> None:
    """Say what would change, step by step, and how much it matters.

    Classes, least first: cosmetic, additive, behavioural, governance-weakening (fewer, other or
    later people decide, or less is gated).
    """
    definitions = files.read_definitions(places)
    files.check_names(definitions)
    found = [_compare(session, item, published=published) for item in definitions]
    session.out.document({"project": session.project, "items": found})
    for item in found:
        _tell_comparison(session, item)
    bound = _CLASSES.index(fail_on) if fail_on else len(_CLASSES)
    if any(item["worst"] and _CLASSES.index(item["worst"]) >= bound for item in found):
        raise Finished(Exit.REFUSED)


@command(countersign)
@_PLACES
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--publish", is_flag=True, help="Publish what is saved, and newest drafts.")
@click.option("--message", "-m", default="", help="What changed and why, kept with each version.")
def apply(
    session: Session, places: tuple[str, ...], *, dry_run: bool, publish: bool, message: str
) -> None:
    """Make a project's workflows those of a folder.

    Every file is checked before the first is saved, so a bad one changes nothing. A text equal to
    the newest version's is left as it is. What is in the project and not in the folder is listed,
    never removed.
    """
    project = session.project
    definitions = files.read_definitions(places)
    files.check_names(definitions)
    _require_project(session, project)
    problems = [item for definition in definitions for item in _check(session, definition)]
    errors = [item for item in problems if item["severity"] == "error"]
    if errors:
        raise CommandError(
            f"{len(errors)} errors; nothing was saved",
            code="cli.definitions_invalid",
            exit_code=Exit.REFUSED,
            problems=errors,
        )
    ordered = files.in_order(definitions)
    changes = [_plan(session, project, item, publish=publish) for item in ordered]
    names = {item.name for item in definitions}
    extra = sorted(
        item["slug"]
        for item in session.client.list_workflows(project=project)
        if item["slug"] not in names
    )
    done = list(changes) if dry_run else list(_carry_out(session, project, changes, message))
    session.out.document(
        {
            "project": project,
            "dry_run": dry_run,
            "changes": [change.as_json() for change in done],
            "not_in_folder": extra,
            "warnings": [item for item in problems if item["severity"] != "error"],
        }
    )
    _tell(session, project, done, dry_run=dry_run)
    if extra:
        session.out.line(f"not in the folder, left alone: {', '.join(extra)}", style="dim")


@command(countersign)
@click.option("--all", "everywhere", is_flag=True, help="Of every project.")
def workflows(session: Session, *, everywhere: bool) -> None:
    """List a project's workflows."""
    query = {} if everywhere else {"project": session.project}
    rows = list(session.client.list_workflows(**query))
    session.out.document({"items": rows})
    session.out.table(
        ("workflow", "title", "published", "newest", "open runs"),
        (
            (
                f"{row['project']}/{row['slug']}",
                row["title"],
                row["published_rev"] or "-",
                row["latest_rev"],
                row["open_run_count"],
            )
            for row in rows
        ),
    )


def _compare(session: Session, definition: Definition, *, published: bool) -> JsonObject:
    """Return how a definition differs from what the server has. Raises: CommandError."""
    client, project = session.client, session.project
    rev = None
    if published and definition.name:
        try:
            rev = client.get_workflow(project, definition.name)["published_rev"]
        except ApiError as error:
            if error.status != _MISSING:
                raise
    try:
        return {"file": definition.path, **client.diff(project, definition.source, rev=rev)}
    except ApiError as error:
        if not error.problems:
            raise
        raise CommandError(
            f"{definition.path}: {error.detail or error.title}",
            code=error.code,
            exit_code=Exit.REFUSED,
            problems=[{"file": definition.path, **item} for item in error.problems],
        ) from error


def _tell_comparison(session: Session, found: JsonObject) -> None:
    out, name = session.out, found["workflow"]
    if found["base_rev"] is None:
        out.line(f"{name}: new", style="green")
        return
    if found["same_plan"]:
        words = "unchanged" if found["same_source"] else "only comments or layout changed"
        out.line(f"{name}: {words} since rev {found['base_rev']}", style="dim")
        return
    count = len(found["changes"])
    changes = "1 change" if count == 1 else f"{count} changes"
    out.line(f"{name}: {changes} since rev {found['base_rev']}")
    out.table(
        ("", "step", "what", "", "before", "after"),
        (
            (
                change["kind"],
                change["step"] or "-",
                change["field"],
                change["message"],
                _excerpt(change["before"]),
                _excerpt(change["after"]),
            )
            for change in found["changes"]
        ),
    )


def _excerpt(value: Any) -> str:
    """Return a value as JSON, the beginning of it if it is long."""
    text = "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[: _SHOWN_CHARS_MAX - 1]}…"


def _check(session: Session, definition: Definition) -> list[JsonObject]:
    """Return what the server finds, with the file's name."""
    try:
        found = session.client.lint(definition.source)["problems"]
    except ApiError as error:
        if not error.problems:
            raise
        # Of a text that is no definition at all, such as an empty or a huge one.
        found = [{**problem, "severity": "error"} for problem in error.problems]
    return [{"file": definition.path, **problem} for problem in found]


def _plan(session: Session, project: str, definition: Definition, *, publish: bool) -> Change:
    latest = find_latest(session, project, definition.name)
    if latest is None:
        return Change(definition=definition, action="new", latest=None, is_published=publish)
    is_equal = latest["source_digest"] == definition.source_digest
    is_published = latest["status"] == "published"
    return Change(
        definition=definition,
        action="unchanged" if is_equal else "changed",
        latest=latest,
        rev=latest["rev"] if is_equal else None,
        is_published=publish or (is_equal and is_published),
    )


def _carry_out(
    session: Session, project: str, changes: Sequence[Change], message: str
) -> Iterator[Change]:
    """Save and publish, one workflow after the other; yields each as it is done.

    Raises:
        CommandError: the server refused one; it says what had been done by then.
    """
    done: list[Change] = []
    for change in changes:
        try:
            _carry_out_one(session, project, change, message)
        except ApiError as error:
            rest = [item.definition.name for item in changes[len(done) :]]
            saved = [item.definition.name for item in done if item.action != "unchanged"]
            reason = error.detail or error.title
            raise CommandError(
                f"{change.definition.path}: {reason}. "
                f"Applied before: {', '.join(saved) or 'nothing'}; not applied: {', '.join(rest)}",
                code=error.code,
                exit_code=_exit_of(error),
                problems=[{"file": change.definition.path, **item} for item in error.problems],
            ) from error
        done.append(change)
        yield change


def _carry_out_one(session: Session, project: str, change: Change, message: str) -> None:
    client, name = session.client, change.definition.name
    version = change.latest
    if change.action != "unchanged":
        version = client.save_version(project, change.definition.source, message=message)
    assert version is not None, "what is unchanged is there"
    change.rev = version["rev"]
    if change.is_published and version["status"] == "draft":
        client.publish_version(project, name, version["rev"])


def _exit_of(error: ApiError) -> Exit:
    return Exit.NOT_PERMITTED if error.status in {401, 403} else Exit.REFUSED


def _tell(session: Session, project: str, changes: Sequence[Change], *, dry_run: bool) -> None:
    for change in changes:
        rev = f" rev {change.rev}" if change.rev else ""
        state = ", published" if change.is_published else ", draft"
        would = "would be " if dry_run and change.action != "unchanged" else ""
        session.out.line(
            f"{would}{change.action}: {project}/{change.definition.name}{rev}{state}",
            style="dim" if change.action == "unchanged" else "green",
        )


def find_latest(session: Session, project: str, name: str) -> Any:
    """Return a workflow's newest version, published or not; `None` if there is no such workflow."""
    try:
        return next(islice(session.client.list_versions(project, name), 1), None)
    except ApiError as error:
        if error.status != _MISSING:
            raise
        return None


def _require_project(session: Session, project: str) -> None:
    """Tell a project that is not there before anything is checked. Raises: CommandError."""
    try:
        session.client.get_project(project)
    except ApiError as error:
        if error.status != _MISSING:
            raise
        message = f"there is no project {project!r} that you may see"
        raise CommandError(message, code=error.code, exit_code=Exit.REFUSED) from error
