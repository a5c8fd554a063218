"""Which processes make a full system. Read `list_children` first."""

import signal
import sys
from dataclasses import dataclass

from core.kernel import limits
from core.settings.env import Launch, ProcessRole

_HOST = "127.0.0.1"
_DRAIN_SECONDS = 5  # what open requests get when the web stops
_SOCKET_PROTOCOL_BYTES = 1_024  # a frame just over our own bound still gets our own answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process to keep running.

    Children of a lower `stop_stage` are stopped first: nothing new comes in, then work ends, then
    what work uses.
    """

    name: str
    role: ProcessRole
    command: tuple[str, ...]
    stop_stage: int
    stop_seconds: float = 12.0
    variables: tuple[tuple[str, str], ...] = ()
    runs_once: bool = False  # it ends by itself, and is not started again
    stop_signal: signal.Signals = signal.SIGTERM


def list_children(launch: Launch) -> tuple[Child, ...]:
    """Return every process beside the database and Redis, in the order of starting."""
    history = (_make_history(),) if launch.demo_history else ()
    return (*_list_servers(launch), *history)


def _make_history() -> Child:
    """Return what plays the demo's stories over the API, as soon as that answers."""
    return Child(
        name="history",
        role=ProcessRole.COMMAND,
        command=(sys.executable, "-m", "examples.demo.history"),
        stop_stage=0,
        runs_once=True,
    )


def _list_servers(launch: Launch) -> tuple[Child, ...]:
    python = sys.executable
    celery = (
        *(python, "-W", "ignore:You're running the worker with superuser privileges"),
        *("-m", "celery", "--quiet", "--app", "core.celery", "worker", "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle"),
    )
    queues = ",".join(["engine", *(f"engine.{label}" for label in launch.worker_queues)])
    # A worker that is told to stop lets go of long steps; their runs are taken over later.
    softly = (("REMAP_SIGTERM", "SIGQUIT"),)
    return (
        Child(
            name="target",
            role=ProcessRole.COMMAND,
            command=(
                *(python, "-m", "examples.release.target"),
                *("--port", str(launch.target_port), "--var", str(launch.var)),
            ),
            stop_stage=3,
        ),
        Child(
            name="web",
            role=ProcessRole.WEB,
            command=(
                *(python, "-m", "uvicorn", "core.asgi:application"),
                *("--host", _HOST, "--port", str(launch.port)),
                *("--no-access-log", "--no-server-header", "--no-proxy-headers"),
                *("--ws-max-size", str(limits.SOCKET_FRAME_BYTES_MAX + _SOCKET_PROTOCOL_BYTES)),
                *("--lifespan", "off"),
                *("--timeout-graceful-shutdown", str(_DRAIN_SECONDS)),
            ),
            stop_stage=1,
        ),
        Child(
            name="worker",
            role=ProcessRole.WORKER,
            command=(
                *celery,
                *("--queues", queues, "--concurrency", str(launch.worker_count)),
                *("--hostname", "engine@%h"),
            ),
            stop_stage=2,
            variables=softly,
        ),
        Child(
            name="mailer",
            role=ProcessRole.MAILER,
            command=(
                *celery,
                *("--queues", "mail", "--concurrency", "1", "--hostname", "mail@%h"),
            ),
            stop_stage=2,
            variables=softly,
        ),
        Child(
            name="sweep",
            role=ProcessRole.SWEEP,
            command=(python, "manage.py", "sweep"),
            stop_stage=1,
        ),
        *_list_clerks(python),
    )


def _list_clerks(python: str) -> tuple[Child, ...]:
    """Return the processes that look after the ledger."""
    return (
        Child(
            name="sealer",
            role=ProcessRole.SEALER,
            command=(python, "manage.py", "ledger", "seal", "--forever"),
            stop_stage=3,  # what the others write last is sealed too
        ),
        Child(
            name="keeper",
            role=ProcessRole.KEEPER,
            command=(python, "manage.py", "ledger", "keep"),
            stop_stage=1,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A command to run to its end before anything else starts.

    What it says is shown when it fails, and otherwise when everything is `ready`, if it is worth
    showing then.
    """

    name: str
    command: tuple[str, ...]
    is_shown_when_ready: bool


def list_preparations() -> tuple[Preparation, ...]:
    """Return the preparations, in order; each does nothing when it was done before."""
    manage = (sys.executable, "manage.py")
    return (
        Preparation(
            name="migrate",
            command=(*manage, "migrate", "--no-input"),
            is_shown_when_ready=False,
        ),
        Preparation(
            name="keys",
            command=(*manage, "ledger", "keygen"),
            is_shown_when_ready=False,
        ),
        Preparation(
            name="static",
            command=(*manage, "collectstatic", "--no-input", "--verbosity", "0"),
            is_shown_when_ready=False,
        ),
        Preparation(name="demo", command=(*manage, "load_demo"), is_shown_when_ready=True),
    )
