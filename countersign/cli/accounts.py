"""Commands about who speaks to which server. Read `login` first."""

import sys
from dataclasses import replace
from typing import Any

import click

from countersign.cli import profiles
from countersign.cli.doorway import Session, command
from countersign.cli.errors import CommandError, Exit
from countersign.cli.root import countersign
from countersign.client import ApiError

_UNAUTHENTICATED = 401


@command(countersign)
@click.option("--name", default="", help="What to call the profile; by default `default`.")
@click.option("--user", help="Make a token for this account and its password, where allowed.")
@click.option(
    "--use/--keep", "make_default", default=True, help="Whether it is used when none is named."
)
def login(session: Session, name: str, user: str | None, *, make_default: bool) -> None:
    """Check a token and keep it, with the server's address, in a profile.

    The token (with --user, the password) is asked for without showing it; where standard input is
    no terminal it is its first line.
    """
    name = name or session.profile.name or "default"
    if not profiles.NAME.fullmatch(name):
        raise CommandError("a profile's name has letters, digits, `.`, `_` and `-`")
    url = session.profile.url
    if not url:
        raise CommandError("say where the server is: --url https://…", code="cli.no_url")
    if user:
        password = _read_secret("Password")
        token = str(session.connect(url, "").create_token(user, password, name="cli")["token"])
    else:
        token = _read_secret("Token")
    try:
        me = session.connect(url, token).get_me()
    except ApiError as error:
        if error.status != _UNAUTHENTICATED:
            raise
        message = f"{url} does not know this token"
        raise CommandError(message, code=error.code, exit_code=Exit.NOT_PERMITTED) from error
    profile = replace(session.profile, name=name, token=token)
    path = profiles.save_profile(profile, make_default=make_default)
    session.out.document({"profile": name, "url": url, "username": me["username"]})
    session.out.line(f"You are {me['name']} ({me['username']}) at {url}; kept in {path}.")


@command(countersign)
@click.option("--name", default="", help="The profile; by default the one in use.")
def logout(session: Session, name: str) -> None:
    """Forget a profile and its token; the token itself stays valid until it is revoked."""
    name = name or session.profile.name
    if not name or not profiles.forget_profile(name):
        raise CommandError(f"there is no profile {name!r}", code="cli.no_profile")
    session.out.document({"profile": name, "forgotten": True})
    session.out.line(f"Profile {name} is forgotten.")


@command(countersign)
def whoami(session: Session) -> None:
    """Say who the token speaks for, and where."""
    me = session.client.get_me()
    session.out.document({**me, "url": session.profile.url, "profile": session.profile.name})
    session.out.line(f"{me['name']} ({me['username']}, {me['kind']}) at {session.profile.url}")
    for line in _say_bounds(me.get("token")):
        session.out.line(line, style="dim")


@command(countersign, name="profiles")
def list_profiles(session: Session) -> None:
    """List the profiles, without their tokens."""
    settings = profiles.read_settings()
    rows = [
        {
            "name": item.name,
            "url": item.url,
            "project": item.project,
            "has_token": bool(item.token),
            "is_default": item.name == settings.default,
        }
        for item in settings.profiles.values()
    ]
    session.out.document({"items": rows, "path": str(profiles.settings_path())})
    session.out.table(
        ("", "profile", "server", "project"),
        (
            ("*" if row["is_default"] else "", row["name"], row["url"], row["project"])
            for row in rows
        ),
    )


def _say_bounds(token: Any) -> list[str]:
    """Return what a token lets through, in words."""
    if not token:
        return []
    permissions = token.get("permissions")
    lines = [f"token: {token['id']}"]
    if token.get("project_id"):
        lines.append(f"only in the project {token['project_id']}")
    if permissions is not None:
        lines.append(f"only: {', '.join(permissions) or 'nothing'}")
    return lines


def _read_secret(what: str) -> str:
    """Return what is typed without showing it, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True)).strip()
    text = sys.stdin.readline().strip()
    if not text:
        raise CommandError(f"no {what.lower()} came on standard input")
    return text
