"""A server that answers from a table, and the command line entered as somebody types it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner, Result

from countersign.cli.main import countersign
from tests.loopback import Answer, Received, Site, serve

TOKEN = "cs_" + "5" * 64
RUN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
REQUEST_ID = "01890a5d-b1f2-7d7e-9a51-6a4c2d0e8f11"


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    kind = "application/problem+json" if status >= 400 else "application/json"
    return Answer(
        status=status, headers={"Content-Type": kind, **headers}, body=json.dumps(body).encode()
    )


def problem(status: int, **body: Any) -> Answer:
    return answer({"code": "x.y", "title": "No.", "status": status, **body}, status)


Reply = Any | Callable[[Received], Any]


@dataclass
class Server:
    """A site with an answer for each `METHOD path`; the query does not count."""

    site: Site
    table: dict[str, Reply] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.site.answer = self._answer

    def on(self, address: str, reply: Reply) -> None:
        """Answer an address, such as `GET runs/`: JSON, an `Answer`, or what a function says."""
        self.table[address] = reply

    def bodies(self, address: str) -> list[Any]:
        """Return what was sent to an address."""
        return [json.loads(item.body) for item in self.received(address)]

    def received(self, address: str) -> list[Received]:
        return [item for item in self.site.received if _address(item) == address]

    def _answer(self, received: Received) -> Answer:
        reply = self.table.get(_address(received))
        if callable(reply):
            reply = reply(received)
        if reply is None:
            return problem(404, code="api.not_found", detail=f"nothing at {_address(received)}")
        return reply if isinstance(reply, Answer) else answer(reply)


def _address(received: Received) -> str:
    return f"{received.method} {received.path.partition('?')[0].removeprefix('/api/v1/')}"


@pytest.fixture
def server():
    for site in serve("127.0.0.1"):
        yield Server(site=site)


@pytest.fixture
def type_in(server, tmp_path, monkeypatch) -> Callable[..., Result]:
    """Type a command as somebody with a token and a project, and return how it ended."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COUNTERSIGN_URL", server.site.url)
    monkeypatch.setenv("COUNTERSIGN_TOKEN", TOKEN)
    monkeypatch.setenv("COUNTERSIGN_PROJECT", "shop")
    monkeypatch.delenv("COUNTERSIGN_PROFILE", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")

    def enter(*args: str, text: str | None = None) -> Result:
        return CliRunner().invoke(countersign, [str(arg) for arg in args], input=text)

    return enter


def a_run(**changes: Any) -> dict[str, Any]:
    """Return a run as the API shows it."""
    run = {
        "id": RUN_ID,
        "number": 7,
        "project": "shop",
        "workflow": "release",
        "title": "Release 1.4.0",
        "status": "CLOSED",
        "outcome": "succeeded",
        "initiator": "mara",
        "created_at": "2026-01-01T12:00:00Z",
        "closed_at": None,
        "seq": 5,
        "head": "ab" * 32,
        "inputs": {},
        "outputs": {"version": "1.4.0"},
        "steps": [a_step()],
        "hidden_step_count": 0,
    }
    return run | changes


def a_step(**changes: Any) -> dict[str, Any]:
    step = {
        "key": "scan#1",
        "step": "scan",
        "verb": "python/call@1",
        "status": "ended",
        "outcome": "succeeded",
        "attempt": 1,
        "error": None,
        "why": "",
        "progress": None,
        "waits_for": [],
    }
    return step | changes


def a_request(**changes: Any) -> dict[str, Any]:
    """Return an approval request as the API shows it in detail."""
    request = {
        "id": REQUEST_ID,
        "number": 12,
        "title": "Release 1.4.0 to production",
        "kind": "deploy",
        "risk": "medium",
        "amount": None,
        "status": "open",
        "outcome": "",
        "project": "shop",
        "workflow": "release",
        "run_id": RUN_ID,
        "requester_name": "Mara",
        "round": 1,
        "stage": "peer",
        "approval_count": 0,
        "needed_count": 1,
        "expires_at": None,
        "digest": "cd" * 32,
        "subject": {"version": "1.4.0", "files": ["a", "b"]},
        "if_approved": "It is deployed.",
        "if_rejected": "Nothing happens.",
        "choices": [
            {"choice": "approve", "consequence": "It is deployed."},
            {"choice": "reject", "consequence": "Nothing happens."},
        ],
        "confirm": "",
        "form_schema": {"type": "object", "properties": {"ticket": {"type": "string"}}},
        "form_values": None,
        "rule_words": ["One of the engineers approves."],
    }
    return request | changes


def a_decision(**changes: Any) -> dict[str, Any]:
    decision = {
        "request_id": REQUEST_ID,
        "number": 12,
        "decision": "approve",
        "status": "closed",
        "outcome": "approved",
        "approval_count": 1,
        "needed_count": 1,
        "replayed": False,
    }
    return decision | changes
