"""Real processes under load while everything that may die does: nothing is lost, nothing doubled.

`make chaos SECONDS=600` goes on for longer and prints what came of it; without it twelve seconds.
"""

import math
import os
import random
import signal
import time
from collections import Counter

import httpx
import pytest

from countersign import ApiError
from tests.e2e.conftest import assert_the_ledger_verifies, sign_in
from tests.processes import eventually

pytestmark = [pytest.mark.processes, pytest.mark.timeout(0)]

_SECONDS = float(os.environ.get("CHAOS_SECONDS", "12"))
_PAUSES = (0.2, 0.5, 1.0, 2.0)  # between two blows, seconds
_SETTLE_SECONDS = 240.0  # leases, sweeps, and a very busy machine
_RUNS_AHEAD = 6  # runs that are under way at any moment

CHILD = """
schema: flow/v1
kind: dag
name: chaoschild
title: Child
steps:
  work: {uses: python/call@1, with: {function: t.slow, seconds: 0, name: chaos}}
"""

# Of everything something: parallel steps, a map, a call, a mutex, a timer, an event, a cell.
MIXED = """
schema: flow/v1
kind: dag
name: chaos
title: Chaos
inputs: {type: object, properties: {number: {type: integer}}, required: [number]}
steps:
  first: {uses: python/call@1, with: {function: t.slow, seconds: 0, name: chaos}}
  many:
    needs: [first]
    map: {items: "[1, 2, 3]", as: item, max-concurrency: 2}
    uses: python/call@1
    with: {function: t.slow, seconds: 0, name: chaos}
  long:
    needs: [first]
    uses: python/call@1
    with: {function: t.slow, seconds: 1, name: chaos}
  alone:
    needs: [first]
    mutex: the-printer
    uses: python/call@1
    with: {function: t.slow, seconds: 0, name: chaos}
  ask: {needs: [first], call: chaoschild@^1}
  pause: {needs: [many], wait: {timer: PT1S}}
  tell: {needs: [pause], emit: {type: chaos.told, data: {run: "${{ run.id }}"}}}
  hear: {needs: [first], wait: {event: {type: chaos.told, correlate: {run: "run.id"}}}}
  last:
    needs: [many, long, alone, ask, hear]
    uses: python/call@1
    with: {function: t.slow, seconds: 0, name: chaos}
"""
_EXECUTED = {"first#1", "long#1", "alone#1", "last#1", *(f"many#1/item#{n}" for n in (1, 2, 3))}


@pytest.fixture(scope="module")
def mara(system):
    with sign_in(system, "mara") as client, sign_in(system, "pia") as publisher:
        for source in (CHILD, MIXED):
            version = client.save_version("demo", source)
            publisher.publish_version("demo", version["workflow"], version["rev"])
        yield client


def insist(act):
    """Do something over the API, whatever dies meanwhile; the same key makes it happen once."""

    def attempt():
        try:
            return act()
        except (ApiError, httpx.HTTPError) as error:
            if isinstance(error, ApiError) and error.status < httpx.codes.INTERNAL_SERVER_ERROR:
                raise
            return None

    return eventually(attempt, seconds=_SETTLE_SECONDS, every=0.5)


class Storm:
    """What dies, by the dice."""

    def __init__(self, system) -> None:
        self.system = system
        self.dice = random.Random(time.time_ns())
        self.blows = Counter[str]()

    def strike(self) -> None:
        draw = self.dice.random()
        if draw < 0.1:
            self._kill("redis", self.system.pids("redis-server"), signal.SIGKILL)
        else:
            children = self.system.worker_children()
            some = self.dice.sample(children, k=min(len(children), self.dice.choice([1, 1, 2])))
            self._kill("worker", some, signal.SIGKILL)

    def stop_database(self) -> None:
        """Stop PostgreSQL at once, every connection with it; the supervisor starts it again."""
        self._kill("database", self.system.programs("postgres"), signal.SIGQUIT)

    def _kill(self, name, pids, number) -> None:
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
            self.blows[name] += 1


def test_whatever_dies_every_run_ends_once(system, mara):
    storm = Storm(system)
    run_ids: list[str] = []
    until = time.monotonic() + _SECONDS
    database_at = time.monotonic() + _SECONDS / 2
    while time.monotonic() < until:
        if len(run_ids) < _RUNS_AHEAD or storm.dice.random() < 0.5:
            number = len(run_ids)
            key = f"chaos-{system.supervisor}-{number}"
            run = insist(
                lambda number=number, key=key: mara.start_run(
                    "demo", "chaos", inputs={"number": number}, idempotency_key=key
                )
            )
            run_ids.append(run["id"])
        storm.strike()
        if time.monotonic() > database_at:
            storm.stop_database()
            database_at = math.inf  # once
        time.sleep(storm.dice.choice(_PAUSES))

    outcomes = {run_id: outcome_of(mara, run_id) for run_id in run_ids}

    lines = [line.split() for line in witness(system)]
    keys = Counter(line[2] for line in lines)
    doubled = sum(keys.values()) - len(keys)
    finished = sum(outcome == "succeeded" for outcome in outcomes.values())
    print(
        f"\nruns started {len(run_ids)}, finished {finished}, duplicated effects {doubled},"
        f" blows {dict(storm.blows)}"
    )
    assert len(set(run_ids)) == len(run_ids)
    assert finished == len(run_ids), outcomes
    assert storm.blows["worker"]
    assert storm.blows["database"] == 1
    for run_id in run_ids:
        judge(insist(lambda run_id=run_id: list(mara.list_run_events(run_id))))
        # An effect may happen twice, but always under the key that says that it is the same one.
        own = {key for key in keys if key.startswith(f"{run_id}:")}
        assert own == {f"{run_id}:{key}:1" for key in _EXECUTED}
    assert_the_ledger_verifies(system)


def judge(events):
    """See that the record of a run tells of each thing once."""
    kinds = Counter(event["kind"] for event in events)
    assert kinds["run.started"] == kinds["run.closed"] == 1
    for kind in ("child.started", "child.closed", "event.emitted", "event.received"):
        assert kinds[kind] == 1, f"{kind} {kinds[kind]} times"
    assert kinds["step.completed"] == len(_EXECUTED)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def outcome_of(client, run_id):
    def ended():
        run = insist(lambda: client.get_run(run_id))
        return run["outcome"] or None

    return eventually(ended, seconds=_SETTLE_SECONDS, every=0.5)


def witness(system):
    path = system.folder / "var" / "witness-chaos"
    return path.read_text().splitlines() if path.exists() else []
