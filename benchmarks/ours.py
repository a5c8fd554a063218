"""Our side of the engine's bench, in this process. Needs Django: import it after the set-up."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, connections
from django.utils.timezone import now

from approvals.models import Request
from audit import store as ledger
from benchmarks.main_job import GATED, chain_source, wait_until
from benchmarks.organisation import approve, make_organisation
from benchmarks.wire import count_round_trips
from core.identity.domain.permissions import ScopeKind
from core.identity.models import Project
from core.identity.services.scopes import create_scope
from core.kernel import ids
from core.toolkit import hint_list
from engine import loading, starting, store
from engine.attempts import AttemptBook
from engine.domain.plan import Plan, Step
from engine.domain.plan_json import plan_digest, plan_to_json
from engine.driver import Driver
from engine.models import Run, Version, Workflow
from engine.services.runs import start_run
from engine.worker import WorkerProcess

_SLUG = "engine-bench"
_STEPS = 10
_PARKED_AT_ONCE = 250
_PARKED_SECONDS = 120.0  # until they wait
_SETTLE_SECONDS = 1.0  # what workers took before the hints were forgotten
_PAUSE_SECONDS = 0.02  # between two decisions, so that each finds the machine idle


class Ours:
    """The engine as it is used: runs start through the service, and a driver moves them on."""

    def __init__(self, worker: WorkerProcess, attempts: AttemptBook) -> None:
        self._worker = worker
        self._attempts = attempts
        self._starter, self._decider, _ = make_organisation(
            [chain_source(_STEPS), GATED], slug=_SLUG
        )

    # --- runs in this process ------------------------------------------------------------------

    def start(self, slug: str = "chain") -> UUID:
        """Start a run through the service; return once it is committed."""
        started = start_run(
            principal=self._starter, project_slug=_SLUG, workflow_slug=slug, inputs={}
        )
        return started.run_id

    def chains(self, *, count: int, slug: str = "chain") -> list[float]:
        """Start and drive runs one after another; return milliseconds each."""
        driver = self._driver()
        return [_milliseconds(lambda: driver.drive(run_id=self.start(slug))) for _ in range(count)]

    def throughput(self, *, drivers: int, count: int) -> float:
        """Start and drive runs on threads, a driver each; return seconds for all."""
        with self._threads(drivers) as each:
            return each(lambda driver: driver.drive(run_id=self.start()), count)

    def starts(self, *, drivers: int, count: int) -> float:
        """Start runs that nobody drives yet; return seconds for all.

        Nobody will: they are ready from tomorrow on, so that no sweep hints them into another part.
        """
        with self._threads(drivers) as each:
            seconds = each(lambda _: self.start(), count)
        Run.objects.filter(status="READY").update(wake_at=now() + timedelta(days=1))
        return seconds

    def engine_starts(self, *, drivers: int, count: int) -> float:
        """Start runs by the engine alone: its number, first entry and row; return seconds for all.

        Nobody is authorized, nothing checked and nobody hinted, as for a call or a schedule whose
        version was looked at before.
        """
        version = Version.objects.get(workflow__project__slug=_SLUG, workflow__slug="chain")
        chosen = starting.find_chosen(version_id=version.pk)
        assert chosen is not None, "it is there"
        found = chosen
        with self._threads(drivers) as each:
            seconds = each(lambda _: self._insert(found), count)
        Run.objects.filter(status="READY").update(wake_at=now() + timedelta(days=1))
        return seconds

    def _insert(self, chosen: starting.Chosen) -> None:
        run_id = ids.uuid7()
        number, at = starting.draw_number()
        title, event = starting.make_started_event(
            chosen, {}, run_id=run_id, number=number, at=at, calls={}
        )
        run = store.NewRun(
            id=run_id,
            number=number,
            workflow_id=chosen.workflow_id,
            version_id=chosen.version_id,
            initiator_id=self._starter.user_id,
            on_behalf_of_id=None,
            agent_owner_id=None,
            title=title,
            idempotency_key="",
            request_digest=bytes(32),
            created_at=at,
        )
        starting.insert(chosen, run, event, origin=self._starter.origin)

    def long_run(self, *, length: int) -> float:
        """Drive one run of many steps; return seconds from its claim to its close."""
        slug = self._publish_like(f"long{length}", length, lambda index: {"needs": _before(index)})
        run_id, driver = self.start(slug), self._driver()
        started = time.perf_counter()
        while Run.objects.values_list("status", flat=True).get(pk=run_id) != "CLOSED":
            driver.drive(run_id=run_id)
        return time.perf_counter() - started

    def round_trips(self) -> int:
        """Return the requests to PostgreSQL of one run of ten steps, from its start to its close.

        Of them, `drive_round_trips` are the driver's.
        """
        driver = self._driver()
        driver.drive(run_id=self.start())
        link = connection.connection
        return count_round_trips([link], lambda: driver.drive(run_id=self.start()))

    def drive_round_trips(self, slug: str = "chain") -> int:
        """Return the requests to PostgreSQL from the claim of a run of ten steps to its close."""
        driver, run_id = self._driver(), self.start(slug)
        return count_round_trips([connection.connection], lambda: driver.drive(run_id=run_id))

    def publish_lazy(self) -> str | None:
        """Publish the chain with lazy steps; `None` as long as the engine records them strictly."""
        if "lazy" not in {field.name for field in dataclasses.fields(Step)}:
            return None
        slug = self._publish_like(
            "lazy", _STEPS, lambda index: {"needs": _before(index), "lazy": True}
        )
        driver = self._driver()
        driver.drive(run_id=self.start(slug))  # its rules are read once
        return slug if self.drive_round_trips(slug) < _STEPS else None

    # --- runs in worker processes ----------------------------------------------------------------

    def fan_out(self, *, width: int) -> float:
        """Start a run of parallel steps; return seconds by the database's clock until it closed.

        Workers must be running.
        """
        slug = self._publish_like(f"wide{width}", width, lambda _: {"needs": ()})
        run_id = self.start(slug)
        mine = Run.objects.filter(pk=run_id, status="CLOSED")
        wait_until(mine.exists, poll_seconds=0.1)
        begun, closed = mine.values_list("created_at", "closed_at").get()
        assert closed is not None, "a closed run says when"
        return float((closed - begun).total_seconds())

    def park(self, *, count: int) -> list[tuple[UUID, UUID]]:
        """Start runs and wait until each waits for a decision: (run id, request id).

        A few hundred at a time: the sweep hints again whatever nobody has come for in two seconds,
        and decisions would then wait behind hints that are no longer about anything.
        """
        waiting: list[tuple[UUID, UUID]] = []
        for begin in range(0, count, _PARKED_AT_ONCE):
            waiting += self._park(min(_PARKED_AT_ONCE, count - begin))
        forget_hints()
        time.sleep(_SETTLE_SECONDS)
        return waiting

    def _park(self, count: int) -> list[tuple[UUID, UUID]]:
        run_ids = [self.start("gated") for _ in range(count)]
        mine = Request.objects.filter(run_id__in=run_ids, status="open")
        wait_until(lambda: mine.count() == count, poll_seconds=0.1, seconds=_PARKED_SECONDS)
        return list(mine.values_list("run_id", "pk"))

    def decide(self, waiting: list[tuple[UUID, UUID]]) -> list[float]:
        """Decide requests one by one; return milliseconds from each commit to the next step.

        What the service does after its commit, the hint for one, counts. Nobody asks the database
        meanwhile: the steps leave their marks in the ledger.
        """
        committed = []
        for _, request_id in waiting:
            with _noted_commits() as times:
                approve(principal=self._decider, request_id=request_id)
            (commit,) = times
            committed.append(commit)
            time.sleep(_PAUSE_SECONDS)
        mine = Run.objects.filter(pk__in=[run_id for run_id, _ in waiting])
        wait_until(lambda: not mine.exclude(status="CLOSED").exists(), poll_seconds=0.1)
        marks = [_marked_at(run_id) for run_id, _ in waiting]
        return [(mark - then) / 1e6 for mark, then in zip(marks, committed, strict=True)]

    # --- small parts -----------------------------------------------------------------------------

    def _driver(self) -> Driver:
        return Driver(worker=self._worker.id, attempts=self._attempts)

    @contextmanager
    def _threads(self, count: int) -> Iterator[Callable[[Callable[[Driver], object], int], float]]:
        """Give a function that does something often on threads, each with a warm connection."""
        local = threading.local()

        def prepare() -> None:
            local.driver = self._driver()
            local.driver.drive(run_id=self.start())

        with ThreadPoolExecutor(count, initializer=prepare) as pool:

            def each(act: Callable[[Driver], object], times: int) -> float:
                ready = threading.Barrier(count)
                list(pool.map(lambda _: ready.wait(), range(count)))  # every thread is there
                started = time.perf_counter()
                list(pool.map(lambda _: act(local.driver), range(times)))
                return time.perf_counter() - started

            yield each
            ready = threading.Barrier(count)

            def close(_: int) -> None:
                connections.close_all()  # this thread's own
                ready.wait()

            list(pool.map(close, range(count)))

    def _publish_like(self, slug: str, length: int, fields: Callable[[int], dict[str, Any]]) -> str:
        """Publish a plan of many copies of the chain's step, past what a text may hold."""
        if Workflow.objects.filter(project__slug=_SLUG, slug=slug).exists():
            return slug
        like = Version.objects.get(workflow__project__slug=_SLUG, workflow__slug="chain")
        plan = loading.get_rules(version_id=like.pk).decider.plan
        step = next(iter(plan.steps.values()))
        steps = {
            f"s{index}": dataclasses.replace(step, id=f"s{index}", **fields(index))
            for index in range(length)
        }
        self._publish(dataclasses.replace(plan, name=slug, steps=steps), like)
        return slug

    def _publish(self, plan: Plan, like: Version) -> None:
        project = Project.objects.get(slug=_SLUG)
        scope = create_scope(kind=ScopeKind.WORKFLOW, parent_id=project.scope_id)
        workflow = Workflow.objects.create(
            project=project, scope=scope, slug=plan.name, title=plan.name, created_at=now()
        )
        version = Version.objects.create(
            workflow=workflow,
            rev=1,
            label="1.0.0",
            digest=plan_digest(plan),
            source_digest=bytes(32),
            source="",
            plan=plan_to_json(plan),
            inputs_schema=plan.inputs_schema,
            author_id=like.author_id,
            created_at=now(),
            status="published",
            published_at=now(),
            published_by_id=like.author_id,
        )
        loading.get_rules(version_id=version.pk)


def _before(index: int) -> tuple[str, ...]:
    return (f"s{index - 1}",) if index else ()


def forget_hints() -> None:
    """Empty the list of hints for runs that were driven in this process."""
    for task in settings.LISTED_TASKS:
        hint_list.forget(task)


@contextmanager
def _noted_commits() -> Iterator[list[int]]:
    """Collect the wall clock, in nanoseconds, right after each commit of this thread."""
    link: Any = connections["default"]
    times: list[int] = []
    commit = link._commit  # noqa: SLF001 - before anything that Django does on commit

    def note() -> None:
        commit()
        times.append(time.time_ns())

    link._commit = note  # noqa: SLF001 - as above
    try:
        yield times
    finally:
        link._commit = commit  # noqa: SLF001 - as above


def _milliseconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3


def _marked_at(run_id: UUID) -> int:
    for entry in ledger.read_stream(stream=run_id, limit=100, payload_names=("result",)):
        result: Any = entry.payloads.get("result")
        if isinstance(result, dict) and "at" in result:
            return int(result["at"])
    msg = f"run {run_id} has no mark"
    raise LookupError(msg)
