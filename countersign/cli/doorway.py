"""How commands are entered and left. Read `Doorway` first, then `command`.

Every command gets a `Session`: where the server is, who speaks, and where to print. What it raises
becomes one message and an exit code here, and nowhere else.
"""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from countersign.cli import profiles
from countersign.cli.errors import ANTICIPATED, CommandError, Exit, Failure, Finished, describe
from countersign.cli.output import Output, plain
from countersign.client import Client

Body = Callable[..., None]

_PLACE = ("file", "line", "column")

_NOBODY = (
    "there is no token for this server; `countersign login` keeps one, or set COUNTERSIGN_TOKEN"
)
_NEEDS_URL = (
    "no server is named: `countersign login --url https://…`, --url or COUNTERSIGN_URL names one"
)


@dataclass(slots=True, kw_only=True)
class State:
    """What is known when a command is left: what it spoke to, and what goes on without it."""

    url: str = ""
    goes_on: str = ""
    as_json: bool = False


@dataclass(slots=True, kw_only=True)
class Session:
    """What a command works with."""

    profile: profiles.Profile
    out: Output
    state: State
    timeout_seconds: float = 30.0
    _client: Client | None = field(default=None)

    @property
    def client(self) -> Client:
        """Return a client that speaks for the profile's token.

        Raises:
            CommandError: no server or no token is known.
        """
        if self._client is None:
            if not self.profile.url:
                raise CommandError(_NEEDS_URL, code="cli.no_url")
            if not self.profile.token:
                raise CommandError(_NOBODY, code="cli.no_token", exit_code=Exit.NOT_PERMITTED)
            self._client = self.connect(self.profile.url, self.profile.token)
        return self._client

    @property
    def project(self) -> str:
        """Return the slug of the project. Raises: CommandError."""
        if not self.profile.project:
            message = "no project is named: --project, COUNTERSIGN_PROJECT or `login --project`"
            raise CommandError(message, code="cli.no_project")
        return self.profile.project

    def connect(self, url: str, token: str) -> Client:
        """Return a client of a server; the command's end closes it."""
        self.state.url = url
        client = Client(url, token, timeout_seconds=self.timeout_seconds)
        click.get_current_context().call_on_close(client.close)
        return client


def command(group: click.Group, *, name: str | None = None) -> Callable[[Body], click.Command]:
    """Make a function a command of a group; its first argument is the `Session`."""

    def decorate(body: Body) -> click.Command:
        @functools.wraps(body)
        def enter(
            *args: Any,
            as_json: bool,
            profile_name: str | None,
            url: str | None,
            project: str | None,
            request_timeout: float,
            **options: Any,
        ) -> None:
            state = click.get_current_context().ensure_object(State)
            profile = profiles.find_profile(name=profile_name, url=url, project=project)
            state.url = profile.url
            session = Session(
                profile=profile,
                out=Output(as_json=as_json),
                state=state,
                timeout_seconds=request_timeout,
            )
            if profile.name and profiles.is_open_to_others():
                session.out.note(f"warning: others may read {profiles.settings_path()}; chmod 600")
            body(session, *args, **options)

        decorated: Any = enter
        for option in reversed(_COMMON):
            decorated = option(decorated)
        made: click.Command = group.command(name=name)(decorated)
        return made

    return decorate


_COMMON = (
    click.option("--project", "-p", help="Slug of the project [env COUNTERSIGN_PROJECT]."),
    click.option("--url", help="Where the server is [env COUNTERSIGN_URL]."),
    click.option(
        "--profile", "profile_name", help="A profile of the file [env COUNTERSIGN_PROFILE]."
    ),
    click.option(
        "--request-timeout",
        type=click.FloatRange(min=0.1, max=600),
        default=30.0,
        show_default=True,
        help="Seconds to wait for each answer of the server.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else."),
)
COMMON_OPTION_NAMES = ("project", "url", "profile_name", "request_timeout", "as_json")


class Doorway(click.Group):
    """The outermost group: turns what is raised into a message and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - the framework's signature
        **extra: Any,
    ) -> Any:
        """Enter the command line, and leave the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        state = State(as_json="--json" in given)
        code = Exit.OK
        try:
            found = super().main(
                args=given,
                prog_name=prog_name or "countersign",
                complete_var=complete_var,
                standalone_mode=False,
                obj=state,
                **extra,
            )
            code = Exit(found) if isinstance(found, int) else Exit.OK
        except Finished as end:
            code = end.exit_code
        except click.Abort as error:
            code = _leave_interrupted(error, state)
        except click.UsageError as error:
            code = _leave(
                Failure(exit_code=Exit.USAGE, code="cli.usage", message=_usage(error)), state
            )
        except ANTICIPATED as error:
            failure = describe(error, url=state.url)
            if failure is None:
                raise
            code = _leave(failure, state)
        if not standalone_mode:
            return code
        sys.exit(code)


def _leave(failure: Failure, state: State) -> Exit:
    if state.as_json:
        click.echo(json.dumps(failure.as_json(), ensure_ascii=False))
        return failure.exit_code
    click.echo(f"error: {plain(failure.message)} [{failure.code}]", err=True)
    for problem in failure.problems:
        click.echo(f"  {say_problem(problem)}", err=True)
    if state.goes_on:
        click.echo(state.goes_on, err=True)
    return failure.exit_code


def say_problem(problem: Any) -> str:
    """Return a problem on one line, with its place as compilers write it."""
    place = ":".join(str(problem[key]) for key in _PLACE if problem.get(key) not in {None, ""})
    severity = f"{problem['severity']}: " if problem.get("severity") else ""
    code = f" [{problem['code']}]" if problem.get("code") else ""
    path = "" if place or not problem.get("path") else f"{problem['path']}: "
    return plain(f"{place + ': ' if place else path}{severity}{problem.get('message', '')}{code}")


def _usage(error: click.UsageError) -> str:
    name = error.ctx.command_path if error.ctx else "countersign"
    return f"{error.format_message()} See `{name} --help`."


def _leave_interrupted(error: click.Abort, state: State) -> Exit:
    if isinstance(error.__cause__ or error.__context__, EOFError):
        message = "nobody is there to answer; `--yes` goes on without asking"
        failure = Failure(exit_code=Exit.USAGE, code="cli.no_answer", message=message)
        return _leave(failure, State(url=state.url, as_json=state.as_json))
    message = "interrupted." + (f" {state.goes_on}" if state.goes_on else "")
    if state.as_json:
        error_body = {"code": "cli.interrupted", "message": message}
        click.echo(json.dumps({"error": error_body}, ensure_ascii=False))
    else:
        click.echo(plain(message), err=True)
    return Exit.INTERRUPTED
