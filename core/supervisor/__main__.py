"""Starts everything, keeps it running, stops it. Read `main` first."""

import http.client
import signal
import socket
import sys
import time
import urllib.request
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import NoReturn

from core.kernel import ids
from core.settings.env import (
    SECRET_FILE_NAME,
    STATE_FILE_NAME,
    Launch,
    ProcessRole,
    SettingsError,
    child_variables,
    load_launch,
)
from core.supervisor.children import Family, describe_status, spawn
from core.supervisor.output import Printer
from core.supervisor.plan import Child, Preparation, list_children, list_preparations
from core.toolkit.embedded.folders import make_data_folder
from core.toolkit.embedded.process import EmbeddedServerError
from core.toolkit.embedded.servers import EmbeddedServers, announce, start_servers

_POLL_SECONDS = 0.1
_READY_SECONDS = 60.0
_HOST = "127.0.0.1"
_SECRET_CHARS = 64
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _RefusedError(Exception):
    """The system cannot start; the message says what to do."""


class _StopRequestedError(BaseException):
    """Somebody asked us to stop. Nothing but `run` catches it."""


def main() -> int:
    """Run a whole system until Ctrl-C or SIGTERM; return the exit status."""
    printer = Printer(colored=False)
    try:
        launch = load_launch()
        printer = Printer(colored=sys.stdout.isatty() and launch.colors_wanted)
        _check_ports(launch)
        return _Supervisor(launch, printer=printer).run()
    except (SettingsError, EmbeddedServerError, _RefusedError) as error:
        printer.say(str(error))
        return 1


class _Supervisor:
    def __init__(self, launch: Launch, *, printer: Printer) -> None:
        self._launch = launch
        self._printer = printer
        self._servers: EmbeddedServers | None = None
        self._family = Family(printer=printer, variables=self._variables)
        self._state = launch.var / STATE_FILE_NAME
        self._news: list[str] = []

    def run(self) -> int:
        for number in _STOP_SIGNALS:
            signal.signal(number, _request_stop)
        try:
            self._start()
            self._watch()
        except _StopRequestedError:
            return 0
        finally:
            self._stop()

    def _start(self) -> None:
        launch = self._launch
        if not (launch.database_url and launch.redis_url):
            self._printer.say(f"starting PostgreSQL and Redis in {launch.var}")
        self._servers = start_servers(
            folder=launch.var, database_url=launch.database_url, redis_url=launch.redis_url
        )
        make_data_folder(launch.var / "static")  # files collected for the web; it may be empty
        _make_secret_key(launch.var / SECRET_FILE_NAME)
        announce(path=self._state, servers=self._servers)
        self._printer.say("preparing the database")
        for preparation in list_preparations():
            self._prepare(preparation)
        for child in list_children(launch):
            self._family.start(child)

    def _prepare(self, preparation: Preparation) -> None:
        name = preparation.name
        child = Child(
            name=name, role=ProcessRole.COMMAND, command=preparation.command, stop_stage=0
        )
        process = spawn(child.command, variables=self._variables(child))
        assert process.stdout is not None
        lines: list[str] = []
        collector = self._printer.collect(process.stdout, lines)
        try:
            status = process.wait()
        except _StopRequestedError:
            process.terminate()
            process.wait()
            raise
        collector.join()
        if status != 0:
            self._printer.say("\n".join(lines), name=name)
            raise _RefusedError(f"{name} failed ({describe_status(status)}); see the lines above.")
        if preparation.is_shown_when_ready:
            self._news.extend(lines)

    def _watch(self) -> NoReturn:
        started = time.monotonic()
        announced = warned = False
        while True:
            self._revive_servers()
            self._family.revive()
            if not announced and _answers(f"http://{_HOST}:{self._launch.port}/healthz"):
                announced = True
                self._printer.say(self._welcome())
            elif not (announced or warned) and time.monotonic() - started > _READY_SECONDS:
                warned = True  # a slow machine is told of all the same, once it is ready
                self._printer.say("the web process does not answer yet; its log lines say why")
            time.sleep(_POLL_SECONDS)

    def _revive_servers(self) -> None:
        assert self._servers is not None
        for name, tail in self._servers.find_ended().items():
            self._printer.say(f"{name} ended; starting it again. Its last lines:\n{tail}")
            self._servers.start_again(name)

    def _stop(self) -> None:
        # From here on the first further signal kills what is left, instead of waiting for it.
        for number in _STOP_SIGNALS:
            signal.signal(number, self._kill)
        self._printer.say("stopping")
        self._family.stop()
        if self._servers is not None:  # else the announcement is not ours
            self._state.unlink(missing_ok=True)
            self._servers.stop()
        self._printer.say("stopped")

    def _kill(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # fixed by signal
        self._family.kill()

    def _variables(self, child: Child) -> dict[str, str]:
        assert self._servers is not None
        return child_variables(
            launch=self._launch,
            database_url=self._servers.database_url,
            redis_url=self._servers.redis_url,
            role=child.role,
        )

    def _welcome(self) -> str:
        address = f"ready: http://{_HOST}:{self._launch.port}/  (Ctrl-C stops everything)"
        return "\n".join((address, *self._news))


def _request_stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # fixed by signal
    raise _StopRequestedError


def _check_ports(launch: Launch) -> None:
    for name, port in (("PORT", launch.port), ("TARGET_PORT", launch.target_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except PermissionError as error:
                raise _RefusedError(
                    f"This account may not listen on port {port}. Set {name} to one over 1023."
                ) from error
            except OSError as error:
                raise _RefusedError(
                    f"Port {port} is in use by another program. Stop it, or set {name} to a free "
                    f"port, for example: make run PORT={_find_free_port()}"
                    + (" VAR=var-2" if name == "PORT" else "")
                ) from error


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _make_secret_key(path: Path) -> None:
    """Write the key that signs sessions, once; only this account can read it."""
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(ids.secret(length=_SECRET_CHARS), encoding="ascii")
    fresh.replace(path)


def _answers(url: str) -> bool:
    # No proxy of the user's has a say about this machine's own address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=1.0) as response:
            return bool(response.status == HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(main())
