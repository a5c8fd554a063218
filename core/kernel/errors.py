"""Anticipated errors: kinds, stable codes and details. Read `PlatformError` first.

An anticipated error is a subclass of one of the kinds below with a `code` of its own. Anything else
that is raised is a bug. HTTP statuses are not known here; `core.toolkit.api.errors` has the table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with an input, and where.

    `path` is a JSON pointer (RFC 6901); `line` and `column` count from 1 and are `None` where the
    input was not text.
    """

    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None
    code: str = ""
    severity: str = "error"


class PlatformError(Exception):
    """An error the caller can understand and act on.

    `details` are JSON-able facts that go to the caller beside the message.
    """

    code: ClassVar[str] = ""
    title: ClassVar[str] = ""

    def __init__(
        self, message: str = "", *, problems: Sequence[Problem] = (), **details: Any
    ) -> None:
        super().__init__(message or self.title)
        self.message = message or self.title
        self.problems = tuple(problems)
        self.details = details

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.code and not cls.title:
            msg = f"{cls.__name__} has a code but no title"
            raise TypeError(msg)


class UnauthenticatedError(PlatformError):
    """Nobody is signed in, or the token does not hold."""


class ForbiddenError(PlatformError):
    """The caller may not act so."""


class MissingError(PlatformError):
    """There is no such thing, or the caller may not see it: the two look the same."""


class InvalidError(PlatformError):
    """The input breaks its contract; `problems` says where."""


class ConflictError(PlatformError):
    """The thing is not in a state that allows this."""


class GoneError(PlatformError):
    """The time for this has passed."""


class StaleError(PlatformError):
    """The caller acts on something that has changed since it was read."""


class PreconditionError(PlatformError):
    """The caller must say which version of the thing it read."""


class TooLargeError(PlatformError):
    """The input is over a bound."""


class ThrottledError(PlatformError):
    """The caller must come back later; `details["retry_after_seconds"]` says when."""


class UnavailableError(PlatformError):
    """A part the platform needs does not answer."""


def list_errors(root: type[PlatformError] = PlatformError) -> Iterator[type[PlatformError]]:
    """Yield every loaded error class that has a code, in no particular order."""
    for child in root.__subclasses__():
        if child.code:
            yield child
        yield from list_errors(child)
