"""Functions a step may call, and what they may know of the step. Read `function` first."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

FunctionBody = Callable[..., Any]
HeartbeatListener = Callable[[Mapping[str, Any] | None], None]


class TransientError(Exception):
    """Raise it from a function when trying again may help; `retry.errors: [transient]` matches."""


def _ignore(_: Mapping[str, Any] | None) -> None:
    """Listen to no heartbeat, where nothing watches."""


def _never() -> bool:
    """Say that nothing is cancelled, where nothing could be."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The attempt a function is called for.

    `idempotency_key` is the same for every attempt of one step of one run: hand it to the systems
    you change, so that a repeated attempt changes them once. The last two fields are where the
    worker listens; call the methods.
    """

    run_id: str
    step: str
    number: int
    idempotency_key: str
    timeout_seconds: float
    on_heartbeat: HeartbeatListener = field(default=_ignore, repr=False, compare=False)
    asks_cancelled: Callable[[], bool] = field(default=_never, repr=False, compare=False)

    def heartbeat(self, progress: Mapping[str, Any] | None = None) -> None:
        """Say that the function is alive.

        A step with `heartbeat: PT30S` must say so at least that often, or its worker ends the
        attempt with the error kind `heartbeat`. Without that it may, and need not.

        Args:
            progress: how far it has come, a small map of JSON values, such as `{"done": 3}`; the
                newest one is put beside the error if the attempt hangs.
        """
        self.on_heartbeat(progress)

    @property
    def is_cancelled(self) -> bool:
        """Say whether nobody needs the result any more; a long function stops early then.

        Cheap to ask; the answer may be a few seconds old. What the function then returns or raises
        is recorded as usual and changes nothing.
        """
        return self.asks_cancelled()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredFunction:
    """A function that definitions may name."""

    name: str
    body: FunctionBody
    idempotent: bool


_REGISTRY: dict[str, RegisteredFunction] = {}
_ATTEMPT: ContextVar[Attempt | None] = ContextVar("countersign_attempt", default=None)


def function(name: str, *, idempotent: bool = False) -> Callable[[FunctionBody], FunctionBody]:
    """Register the decorated function under a dotted name, such as `release.scan`.

    The function takes the step's other `with:` arguments by keyword and returns a JSON value.

    Raises:
        ValueError: when another function already has the name.
    """

    def register(body: FunctionBody) -> FunctionBody:
        known = _REGISTRY.get(name)
        if known is not None and known.body.__qualname__ != body.__qualname__:
            msg = f"the function name {name!r} is taken by {known.body.__module__}"
            raise ValueError(msg)
        _REGISTRY[name] = RegisteredFunction(name=name, body=body, idempotent=idempotent)
        return body

    return register


def find_function(name: str) -> RegisteredFunction | None:
    """Return the function registered under a name, or `None`."""
    return _REGISTRY.get(name)


def list_functions() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(_REGISTRY)


def current_attempt() -> Attempt:
    """Return the attempt this code runs for.

    Raises:
        LookupError: outside a step.
    """
    attempt = _ATTEMPT.get()
    if attempt is None:
        msg = "current_attempt() has an answer only inside a step"
        raise LookupError(msg)
    return attempt


@contextmanager
def attempt_context(attempt: Attempt) -> Iterator[None]:
    """Make an attempt the current one for the code inside the `with` block."""
    token = _ATTEMPT.set(attempt)
    try:
        yield
    finally:
        _ATTEMPT.reset(token)
