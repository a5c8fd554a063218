"""Where the example definitions are lived: a project, its people, virtual time. Read `Place`."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection

from approvals.models import Request
from approvals.services.decide import decide
from audit import store as ledger
from core.identity.seed import seed
from core.kernel import ids
from core.kernel.record import Via
from core.toolkit import queue
from countersign import functions
from engine import loading, store
from engine.driver import Driver
from engine.models import Delivery, Run, Slot, Task, Wait
from engine.services import events
from engine.services.definitions import publish_version, save_version
from engine.services.runs import start_run
from engine.sweep import sweep_once
from engine.triggers.firing import fire_due
from tests.fakes.flow import DATA
from tests.loopback import Answer, Received, Site, serve
from tests.simulation import clockwork
from tests.simulation.clockwork import SEARCH_PATH, Clockwork
from tests.world import World, fold

_ROUND_COUNT_MAX = 50  # rounds of drivers and sweep until nothing moves
_GROUPS = {
    "ann": ("engineers", "legal", "sre-oncall"),
    "ben": ("engineers", "change-board", "service-owners", "finance"),
    "cleo": ("change-board", "finance"),
    "dora": ("general-counsel", "duty-managers"),
}


@dataclass
class Doings:
    """What the functions of the examples do: what a test changes, and what they were told."""

    called: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    critical: int = 0
    broken: str = ""  # the database whose tests fail
    hosts: list[str] = field(default_factory=lambda: ["h1"])
    dumb_hosts: set[str] = field(default_factory=set)
    severity: str = "high"
    sick_count: int = 0  # probes until the service is healthy
    act_errors: list[Exception] = field(default_factory=list)

    def count(self, name: str) -> int:
        """Return how often a function was called."""
        return Counter(item for item, _ in self.called)[name]

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the functions by the names the definitions use."""
        return {
            "release.run_tests": self._run_tests,
            "release.scan": lambda **_: {"critical": self.critical, "report_sha256": "ab" * 32},
            "incident.enrich": lambda **_: {"hosts": self.hosts, "severity": self.severity},
            "incident.diagnose": self._diagnose,
            "incident.restore": lambda **_: None,
            "incident.act": self._act,
            "incident.probe": self._probe,
        }

    def _run_tests(self, *, db: str, **_: Any) -> dict[str, bool]:
        if db == self.broken:
            raise ValueError("3 of 200 tests failed")
        return {"passed": True}

    def _diagnose(self, *, host: str) -> str:
        if host in self.dumb_hosts:
            raise ValueError("it does not answer")
        return f"{host} is slow"

    def _act(self, **_: Any) -> None:
        if self.act_errors:
            raise self.act_errors.pop()

    def _probe(self) -> dict[str, bool]:
        self.sick_count -= 1
        return {"healthy": self.sick_count < 0}


class Place:
    """A project with the examples in it, people, one worker, and time that passes when told."""

    def __init__(self, *, clock: Clockwork, site: Site, doings: Doings) -> None:
        self.clock, self.site, self.doings = clock, site, doings
        self.world = World()
        self.world.user("mara", "requester", "operator")
        self.world.user("otto", "editor", "publisher")
        for name, groups in _GROUPS.items():
            self.world.user(name, "approver", groups=groups)
        self.principals = {name: self.world.principal(name) for name in ("mara", *_GROUPS)}
        self.worker = ids.uuid7()
        self.driver = Driver(worker=self.worker, clock=clock)

    def publish(self, name: str) -> None:
        """Save and publish an example, its target at the address of this test's server."""
        source = (DATA / "examples" / f"{name}.yaml").read_text()
        self.publish_text(source.replace("http://127.0.0.1:9000", self.site.url))

    def publish_text(self, source: str) -> int:
        """Save and publish a definition; return its revision."""
        otto, slug = self.world.principal("otto"), self.world.slug
        saved = save_version(principal=otto, project_slug=slug, source=source)
        published = publish_version(
            principal=otto, project_slug=slug, workflow_slug=saved.workflow_slug, rev=saved.rev
        )
        assert published.status == "published"
        return saved.rev

    def start(self, name: str, *, via: Via = Via.PORTAL, **inputs: Any) -> Run:
        """Start a run and let it come to rest."""
        started = start_run(
            principal=self.world.principal("mara", via=via),
            project_slug=self.world.slug,
            workflow_slug=name,
            inputs=inputs,
        )
        self.settle()
        return Run.objects.get(pk=started.run_id)

    def settle(self) -> None:
        """Let drivers and the sweep do everything that is due."""
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

    def wait(self, **length: float) -> None:
        """Let time pass, then whatever became due happen."""
        self.clock.advance(timedelta(**length).total_seconds())
        self.settle()

    def send(self, type_: str, **data: Any) -> None:
        """Send an event from outside."""
        self.send_quietly(type_, **data)
        self.settle()

    def send_quietly(self, type_: str, event_id: UUID | None = None, **data: Any) -> None:
        """Send an event from outside and let nobody act on it yet."""
        events.publish(
            project_id=self.world.project.pk,
            event_type=type_,
            data=data,
            origin=self.principals["mara"].origin,
            event_id=event_id,
        )

    def request(self, run: Run) -> Request:
        """Return the open request of a run."""
        return Request.objects.get(run_id=run.pk, status="open")

    def decide(self, run: Run, who: str, *, no: bool = False, **sent: Any) -> None:
        """Decide what a run asks for now."""
        request = self.request(run)
        decide(
            principal=self.principals[who],
            request_id=request.pk,
            decision="reject" if no else "approve",
            digest_hex=bytes(request.shown_digest).hex(),
            comment="not like this" if no else "",
            **sent,
        )
        self.settle()


@contextmanager
def opened_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Open a place; whatever a test leaves of its time and its functions is gone afterwards."""
    seed(apps)
    loading.forget_all()
    doings = Doings()
    for name, body in doings.functions().items():
        registered = functions.RegisteredFunction(
            name=name, body=_told(doings, name, body), idempotent=False
        )
        monkeypatch.setitem(functions._REGISTRY, name, registered)
    monkeypatch.setattr(queue, "send", lambda *_: None)  # the worker needs no hints
    clock = Clockwork()
    with connection.cursor() as cursor:
        cursor.execute(SEARCH_PATH)
    try:
        for site in serve("127.0.0.1"):
            site.answer = answer_well
            yield Place(clock=clock, site=site, doings=doings)
    finally:
        connection.close()  # and with it the search path
        clockwork.remove()


def _told(doings: Doings, name: str, body: Callable[..., Any]) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        doings.called.append((name, arguments))
        return body(**arguments)

    return call


def answer_well(received: Received) -> Answer:
    """Answer as a target does where everything works."""
    body = json.dumps({"previous": "1.0.0"}).encode() if received.path == "/deploy" else b"{}"
    return Answer(headers={"Content-Type": "application/json"}, body=body)


def answer_sick(received: Received) -> Answer:
    """Answer as a target does whose new version is not well."""
    return Answer(status=503) if received.path == "/healthz" else answer_well(received)


def ended(run: Run) -> str:
    """Return a run's outcome, and see that its record is whole and nothing of it is left."""
    run.refresh_from_db()
    if run.status != "CLOSED":
        return run.status
    entries = ledger.read_verified(stream=run.pk, limit=10_000)
    assert (len(entries), entries[-1].leaf) == (run.seq, bytes(run.head))
    state = fold(run.pk)
    assert state.closing is not None
    assert state.closing.outcome == run.outcome
    assert not Request.objects.filter(run_id=run.pk, status="open").exists()
    for model in (Wait, Delivery, Slot, Task):
        assert not model.objects.filter(run_id=run.pk).exists()
    return run.outcome


def outcomes(run: Run) -> dict[str, str]:
    """Return the outcome of each outermost step, by the step's id."""
    steps = fold(run.pk).steps.items()
    return {key.removesuffix("#1"): str(step.outcome) for key, step in steps if "/" not in key}


def made_by(run: Run) -> Any:
    """Return the outputs of a run that is over."""
    closing = fold(run.pk).closing
    assert closing is not None
    return closing.outputs


def paths(place: Place) -> list[str]:
    """Return what the target was asked for, in order."""
    return [item.path for item in place.site.received]
