"""The demo project in a database, and its stories played there over the API. Read `Stage` first.

Requests go through Django's own test client, and whenever somebody waits, a worker and the sweep do
what is due and time is moved on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client as Browser
from django.test import override_settings

import examples.functions  # noqa: F401  # registers what the definitions name
from core.identity.domain.principal import make_system_principal
from core.identity.models import User
from core.identity.services.tokens import create_token
from core.kernel import ids
from countersign import Client
from engine import loading, store
from engine.driver import Driver
from engine.models import Run
from engine.sweep import sweep_once
from engine.triggers.firing import fire_due
from examples.demo import cast
from examples.playing import Player
from examples.stories import Story, UseCase
from tests.simulation.clockwork import SEARCH_PATH, Clockwork

TARGET = "http://127.0.0.1:8001"
_ROUND_COUNT_MAX = 50


class Doorway(httpx.BaseTransport):
    """Hands the requests of a REST client to Django in this thread."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return Django's answer."""
        kind = request.headers.get("Content-Type", "application/json")
        names = ("Authorization", "Idempotency-Key", "If-Match", "Accept")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        answer = Browser(headers=headers).generic(
            request.method, str(request.url), request.content, content_type=kind
        )
        return httpx.Response(
            answer.status_code, headers=dict(answer.items()), content=answer.content
        )


class Stage:
    """The demo's people at their clients, one worker, and time that passes while they wait."""

    def __init__(self) -> None:
        loading.forget_all()
        self.clock = Clockwork()
        with connection.cursor() as cursor:
            cursor.execute(SEARCH_PATH)
        self.worker = ids.uuid7()
        self.driver = Driver(worker=self.worker, clock=self.clock)
        self._clients: dict[str, Client] = {}
        self.player = Player(project=cast.PROJECT_SLUG, client_of=self.client_of, wait_seconds=20.0)

    def client_of(self, name: str) -> Client:
        """Return the client of an account."""
        if name not in self._clients:
            user = User.objects.get(username=name)
            _, secret = create_token(
                principal=make_system_principal(), name="stage", user_id=user.pk
            )
            self._clients[name] = Client(
                "http://testserver", secret, transport=Doorway(), sleep=self._pass
            )
        return self._clients[name]

    def play(self, case: UseCase, story: Story) -> dict[str, Any]:
        """Play a story to its end; return the run."""
        run: dict[str, Any] = self.player.play(case, story)
        return run

    def settle(self) -> None:
        """Let the driver and the sweep do everything that is due."""
        store.heartbeat(worker=self.worker, name="hand")
        for _ in range(_ROUND_COUNT_MAX):
            swept = sweep_once()
            fired = fire_due(clock=self.clock)
            ready = list(Run.objects.filter(status="READY").values_list("pk", flat=True))
            for run_id in ready:
                self.driver.drive(run_id=run_id)
            if swept.is_idle and not fired and not ready:
                return
        raise AssertionError("the runs do not come to rest")

    def _pass(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds).total_seconds())
        self.settle()


@contextmanager
def opened_stage(blocker: Any) -> Iterator[None]:
    """Load the demo once, for a module: it is rolled back at the end."""
    with blocker.unblock(), transaction.atomic():
        with override_settings(DEMO_TARGET_URL=TARGET):
            call_command("load_demo", stdout=StringIO())
        yield
        transaction.set_rollback(True)


def outputs_of(run: Mapping[str, Any], step: str) -> Any:
    """Return what a step put out."""
    return next(item["outputs"] for item in run["steps"] if item["step"] == step)
