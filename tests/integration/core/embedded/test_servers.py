"""Both servers on one folder: one process at a time, and nothing left behind."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
import redis

from core.settings.env import BASE_DIR, find_running_servers
from core.toolkit.embedded import process
from core.toolkit.embedded.folders import remove_socket_folder
from core.toolkit.embedded.process import EmbeddedServerError
from core.toolkit.embedded.servers import announce, remove_abandoned, start_servers


@pytest.fixture
def start():
    """Start servers that are stopped after the test."""
    started = []

    def start_one(folder, **options):
        servers = start_servers(folder=folder, durable=False, **options)
        started.append(servers)
        return servers

    yield start_one
    for servers in started:
        servers.stop()


def _ask_database(servers):
    with psycopg.connect(servers.database_url) as connection:
        return connection.info.backend_pid


def _ask_redis(servers):
    with redis.Redis.from_url(servers.redis_url) as client:
        return client.ping()


def _socket_folder(servers):
    return Path(unquote(urlsplit(servers.redis_url).path)).parent


def test_both_answer_and_leave_nothing_behind(start, tmp_path):
    servers = start(tmp_path / "var with space")
    folder = _socket_folder(servers)

    assert _ask_database(servers)
    assert _ask_redis(servers)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    servers.stop()

    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        _ask_database(servers)


def test_a_folder_is_used_by_one_process_at_a_time(start, tmp_path):
    first = start(tmp_path)

    with pytest.raises(EmbeddedServerError, match="Another process already runs servers in"):
        start(tmp_path)

    assert _ask_database(first)
    first.stop()
    assert _ask_database(start(tmp_path))


def test_two_folders_are_used_side_by_side(start, tmp_path):
    one, two = start(tmp_path / "one"), start(tmp_path / "two")

    assert _ask_database(one) != _ask_database(two)


def test_given_addresses_are_used_and_nothing_is_started(start, tmp_path):
    servers = start(
        tmp_path, database_url="postgresql://elsewhere/db", redis_url="redis://elsewhere"
    )

    assert servers.database_url == "postgresql://elsewhere/db"
    assert servers.redis_url == "redis://elsewhere"
    assert not (tmp_path / "postgres").exists()


def test_a_server_that_dies_can_be_started_again_at_its_address(start, tmp_path):
    servers = start(tmp_path)
    with redis.Redis.from_url(servers.redis_url) as client:
        redis_pid = client.info("server")["process_id"]
    postgres_pid = int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0])
    assert servers.find_ended() == {}

    for pid in (redis_pid, postgres_pid):
        os.kill(pid, signal.SIGKILL)
        assert process.wait_until_gone(pid, seconds=10)
    assert set(servers.find_ended()) == {"Redis", "PostgreSQL"}
    for name in servers.find_ended():
        servers.start_again(name)

    assert servers.find_ended() == {}
    assert _ask_redis(servers)
    assert _ask_database(servers)


_RUN_AND_WAIT = """
import sys, time
from pathlib import Path
from core.toolkit.embedded.servers import start_servers
servers = start_servers(folder=Path(sys.argv[1]), durable=False)
print(servers.redis_url, flush=True)
time.sleep(600)
"""


@pytest.fixture
def killed(tmp_path):
    """The folder and the sockets of a process that was killed while its servers ran."""
    folder = tmp_path / "parent" / "child"
    with subprocess.Popen(
        [sys.executable, "-c", _RUN_AND_WAIT, folder],
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        sockets = Path(urlsplit(child.stdout.readline().strip()).path).parent
        server = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        child.kill()
        child.wait()
    yield folder, sockets, server
    assert process.wait_until_gone(server, seconds=20)
    remove_socket_folder(sockets)


def test_servers_end_with_the_process_that_started_them(killed):
    _, _, server = killed

    assert process.wait_until_gone(server, seconds=20)


def test_after_a_kill_the_folder_works_at_once(start, killed):
    folder, sockets, _ = killed

    servers = start(folder)

    assert _ask_database(servers)
    assert not sockets.exists()


def test_abandoned_folders_are_removed_and_used_ones_are_not(start, killed):
    folder, sockets, server = killed
    used = start(folder.parent / "used")

    remove_abandoned(folder.parent, age_seconds=-1)

    assert not process.is_alive(server)
    assert not folder.exists()
    assert not sockets.exists()
    assert _ask_database(used)


def test_a_young_folder_is_left_to_whoever_just_made_it(killed):
    folder, _, _ = killed

    remove_abandoned(folder.parent)

    assert folder.exists()


def test_an_announcement_is_private_and_can_be_read_back(start, tmp_path):
    servers = start(tmp_path)
    path = tmp_path / "embedded.json"

    announce(path=path, servers=servers)

    found = find_running_servers(var=tmp_path)
    assert found
    assert (found.database_url, found.redis_url) == (servers.database_url, servers.redis_url)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["pid"] == os.getpid()
    assert [item.name for item in tmp_path.glob("embedded.json*")] == ["embedded.json"]


def test_a_data_folder_that_cannot_be_made_is_refused_with_what_to_do(start, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(EmbeddedServerError, match="Set VAR to another"):
        start(tmp_path / "file" / "var")
