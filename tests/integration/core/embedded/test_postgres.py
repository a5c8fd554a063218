"""A PostgreSQL of our own: in any folder, as anybody, and again after every kind of death."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from core.settings.env import BASE_DIR
from core.toolkit.embedded import process
from core.toolkit.embedded.postgres import (
    Disguise,
    choose_disguise,
    ordinary_account,
    start_postgres,
)
from core.toolkit.embedded.postgres_programs import find_programs
from core.toolkit.embedded.process import EmbeddedServerError

_ROOT = os.geteuid() == 0


def _make_short_folder():
    # pytest's own folders are too long for sockets.
    return Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())


@pytest.fixture
def sockets():
    folder = _make_short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def other_sockets():
    folder = _make_short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(tmp_path, sockets, other_sockets):
    """Start servers that are stopped after the test."""
    servers = []

    def start_one(folder=tmp_path / "postgres", **options):
        log = tmp_path / "postgres.log"
        server = start_postgres(
            folder=folder,
            socket_folder=options.pop("socket_folder", sockets),
            log=log,
            durable=False,
            **options,
        )
        servers.append(server)
        return server

    yield start_one
    for server in servers:
        server.stop()


def _write(server, text):
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [text])


def _read(server):
    with psycopg.connect(server.url) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM kept ORDER BY text")]


def test_data_is_there_again_after_a_stop(start):
    first = start()
    _write(first, "one")
    first.stop()

    assert _read(start()) == ["one"]


def test_it_runs_in_a_long_path_with_spaces_and_quotes(start, tmp_path):
    folder = tmp_path / ("a 'long' \"name\", " + "x" * 150) / ("y" * 150) / "post gres"

    server = start(folder)

    _write(server, "one")
    assert _read(server) == ["one"]


def test_a_folder_below_one_that_only_we_may_enter_is_no_obstacle(start, tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    _write(start(private / "postgres"), "one")

    assert (private / "postgres").stat().st_mode & 0o777 == 0o700


def test_it_does_not_listen_on_the_network(start):
    server = start()

    with psycopg.connect(server.url) as connection:
        row = connection.execute("SHOW listen_addresses").fetchone()

    assert row == ("",)


def test_the_role_of_the_platform_is_no_superuser_and_owns_its_database(start):
    with psycopg.connect(start().url) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreatedb, pg_get_userbyid(datdba) = rolname"
            " FROM pg_roles, pg_database WHERE rolname = current_user"
            " AND datname = current_database()"
        ).fetchone()

    assert row == (False, True, True)


def test_letters_of_all_languages_have_a_case(start):
    with psycopg.connect(start().url) as connection:
        row = connection.execute("SELECT upper('grüße δ'), 'É' ILIKE 'é'").fetchone()

    assert row == ("GRÜßE Δ", True)


def test_it_starts_again_after_being_killed(start):
    server = start()
    _write(server, "one")
    os.kill(server.program.pid, signal.SIGKILL)
    assert process.wait_until_gone(server.program.pid, seconds=10)

    assert _read(start()) == ["one"]


def test_a_process_number_that_another_program_has_now_is_no_obstacle(start, tmp_path):
    server = start()
    _write(server, "one")
    os.kill(server.program.pid, signal.SIGKILL)
    assert process.wait_until_gone(server.program.pid, seconds=10)
    pid_file = tmp_path / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))

    assert _read(start()) == ["one"]


@pytest.mark.parametrize("text", ["", "\n", "no number\n"])
def test_a_damaged_process_file_is_left_to_postgresql(start, tmp_path, text):
    start().stop()
    (tmp_path / "postgres" / "postmaster.pid").write_text(text)

    try:
        start()
    except EmbeddedServerError as error:
        assert "postmaster.pid" in str(error)  # noqa: PT017  # either outcome is fine, silence is not


def test_a_server_that_outlived_its_supervisor_is_replaced(start, tmp_path, other_sockets):
    start().stop()
    orphan = subprocess.Popen(
        [
            *choose_disguise().prefix,
            str(find_programs().postgres),
            *(
                "-D",
                str(tmp_path / "postgres"),
                "-c",
                "listen_addresses=",
                "-k",
                str(other_sockets),
            ),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pid_file = tmp_path / "postgres" / "postmaster.pid"
    deadline = time.monotonic() + 20
    while not pid_file.exists() or len(pid_file.read_text().splitlines()) < 8:
        assert time.monotonic() < deadline
        assert orphan.poll() is None

    server = start()

    _write(server, "one")
    assert orphan.wait(timeout=5) == 0


def test_half_an_initialization_is_thrown_away(start, tmp_path):
    leftover = tmp_path / "postgres.new-0badcafe"
    leftover.mkdir()
    (leftover / "PG_VERSION").write_text("18")

    _write(start(), "one")

    assert not leftover.exists()


def test_a_folder_of_other_things_is_refused(start, tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "letter.txt").write_text("dear")

    with pytest.raises(EmbeddedServerError, match="holds no data of PostgreSQL"):
        start()

    assert (tmp_path / "postgres" / "letter.txt").read_text() == "dear"


def test_data_of_a_version_that_is_not_installed_is_refused_with_what_to_do(start, tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("13\n")

    with pytest.raises(EmbeddedServerError) as caught:
        start()

    assert "PostgreSQL 13 is needed" in str(caught.value)
    assert "DATABASE_URL" in str(caught.value)


def test_why_it_did_not_start_is_said(start, tmp_path):
    start().stop()
    (tmp_path / "postgres" / "postgresql.conf").write_text("max_connections = many\n")

    with pytest.raises(EmbeddedServerError, match="max_connections"):
        start()


def test_two_run_side_by_side(start, tmp_path, other_sockets):
    first = start()
    second = start(tmp_path / "second", socket_folder=other_sockets)
    _write(first, "one")
    _write(second, "two")

    assert (_read(first), _read(second)) == (["one"], ["two"])


_AS_ORDINARY_USER = """
import os, sys
from pathlib import Path
from core.toolkit.embedded.postgres import choose_disguise, start_postgres
import psycopg
assert os.geteuid() != 0
assert choose_disguise().prefix == ()
server = start_postgres(
    folder=Path(sys.argv[1]) / "postgres", socket_folder=Path(sys.argv[2]), log=Path(sys.argv[3])
)
with psycopg.connect(server.url) as connection:
    print(connection.execute("SELECT 40 + 2").fetchone()[0])
server.stop()
"""


def test_an_ordinary_user_can_run_it(tmp_path, sockets):
    # In a user namespace root is an ordinary user who happens to own these folders.
    prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if _ROOT else []

    done = subprocess.run(
        [*prefix, sys.executable, "-c", _AS_ORDINARY_USER, tmp_path, sockets, tmp_path / "log"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("42\n", "")


@pytest.mark.skipif(not _ROOT, reason="only root can become another account")
class TestWhereUserNamespacesAreForbidden:
    """The way of last resort: root hands the data to the account `nobody`."""

    @pytest.fixture
    def open_folder(self):
        """A folder everybody may enter; pytest's own are private."""
        folder = _make_short_folder()
        folder.chmod(0o755)
        yield folder
        shutil.rmtree(folder)

    @pytest.fixture
    def nobody(self):
        return Disguise(account=ordinary_account())

    def test_it_runs_as_nobody(self, start, open_folder, nobody):
        server = start(open_folder / "postgres", disguise=nobody)

        _write(server, "one")
        assert (open_folder / "postgres").stat().st_uid == ordinary_account().user

    def test_data_moves_between_the_two_ways(self, start, open_folder, nobody):
        first = start(open_folder / "postgres")
        _write(first, "one")
        first.stop()
        second = start(open_folder / "postgres", disguise=nobody)
        _write(second, "two")
        second.stop()
        third = start(open_folder / "postgres")

        assert _read(third) == ["one", "two"]

    def test_a_folder_nobody_may_enter_is_named(self, start, open_folder, nobody):
        (open_folder / "closed").mkdir(mode=0o700)

        with pytest.raises(EmbeddedServerError, match=r"cannot enter .*/closed") as caught:
            start(open_folder / "closed" / "postgres", disguise=nobody)

        assert "VAR" in str(caught.value)
