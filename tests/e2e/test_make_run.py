"""`make run`: a whole system from one command, in an awkward folder, through every kind of death.

Runs the supervisor itself, which is all that `make run` does after installing.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from core.settings.env import BASE_DIR
from core.toolkit.embedded import process
from examples.demo.cast import PASSWORD

pytestmark = [pytest.mark.processes, pytest.mark.timeout(1_200)]

_SECONDS = 300  # of patience, for any single thing; a busy machine needs some


class System:
    """A supervisor that was started, and what it prints."""

    def __init__(self, var, log):
        self.var = var
        self.log = log
        self.port = _free_port()
        # Nothing of the tests' own servers may reach it.
        hidden = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_XDIST_WORKER")
        self.variables = {key: value for key, value in os.environ.items() if key not in hidden} | {
            "VAR": str(var),
            "PORT": str(self.port),
            "TARGET_PORT": str(_free_port()),
            "DEMO_HISTORY": "no",
        }
        with log.open("ab") as output:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "core.supervisor"],
                cwd=BASE_DIR,
                env=self.variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def printed(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, text):
        self.wait_until(lambda: text in self.printed())

    def wait_until(self, holds):
        deadline = time.monotonic() + _SECONDS
        while not holds():
            assert self.supervisor.poll() is None, self.printed()
            assert time.monotonic() < deadline, self.printed()
            time.sleep(0.05)

    def status_of(self, path):
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=15
            ) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    def connect(self):
        state = json.loads((self.var / "embedded.json").read_text())
        return psycopg.connect(state["database_url"])

    def manage(self, *arguments):
        by_hand = {
            key: value
            for key, value in self.variables.items()
            if key not in ("PORT", "TARGET_PORT")
        }
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=by_hand,
            capture_output=True,
            text=True,
            check=False,
        )

    def stop(self, number=signal.SIGINT):
        self.supervisor.send_signal(number)
        return self.supervisor.wait(timeout=_SECONDS)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _family_of(pid):
    """Return the processes a process has started, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_family_of(child)]
    return found


def _find(pid, text):
    return [child for child in _family_of(pid) if text in process.command_of(child)]


@contextmanager
def _running(var, log):
    system = System(var, log)
    try:
        system.wait_for("ready: ")
        yield system
    finally:
        if system.supervisor.poll() is None:
            system.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("make run") / ("deep " * 10) / ("deeper " * 10)


@pytest.fixture(scope="module")
def system(folder):
    """One running system for the tests that leave it running."""
    folder.mkdir(parents=True)
    with _running(folder / "var", folder / "log") as running:
        yield running


def test_it_prints_its_address_and_the_accounts(system):
    system.wait_for("accounts")

    _, found, news = system.printed().partition(f"ready: http://127.0.0.1:{system.port}/")
    assert found
    assert "accounts" in news


def test_it_is_alive_and_ready(system):
    assert system.status_of("/healthz") == 200
    assert system.status_of("/readyz") == 200
    assert system.status_of("/api/v1/me/") == 401


def test_commands_by_hand_find_the_running_servers(system):
    done = system.manage("check", "--database", "default")

    assert done.returncode == 0, done.stderr


def _make_token(system):
    body = json.dumps({"username": "ada", "password": PASSWORD}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{system.port}/api/v1/auth/token/",
        data=body,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["token"]


def test_a_real_socket_opens_for_a_token_and_for_nobody_else(system):
    address = f"ws://127.0.0.1:{system.port}/ws/"
    headers = {"Authorization": f"Token {_make_token(system)}"}

    with connect(address, additional_headers=headers) as socket_with_token:
        socket_with_token.send('{"subscribe": "inbox"}')
        assert json.loads(socket_with_token.recv(timeout=60))["type"] == "subscribed"
        socket_with_token.send("x" * 5_000)
        assert json.loads(socket_with_token.recv(timeout=60))["type"] == "error"
        socket_with_token.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as too_big:
            socket_with_token.recv(timeout=60)
    with (
        connect(address, additional_headers={"Authorization": "Token cs_0"}) as stranger,
        pytest.raises(ConnectionClosed) as unknown,
    ):
        stranger.recv(timeout=60)
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, origin=Origin("https://evil.example"), additional_headers=headers)

    assert too_big.value.rcvd
    assert too_big.value.rcvd.code == 1009
    assert unknown.value.rcvd
    assert unknown.value.rcvd.code == 4401


def test_what_it_keeps_secret_only_its_account_can_read(system):
    for name in ("secret_key", "embedded.json"):
        assert (system.var / name).stat().st_mode & 0o077 == 0


def test_a_second_one_on_the_same_folder_says_what_to_do(system, folder):
    second = System(system.var, folder / "second log")

    assert second.supervisor.wait(timeout=_SECONDS) == 1
    assert "Another process already runs servers in" in second.printed()
    assert (system.var / "embedded.json").exists()
    assert system.status_of("/readyz") == 200


def test_a_port_in_use_is_named_with_a_free_one(system, folder):
    done = subprocess.run(
        [sys.executable, "-m", "core.supervisor"],
        cwd=BASE_DIR,
        env={**system.variables, "VAR": str(folder / "third")},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )

    assert done.returncode == 1
    assert f"Port {system.port} is in use" in done.stdout
    assert "make run PORT=" in done.stdout
    assert not (folder / "third").exists()


def test_a_killed_process_is_started_again(system):
    (web,) = _find(system.supervisor.pid, "uvicorn")

    os.kill(web, signal.SIGKILL)

    system.wait_for("web ended (SIGKILL); starting it again")
    system.wait_until(lambda: system.status_of("/healthz") == 200)


def test_a_killed_redis_is_started_again(system):
    (server,) = _find(system.supervisor.pid, "redis-server")

    os.kill(server, signal.SIGKILL)

    system.wait_for("Redis ended; starting it again")
    system.wait_until(lambda: system.status_of("/readyz") == 200)


def test_a_killed_database_is_started_again(system):
    server = int((system.var / "postgres" / "postmaster.pid").read_text().split()[0])

    os.kill(server, signal.SIGKILL)

    system.wait_for("PostgreSQL ended; starting it again")
    system.wait_until(lambda: system.status_of("/readyz") == 200)


def _assert_stopped_cleanly(system, family, status):
    assert status == 0
    assert system.printed().rstrip().endswith("stopped")
    assert "killing it" not in system.printed()
    assert [pid for pid in family if process.is_alive(pid)] == []
    assert not (system.var / "embedded.json").exists()


def test_data_survives_every_way_to_stop_and_no_process_does(tmp_path):
    var = tmp_path / "var"

    with _running(var, tmp_path / "first") as first:
        with first.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        family = _family_of(first.supervisor.pid)
        assert len(family) > 10
        _assert_stopped_cleanly(first, family, first.stop(signal.SIGINT))

    with _running(var, tmp_path / "second") as second:
        with second.connect() as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (42,)
        family = _family_of(second.supervisor.pid)
        second.stop(signal.SIGKILL)
    for pid in family:
        assert process.wait_until_gone(pid, seconds=120), process.command_of(pid)

    with _running(var, tmp_path / "third") as third:
        with third.connect() as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (42,)
        family = _family_of(third.supervisor.pid)
        _assert_stopped_cleanly(third, family, third.stop(signal.SIGTERM))
