"""Commands about a project's named secrets: set, listed, deleted, never read. Read `put` first."""

import sys
from typing import Any

import click

from countersign.cli.doorway import Session, command
from countersign.cli.errors import CommandError
from countersign.cli.root import countersign


@countersign.group()
def secrets() -> None:
    """Set and delete named secrets; nobody can read them back."""


@command(secrets, name="set")
@click.argument("name", metavar="NAME")
@click.option("--description", "-m", help="What it is for; without it the old one stays.")
def put(session: Session, name: str, description: str | None) -> None:
    """Set NAME to what standard input holds, without its last line end.

    In a terminal the value is asked for without showing it. It is never an argument, because others
    on the machine see those.
    """
    if sys.stdin.isatty():
        value = str(click.prompt("Value", hide_input=True, confirmation_prompt=True))
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise CommandError("no value came on standard input")
    secret = session.client.set_secret(session.project, name, value, description=description)
    session.out.document(secret)
    session.out.line(f"{secret['name']} is set, for the {_ordinal(secret['number'])} time")


@command(secrets, name="list")
def list_them(session: Session) -> None:
    """List the secrets' names, never their values."""
    rows = list(session.client.list_secrets(session.project))
    session.out.document({"items": rows})
    session.out.table(
        ("name", "description", "changed", "by", "used by"),
        (
            (
                row["name"],
                row["description"],
                row["changed_at"][:19],
                row["changed_by"],
                ", ".join(row["used_by"]),
            )
            for row in rows
        ),
    )


@command(secrets, name="delete")
@click.argument("name", metavar="NAME")
@click.option("--yes", "-y", "sure", is_flag=True, help="Do not ask again.")
def delete(session: Session, name: str, *, sure: bool) -> None:
    """Delete NAME; steps that need it fail from now on."""
    if not sure:
        if not sys.stdin.isatty():
            raise CommandError("nobody is there to confirm it; --yes", code="cli.no_answer")
        if not click.confirm(f"Delete {name}?", err=True):
            session.out.note("Nothing was deleted.")
            return
    session.client.delete_secret(session.project, name)
    session.out.document({"name": name, "deleted": True})
    session.out.line(f"{name} is deleted")


def _ordinal(number: Any) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
