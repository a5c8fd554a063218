"""Keeping addresses and tokens: for their owner alone, and never shown."""

import json
import stat

import pytest

from countersign.cli import profiles
from tests.integration.countersign.conftest import TOKEN, problem

ME = {"username": "mara", "name": "Mara", "kind": "person", "token": None}


@pytest.fixture
def without_variables(monkeypatch, type_in):
    for name in ("COUNTERSIGN_URL", "COUNTERSIGN_TOKEN", "COUNTERSIGN_PROJECT"):
        monkeypatch.delenv(name)


@pytest.fixture
def logged_in(without_variables, type_in, server):
    server.on("GET me/", ME)
    result = type_in("login", "--url", server.site.url, "--project", "shop", text=f"{TOKEN}\n")
    assert result.exit_code == 0, result.output
    return result


def test_a_token_is_checked_and_kept_for_its_owner_alone(logged_in, type_in, server):
    path = profiles.settings_path()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    assert TOKEN not in logged_in.output
    assert "Mara (mara)" in logged_in.output

    whoami = type_in("whoami", "--json")
    assert json.loads(whoami.stdout) == ME | {"url": server.site.url, "profile": "default"}
    assert server.site.received[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_what_a_token_lets_through_is_said(logged_in, type_in, server):
    token = {"id": "t-1", "permissions": ["view_project"], "project_id": "p-1"}
    server.on("GET me/", ME | {"token": token})

    said = type_in("whoami").stdout.splitlines()

    assert said[1:] == ["token: t-1", "only in the project p-1", "only: view_project"]


def test_a_token_the_server_does_not_know_is_not_kept(without_variables, type_in, server):
    server.on("GET me/", problem(401, code="api.not_authenticated"))

    result = type_in("login", "--url", server.site.url, text=f"{TOKEN}\n")

    assert result.exit_code == 4
    assert not profiles.settings_path().exists()


def test_a_password_is_exchanged_for_a_token(without_variables, type_in, server):
    server.on("POST auth/token/", {"token": TOKEN, "id": "t"})
    server.on("GET me/", ME)

    result = type_in("login", "--url", server.site.url, "--user", "mara", text="secret\n")

    assert result.exit_code == 0, result.output
    assert server.bodies("POST auth/token/")[0]["password"] == "secret"
    assert "secret" not in result.output + profiles.settings_path().read_text()


def test_a_kept_token_is_not_sent_to_another_server(logged_in, type_in):
    result = type_in("runs", "--url", "http://127.0.0.1:9")

    assert result.exit_code == 4
    assert "[cli.no_token]" in result.output


def test_profiles_are_listed_without_their_tokens(logged_in, type_in, server):
    shown = json.loads(type_in("profiles", "--json").stdout)

    assert shown["items"] == [
        {
            "name": "default",
            "url": server.site.url,
            "project": "shop",
            "has_token": True,
            "is_default": True,
        }
    ]
    assert TOKEN not in type_in("profiles").output


def test_a_second_profile_is_chosen_by_its_name(logged_in, type_in, server, monkeypatch):
    other = "cs_" + "7" * 64
    again = type_in(
        "login", "--url", server.site.url, "--name", "admin", "--keep", text=f"{other}\n"
    )
    assert again.exit_code == 0, again.output

    type_in("whoami")
    assert server.site.received[-1].headers["authorization"] == f"Bearer {TOKEN}"
    type_in("whoami", "--profile", "admin")
    assert server.site.received[-1].headers["authorization"] == f"Bearer {other}"
    monkeypatch.setenv("COUNTERSIGN_PROFILE", "admin")
    type_in("whoami")
    assert server.site.received[-1].headers["authorization"] == f"Bearer {other}"


def test_a_file_that_others_may_read_is_warned_of(logged_in, type_in):
    assert "warning" not in type_in("whoami").stderr
    profiles.settings_path().chmod(0o644)

    assert "others may read" in type_in("whoami").stderr


def test_forgetting_a_profile_takes_its_token_out_of_the_file(logged_in, type_in):
    assert type_in("logout").exit_code == 0

    assert TOKEN not in profiles.settings_path().read_text()
    assert type_in("logout").exit_code == 2


@pytest.mark.parametrize(
    "text", ["default = [", "default = 1", "[profiles.x]\nurl = 1", "profiles = 3"]
)
def test_a_broken_file_is_named(without_variables, type_in, text):
    path = profiles.settings_path()
    path.parent.mkdir(parents=True)
    path.write_text(text)

    result = type_in("runs")

    assert result.exit_code == 2
    assert "[cli.bad_config]" in result.output
    assert "config.toml" in result.output
