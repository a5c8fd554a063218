"""Many events at once on a running system: nothing is lost, and the API answers meanwhile.

Small, to be quick; `make bench ONLY=storm` does the same with 10,000.
"""

import statistics
import time

import httpx
import pytest

from countersign import Client
from examples.demo.cast import PASSWORD
from tests.e2e.conftest import assert_the_ledger_verifies, sign_in
from tests.processes import eventually

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

COUNT = 200
BATCH = 50

ONE_KEY = """
schema: flow/v1
kind: dag
name: storm-one
triggers: [{event: {type: storm.one, dedupe: event.data.key}}]
steps: {note: {set: {seen: "true"}}}
vars: {seen: "false"}
"""
EACH = """
schema: flow/v1
kind: dag
name: storm-each
title: "${{ event.data.n }}"
triggers: [{event: {type: storm.each}}]
steps: {note: {set: {seen: "true"}}}
vars: {seen: "false"}
"""


@pytest.fixture(scope="module")
def storm(system):
    """Return a client of the API for somebody who may send events, where workflows hear them."""
    with sign_in(system, "mara") as author, sign_in(system, "pia") as publisher:
        for source in (ONE_KEY, EACH):
            version = author.save_version("demo", source)
            publisher.publish_version("demo", version["workflow"], version["rev"])
    with Client(system.url, "") as anyone:
        token = anyone.create_token("rex", PASSWORD)["token"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{system.url}/api/v1", headers=headers, timeout=60.0) as client:
        yield client


def send(client, kind):
    """Send the events of a storm, each twice; return how long the list of runs took meanwhile."""
    times = []
    for start in [*range(0, COUNT, BATCH)] * 2:
        events = [
            {
                "specversion": "1.0",
                "source": "/storm",
                "id": f"{kind}-{number}",
                "type": kind,
                "data": {"key": "same", "n": str(number)},
            }
            for number in range(start, start + BATCH)
        ]
        taken = client.post(
            "/events/?project=demo",
            json=events,
            headers={"Content-Type": "application/cloudevents-batch+json"},
        )
        assert taken.status_code == 202, taken.text
        begun = time.perf_counter()
        assert client.get("/runs/").status_code == 200
        times.append(time.perf_counter() - begun)
    return times


def closed(system, slug):
    """Return the titles of a workflow's closed runs."""
    with sign_in(system, "rex") as client:
        return [run["title"] for run in client.list_runs(workflow=slug, status="CLOSED", limit=200)]


def is_looked_at(client, slug):
    found = client.get(f"/workflows/demo/{slug}/triggers/").json()["triggers"]
    return all(item["waiting_count"] == 0 for item in found)


def test_equal_events_start_one_run_and_different_ones_a_run_each(system, storm):
    times = send(storm, "storm.one") + send(storm, "storm.each")

    eventually(lambda: is_looked_at(storm, "storm-one") and is_looked_at(storm, "storm-each"))
    eventually(lambda: len(closed(system, "storm-each")) == COUNT, every=2.0)

    assert sorted(map(int, closed(system, "storm-each"))) == list(range(COUNT))
    assert len(closed(system, "storm-one")) == 1
    print(f"p95 of the list of runs: {statistics.quantiles(times, n=20)[-1]:.3f} s")
    assert_the_ledger_verifies(system)
