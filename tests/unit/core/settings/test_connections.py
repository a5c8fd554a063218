"""One address in, what each library wants out."""

import pytest

from core.settings.connections import celery_broker, database
from core.settings.env import PlanCacheMode, ProcessRole


def _database(url, role=ProcessRole.COMMAND):
    return database(url=url, role=role, plan_cache_mode=PlanCacheMode.AUTO, pool_size_max=7)


def test_a_socket_folder_keeps_its_capitals_and_spaces():
    settings = _database("postgresql://owner@%2Ftmp%2FA%20b:5432/countersign")

    assert settings["HOST"] == "/tmp/A b"
    assert (settings["NAME"], settings["USER"], settings["PORT"]) == (
        "countersign",
        "owner",
        "5432",
    )


def test_a_password_is_decoded_and_stays_out_of_the_options():
    settings = _database("postgresql://owner:p%40ss@db/countersign?sslmode=require")

    assert settings["PASSWORD"] == "p@ss"
    assert settings["OPTIONS"]["sslmode"] == "require"
    assert "password" not in settings["OPTIONS"]


def test_only_the_web_has_a_pool_and_only_others_keep_connections():
    web = _database("postgresql://db/x", role=ProcessRole.WEB)
    worker = _database("postgresql://db/x", role=ProcessRole.WORKER)

    assert web["OPTIONS"]["pool"]["max_size"] == 7
    assert web["CONN_MAX_AGE"] == 0
    assert "pool" not in worker["OPTIONS"]
    assert worker["CONN_MAX_AGE"] is None


def test_session_options_of_the_address_are_kept():
    settings = _database("postgresql://db/x?options=-c%20work_mem%3D64MB")

    assert settings["OPTIONS"]["options"].startswith("-c work_mem=64MB -c plan_cache_mode=auto")


def test_statements_are_bound_and_prepared_on_the_server():
    options = _database("postgresql://db/x")["OPTIONS"]

    assert options["server_side_binding"] is True
    assert options["prepare_threshold"] is not None


@pytest.mark.parametrize("url", ["redis://r:6379/2", "rediss://:secret@r:6380/0"])
def test_celery_takes_a_network_address_as_it_is(url):
    assert celery_broker(redis_url=url) == url


def test_celery_is_told_of_a_socket_in_its_own_way():
    broker = celery_broker(redis_url="unix:///tmp/A%20b/redis.sock?db=3")

    assert broker == "redis+socket:///tmp/A%20b/redis.sock?virtual_host=3"


@pytest.mark.parametrize(
    "url", ["unix://:p%40ss@/tmp/redis.sock", "unix:///tmp/redis.sock?password=p%40ss"]
)
def test_a_password_of_a_socket_reaches_celery(url):
    assert celery_broker(redis_url=url) == "redis+socket://:p%40ss@/tmp/redis.sock?virtual_host=0"
