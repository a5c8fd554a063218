"""What ends a command, and with which exit code. Read `Exit` and `describe` first.

A command raises; `countersign.cli.doorway` prints one message with a stable code and exits. Nobody
who types a command sees a traceback for what a server, a file or they themselves got wrong.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import click
import httpx

from countersign.client import NOT_THE_API, REDIRECTED, ApiError

_REDIRECT = 300
_CLIENT_ERROR = 400
_SERVER_ERROR = 500
_NOT_PERMITTED = frozenset({401, 403})


class Exit(IntEnum):
    """How a command ends, for scripts."""

    OK = 0
    REFUSED = 1  # the server said no, or what was checked does not hold
    USAGE = 2  # the command, a file or the configuration is wrong; nothing was sent
    NO_SERVER = 3  # nobody answers there, or not this API
    NOT_PERMITTED = 4  # the token is wrong, or its owner may not
    RUN_UNSUCCESSFUL = 5  # the run ended failed, expired or cancelled, or is halted
    RUN_REJECTED = 6  # a person's no ended the run
    STILL_OPEN = 7  # the time to wait is over, and the run goes on
    INTERRUPTED = 130  # Ctrl-C


# What the reference says of each.
MEANINGS: Mapping[Exit, str] = {
    Exit.OK: "done",
    Exit.REFUSED: "the server refused it, or what was checked does not hold",
    Exit.USAGE: "the command, a file or the configuration is wrong",
    Exit.NO_SERVER: "no server answers, or what answers is not Countersign, or it is broken",
    Exit.NOT_PERMITTED: "the token is wrong, or its owner may not do this",
    Exit.RUN_UNSUCCESSFUL: "the run ended as failed, expired or cancelled, or is halted",
    Exit.RUN_REJECTED: "the run ended as rejected",
    Exit.STILL_OPEN: "`--timeout` is over, and the run goes on",
    Exit.INTERRUPTED: "interrupted with Ctrl-C; what was started goes on",
}


class CommandError(Exception):
    """A command that cannot do what it should.

    `code` is stable and dotted, `problems` are what is wrong with a file: `message`, and where
    known `file`, `line`, `column`, `path`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "cli.usage",
        exit_code: Exit = Exit.USAGE,
        problems: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.exit_code = exit_code
        self.problems = tuple(problems)


class Finished(Exception):  # noqa: N818 - it is no error: everything has been said
    """A command that has said all there is to say and ends with a code."""

    def __init__(self, exit_code: Exit) -> None:
        super().__init__()
        self.exit_code = exit_code


# What a command may raise without being wrong itself.
ANTICIPATED = (
    CommandError,
    ApiError,
    httpx.TransportError,
    httpx.InvalidURL,
    click.ClickException,
    OSError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is said of a failure. `status` is the HTTP status, 0 if there was no answer."""

    exit_code: Exit
    code: str
    message: str
    status: int = 0
    problems: tuple[Mapping[str, Any], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the document `--json` prints."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.status:
            error["status"] = self.status
        if self.problems:
            error["problems"] = [dict(problem) for problem in self.problems]
        return {"error": {**error, **self.more}}


def describe(error: BaseException, *, url: str) -> Failure | None:
    """Return what to say of an exception, `None` for a bug, which is for its traceback to say.

    `url` is the server the command speaks to.
    """
    if isinstance(error, CommandError):
        return Failure(
            exit_code=error.exit_code,
            code=error.code,
            message=error.message,
            problems=error.problems,
        )
    if isinstance(error, ApiError):
        return _describe_refusal(error, url=url)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        message = f"{url!r} is no address of a server; write https://name"
        return Failure(exit_code=Exit.USAGE, code="cli.bad_url", message=message)
    if isinstance(error, httpx.TransportError):
        return _describe_silence(error, url=url)
    return _describe_local(error)


def _describe_local(error: BaseException) -> Failure | None:
    if isinstance(error, click.ClickException):
        return Failure(exit_code=Exit.USAGE, code="cli.usage", message=error.format_message())
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror or error}"
        return Failure(exit_code=Exit.USAGE, code="cli.file", message=message)
    return None


def _describe_refusal(error: ApiError, *, url: str) -> Failure:
    message = error.detail or error.title or f"the server answered {error.status}"
    exit_code = Exit.REFUSED
    if error.code == REDIRECTED:
        exit_code, message = Exit.NO_SERVER, f"{url} is not where the server is: {message}"
    elif error.code == NOT_THE_API:
        exit_code, message = Exit.NO_SERVER, f"{url} answered {error.status}, {message}"
    elif error.status >= _SERVER_ERROR:
        exit_code = Exit.NO_SERVER
    elif error.status in _NOT_PERMITTED:
        exit_code = Exit.NOT_PERMITTED
    return Failure(
        exit_code=exit_code,
        code=error.code or "cli.refused",
        message=message,
        status=error.status,
        problems=error.problems,
    )


def _describe_silence(error: httpx.TransportError, *, url: str) -> Failure:
    """Return what to say when there was no answer; the connection's own words come last."""
    said = str(error)
    if isinstance(error, httpx.TimeoutException):
        code, message = "cli.timeout", f"{url} did not answer in time"
    elif isinstance(_root_of(error), ssl.SSLError) or "SSL" in said or "certificate" in said:
        code, message = "cli.tls", f"the connection to {url} is not secure: {said}"
    else:
        code, message = (
            "cli.no_server",
            f"no server answers at {url}" + (f" ({said})" if said else ""),
        )
    return Failure(exit_code=Exit.NO_SERVER, code=code, message=message)


def _root_of(error: BaseException) -> BaseException:
    """Return the exception that the others were made of."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error
