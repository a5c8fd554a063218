"""Event storms, measured: what many events and schedules at once do to a system. Read `measure`.

Everything is real: events come over HTTP, two worker processes and the sweep look at them. While a
storm lasts, somebody else asks the API for the list of runs ten times a second.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import System
from benchmarks.results import Row, spread

_COUNT = 10_000
_BATCH = 100
_WORKERS = 2
_PROBE_SECONDS = 0.1
_WAIT_SECONDS = 1_800.0
_POLL_SECONDS = 0.5
_CLONE_BATCH = 1_000
_PROCESSES = ("uvicorn", "celery", "sweep")

_ONE_KEY = """
schema: flow/v1
kind: dag
name: one-key
triggers: [{event: {type: storm.one, dedupe: event.data.key}}]
steps: {note: {set: {seen: "true"}}}
vars: {seen: "false"}
"""
_EACH = """
schema: flow/v1
kind: dag
name: each
title: "${{ event.data.n }}"
triggers: [{event: {type: storm.each}}]
steps: {note: {set: {seen: "true"}}}
vars: {seen: "false"}
"""
_DUE = """
schema: flow/v1
kind: dag
name: due
triggers: [{schedule: {cron: "0 0 1 1 *", catch-up: all}}]
steps: {note: {set: {seen: "true"}}}
vars: {seen: "false"}
"""


def measure(system: System, *, count: int = _COUNT) -> Iterator[Row]:
    """Yield every row of the storms."""
    storm = Storm.make(system, count)
    with system.workers(_WORKERS), system.web() as url:
        storm.url = url
        storm.clone_schedules()
        yield from storm.one_key()
        yield from storm.each()
        yield from storm.schedules()
        yield from storm.memory()


@dataclass(kw_only=True)
class Storm:
    """A project whose workflows hear events, one of which is there `count` times for the clock."""

    count: int
    token: str
    url: str = ""
    _begun: float = 0.0

    @classmethod
    def make(cls, system: System, count: int) -> "Storm":
        """Make the people and publish the workflows."""
        from benchmarks.organisation import make_organisation  # noqa: PLC0415 - needs Django
        from core.identity.domain.principal import make_system_principal  # noqa: PLC0415 - as above
        from core.identity.models import Project  # noqa: PLC0415 - as above
        from core.identity.services.roles import assign_role  # noqa: PLC0415 - as above

        del system
        starter, _, token = make_organisation([_ONE_KEY, _EACH, _DUE], slug="storm")
        assign_role(
            principal=make_system_principal(),
            role="operator",
            scope_id=Project.objects.get(slug="storm").scope_id,
            user_id=starter.user_id,
        )
        return cls(count=count, token=token)

    def one_key(self) -> Iterator[Row]:
        """Yield what equal events do: one run, whatever their number."""
        with self._probing("one_key") as probes:
            seconds = self._send("storm.one", lambda _: {"key": "same"})
            settled = self._settle()
        yield self._row("one_key/accepted", self.count / seconds, "events/s")
        yield self._row("one_key/looked_at", self.count / settled, "events/s")
        yield self._row("one_key/runs", _count_runs("one-key"), "runs", note="there must be 1")
        yield from spread("storm", "one_key/api_ms", probes)

    def each(self) -> Iterator[Row]:
        """Yield what different events do: a run each, none lost, none twice."""
        with self._probing("each") as probes:
            seconds = self._send("storm.each", lambda number: {"n": str(number)})
            settled = self._settle()
            closed = settled + self._close("each")
        yield self._row("each/accepted", self.count / seconds, "events/s")
        yield self._row("each/started", self.count / settled, "runs/s")
        yield self._row("each/closed", self.count / closed, "runs/s")
        lost, doubled = _compare_titles("each", self.count)
        yield self._row("each/lost", lost, "runs", note="there must be none")
        yield self._row("each/doubled", doubled, "runs", note="there must be none")
        yield from spread("storm", "each/api_ms", probes)

    def schedules(self) -> Iterator[Row]:
        """Yield what schedules do that are due in one minute."""
        _make_due()
        with self._probing("schedules") as probes:
            settled = self._settle(at_least=_count_schedules())
        yield self._row("schedules/started", self.count / settled, "runs/s")
        missing = _count_schedules() - _count_scheduled_runs()
        yield self._row("schedules/lost", missing, "runs", note="there must be none")
        yield from spread("storm", "schedules/api_ms", probes)

    def memory(self) -> Iterator[Row]:
        """Yield the most memory each kind of process has had."""
        for name, bytes_ in _peaks().items():
            yield self._row(f"memory/{name}", bytes_ / 2**20, "MiB", note="the largest process")

    def clone_schedules(self) -> None:
        """Make the scheduled workflow's row, version and trigger as often as there are storms."""
        from core.identity.models import Scope  # noqa: PLC0415 - needs Django
        from core.kernel import ids  # noqa: PLC0415 - as above
        from engine.models import Trigger, Version, Workflow  # noqa: PLC0415 - as above

        first = Workflow.objects.select_related("scope").get(slug="due")
        version, trigger = Version.objects.get(workflow=first), Trigger.objects.get(workflow=first)
        for start in range(1, self.count, _CLONE_BATCH):
            numbers = range(start, min(start + _CLONE_BATCH, self.count))
            scopes = [_again(first.scope, pk=ids.uuid7()) for _ in numbers]
            flows = [
                _again(
                    first, pk=ids.uuid7(), scope=scope, slug=f"due-{number}", seq=0, head=bytes(32)
                )
                for number, scope in zip(numbers, scopes, strict=True)
            ]
            versions = [_again(version, pk=ids.uuid7(), workflow=flow) for flow in flows]
            triggers = [
                _again(trigger, pk=ids.uuid7(), workflow=flow, version=made)
                for flow, made in zip(flows, versions, strict=True)
            ]
            Scope.objects.bulk_create(scopes)
            Workflow.objects.bulk_create(flows)
            Version.objects.bulk_create(versions)
            Trigger.objects.bulk_create(triggers)

    def _send(self, kind: str, data: Callable[[int], dict[str, str]]) -> float:
        """Send the events in batches; return the seconds it took until all were accepted."""
        begun = time.monotonic()
        with httpx.Client(base_url=self.url, headers=self._headers, timeout=60.0) as client:
            for start in range(0, self.count, _BATCH):
                numbers = range(start, min(start + _BATCH, self.count))
                events = [
                    {
                        "specversion": "1.0",
                        "source": "/storm",
                        "type": kind,
                        "id": f"{kind}-{number}",
                        "data": data(number),
                    }
                    for number in numbers
                ]
                answer = client.post(
                    "/api/v1/events/?project=storm",
                    json=events,
                    headers={"Content-Type": "application/cloudevents-batch+json"},
                )
                answer.raise_for_status()
        self._begun = begun
        return time.monotonic() - begun

    def _settle(self, *, at_least: int = 0) -> float:
        """Wait until every firing was looked at; return the seconds since the storm began."""
        from engine.models import Firing  # noqa: PLC0415 - needs Django

        begun = time.monotonic() if at_least else self._begun

        def is_settled() -> bool:
            started = not at_least or _count_scheduled_runs() >= at_least
            return started and not Firing.objects.exists()

        _wait(is_settled)
        return time.monotonic() - begun

    def _close(self, slug: str) -> float:
        from engine.models import Run  # noqa: PLC0415 - needs Django

        begun = time.monotonic()
        _wait(lambda: not Run.objects.filter(workflow__slug=slug).exclude(status="CLOSED").exists())
        return time.monotonic() - begun

    @contextmanager
    def _probing(self, name: str) -> Iterator[list[float]]:
        """Ask for the list of runs until the block ends; yield the milliseconds it took."""
        samples: list[float] = []
        stop = threading.Event()

        def probe() -> None:
            with httpx.Client(base_url=self.url, headers=self._headers, timeout=60.0) as client:
                while not stop.wait(_PROBE_SECONDS):
                    begun = time.perf_counter()
                    client.get("/api/v1/runs/?limit=20").raise_for_status()
                    samples.append((time.perf_counter() - begun) * 1e3)

        thread = threading.Thread(target=probe, name=f"probe-{name}")
        thread.start()
        try:
            yield samples
        finally:
            stop.set()
            thread.join()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _row(self, metric: str, value: float, unit: str, *, note: str = "") -> Row:
        return Row(
            bench="storm",
            metric=metric,
            value=round(value, 1),
            unit=unit,
            n=self.count,
            note=note or None,
        )


def _again(row: Any, **changes: Any) -> Any:
    fields = row._meta.concrete_fields  # noqa: SLF001 - as Django documents it
    values = {item.attname: getattr(row, item.attname) for item in fields}
    made = type(row)(**values)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _wait(is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not is_over():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)


def _make_due() -> None:
    """Let every schedule be due by now, within one minute."""
    from django.db import connection  # noqa: PLC0415 - needs Django

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE engine_trigger SET next_at = date_trunc('year', clock_timestamp()) "
            "WHERE kind = 'schedule' AND ended_at IS NULL"
        )


def _count_schedules() -> int:
    from engine.models import Trigger  # noqa: PLC0415 - needs Django

    return Trigger.objects.filter(kind="schedule", ended_at=None).count()


def _count_scheduled_runs() -> int:
    from engine.models import Run  # noqa: PLC0415 - needs Django

    return Run.objects.filter(workflow__slug__startswith="due").count()


def _count_runs(slug: str) -> int:
    from engine.models import Run  # noqa: PLC0415 - needs Django

    return Run.objects.filter(workflow__slug=slug).count()


def _compare_titles(slug: str, count: int) -> tuple[int, int]:
    """Return how many of the numbers below a count have no run, and how many runs are too many."""
    from engine.models import Run  # noqa: PLC0415 - needs Django

    titles = list(Run.objects.filter(workflow__slug=slug).values_list("title", flat=True))
    return count - len({int(title) for title in titles}), len(titles) - len(set(titles))


def _peaks() -> dict[str, int]:
    """Return the most memory that a process of each kind has had, in bytes."""
    peaks: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            status = (folder / "status").read_text()
            here = (folder / "cwd").resolve() == Path.cwd()
        except OSError:
            continue
        name = next((item for item in _PROCESSES if item in words), "")
        found = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "")
        if here and name and found:
            peaks[name] = max(peaks.get(name, 0), int(found.split()[1]) * 1024)
    return peaks
