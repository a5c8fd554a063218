"""How commands end when something is wrong: one message, a code, an exit code, no traceback."""

import json
import socket
import subprocess
import sys

import pytest

from tests.integration.countersign.conftest import TOKEN, a_run, answer, problem
from tests.loopback import Answer


def _ends(result, code, said):
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "Traceback" not in result.output
    assert TOKEN not in result.output


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_without_a_server_it_says_where_it_looked(type_in, closed_port, monkeypatch):
    monkeypatch.setenv("COUNTERSIGN_URL", closed_port)

    _ends(type_in("runs"), 3, f"no server answers at {closed_port}")
    _ends(type_in("runs"), 3, "[cli.no_server]")


def test_a_wrong_token_is_not_permitted(type_in, server):
    server.on("GET runs/", problem(401, code="api.not_authenticated", detail="Who are you?"))

    _ends(type_in("runs"), 4, "Who are you? [api.not_authenticated]")


def test_a_refusal_names_the_servers_code(type_in, server):
    server.on("GET runs/", problem(403, code="access.forbidden", detail="You may not."))
    _ends(type_in("runs"), 4, "[access.forbidden]")

    server.on("GET runs/", problem(409, code="engine.run_closed", detail="It is over."))
    _ends(type_in("runs"), 1, "It is over. [engine.run_closed]")


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (
            Answer(headers={"Content-Type": "text/html"}, body=b"<html>Welcome to nginx"),
            3,
            "[client.not_the_api]",
        ),
        (
            Answer(status=502, headers={"Content-Type": "text/html"}, body=b"<html>Bad gateway"),
            3,
            "answered 502",
        ),
        (Answer(status=302, headers={"Location": "https://elsewhere.example/"}), 3, "elsewhere"),
        (answer([1, 2]), 3, "[client.not_the_api]"),
    ],
    ids=["html", "gateway", "redirect", "other json"],
)
def test_what_is_not_the_api_is_told_from_a_refusal(type_in, server, reply, code, said):
    server.on("GET runs/", reply)

    _ends(type_in("runs"), code, said)


def test_a_redirect_does_not_get_the_token(type_in, server):
    server.on("GET runs/", Answer(status=307, headers={"Location": "/api/v1/elsewhere/"}))

    type_in("runs")

    assert server.received("GET elsewhere/") == []


def test_a_server_that_does_not_answer_in_time_is_left(type_in, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("COUNTERSIGN_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")

        _ends(type_in("runs", "--request-timeout", "0.2"), 3, "[cli.timeout]")


def test_a_connection_that_is_not_secure_is_named(type_in, server, monkeypatch):
    # A server without TLS where TLS is expected, as behind a proxy that ends it elsewhere.
    monkeypatch.setenv("COUNTERSIGN_URL", server.site.url.replace("http:", "https:"))

    _ends(type_in("runs"), 3, "[cli.tls]")


def test_json_is_the_only_thing_on_standard_output(type_in, server):
    server.on("GET runs/", problem(403, code="access.forbidden", detail="You may not."))

    result = type_in("runs", "--json")

    assert result.exit_code == 4
    assert json.loads(result.stdout) == {
        "error": {"code": "access.forbidden", "message": "You may not.", "status": 403}
    }


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nonsense"], "No such command"),
        (["runs", "--limit", "many"], "--limit"),
        (["run"], "Missing argument"),
        (["run", "release", "-i", "novalue"], "write inputs as key=value"),
        (["watch", "not-a-run"], "neither the id of a run nor its number"),
        (["lint", "/nowhere/at/all.yaml"], "/nowhere/at/all.yaml"),
        (["runs", "--profile", "nobody"], "there is no profile"),
    ],
)
def test_a_wrong_command_is_usage(type_in, server, args, said):
    server.on("GET workflows/shop/release/", {"published_rev": None})

    _ends(type_in(*args), 2, said)


def test_without_url_or_token_it_says_how_to_give_them(type_in, monkeypatch):
    monkeypatch.delenv("COUNTERSIGN_TOKEN")
    _ends(type_in("runs"), 4, "countersign login")

    monkeypatch.delenv("COUNTERSIGN_URL")
    _ends(type_in("runs"), 2, "[cli.no_url]")


def test_an_address_that_is_none_is_usage(type_in, monkeypatch):
    monkeypatch.setenv("COUNTERSIGN_URL", "ftp://example.org")

    _ends(type_in("runs"), 2, "[cli.bad_url]")


def test_others_words_cannot_move_the_cursor(type_in, server):
    server.on("GET runs/", {"items": [a_run(title="ok\x1b[2Jgone \u202egnp")], "next": None})

    result = type_in("runs")

    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "ok\ufffd[2Jgone" in result.stdout


def test_it_works_in_a_pipe_that_is_closed_early(server, tmp_path, type_in):
    items = [a_run(number=number) for number in range(1000)]
    server.on("GET runs/", {"items": items, "next": None})

    done = subprocess.run(
        f"'{sys.executable}' -m countersign runs --limit 1000 | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.startswith("number")
    assert done.stderr == ""
