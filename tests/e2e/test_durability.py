"""Real processes, killed at bad moments: no run is lost, none does its work twice unasked."""

import os
import signal
import time

import pytest

from tests.e2e.conftest import assert_the_ledger_verifies, sign_in
from tests.processes import eventually

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

SLOW = """
schema: flow/v1
kind: dag
name: slow
title: "Slow ${{ inputs.name }}"
inputs:
  type: object
  properties: {seconds: {type: integer}, name: {type: string}}
steps:
  first:
    uses: python/call@1
    with: {function: t.slow, seconds: "${{ inputs.seconds }}", name: "${{ inputs.name }}"}
  second:
    needs: [first]
    uses: python/call@1
    with: {function: t.slow, seconds: 0, name: "${{ inputs.name }}"}
"""

HANG = """
schema: flow/v1
kind: dag
name: hang
title: Hang
steps:
  stuck:
    uses: python/call@1
    timeout: PT2S
    with: {function: t.hang, name: hang}
"""


EXIT = """
schema: flow/v1
kind: dag
name: exit
title: Exit
steps:
  gone:
    uses: python/call@1
    with: {function: t.exit, name: exit}
"""


@pytest.fixture(scope="module")
def mara(system):
    with sign_in(system, "mara") as client, sign_in(system, "pia") as publisher:
        for source in (SLOW, HANG, EXIT):
            version = client.save_version("demo", source)
            publisher.publish_version("demo", version["workflow"], version["rev"])
        yield client


def witness(system, name):
    path = system.folder / "var" / f"witness-{name}"
    return path.read_text().splitlines() if path.exists() else []


def start(client, name, seconds):
    inputs = {"name": name, "seconds": seconds}
    return client.start_run("demo", "slow", inputs=inputs)["id"]


def kinds(client, run_id):
    return [event["kind"] for event in client.list_run_events(run_id)]


def test_a_worker_killed_mid_step_loses_nothing(system, mara):
    run_id = start(mara, "killed", seconds=6)
    pid = int(eventually(lambda: witness(system, "killed"))[0].split()[0])
    killed_at = time.monotonic()

    os.kill(pid, signal.SIGKILL)

    run = mara.wait_run(run_id, timeout_seconds=180)
    assert run["outcome"] == "succeeded"
    assert "attempt.lost" in kinds(mara, run_id)
    lines = witness(system, "killed")
    assert [line.split()[1] for line in lines] == ["1", "2", "1"]
    keys = [line.split()[2] for line in lines]
    assert keys[0] == keys[1] != keys[2]
    # lease 15 s, sweep 1 s, the step again 6 s, and a very busy machine
    assert time.monotonic() - killed_at < 150
    assert_the_ledger_verifies(system)


def test_every_worker_process_killed_at_once_loses_nothing(system, mara):
    run_id = start(mara, "massacre", seconds=4)
    eventually(lambda: witness(system, "massacre"))

    for pid in system.pids("celery", "engine@"):
        os.kill(pid, signal.SIGKILL)

    assert mara.wait_run(run_id, timeout_seconds=180)["outcome"] == "succeeded"
    assert_the_ledger_verifies(system)


def test_a_run_outlives_redis(system, mara):
    run_id = start(mara, "redis", seconds=3)
    eventually(lambda: witness(system, "redis"))

    for pid in system.pids("redis-server"):
        os.kill(pid, signal.SIGKILL)  # the supervisor starts it again
    during = start(mara, "during", seconds=0)  # accepted although nobody can be hinted

    assert mara.wait_run(run_id, timeout_seconds=180)["outcome"] == "succeeded"
    assert mara.wait_run(during, timeout_seconds=180)["outcome"] == "succeeded"
    assert kinds(mara, run_id).count("step.completed") == 2


def test_an_attempt_that_hangs_ends_by_its_timeout(system, mara):
    run_id = mara.start_run("demo", "hang", inputs={})["id"]

    run = mara.wait_run(run_id, timeout_seconds=180)

    assert run["outcome"] == "failed"
    stuck = next(step for step in run["steps"] if step["step"] == "stuck")
    assert stuck["error"]["kind"] == "timeout"


def test_a_function_that_ends_its_process_costs_its_attempt_only(system, mara):
    run_id = mara.start_run("demo", "exit", inputs={})["id"]

    assert mara.wait_run(run_id, timeout_seconds=180)["outcome"] == "succeeded"
    assert kinds(mara, run_id).count("attempt.lost") == 1
    assert len(witness(system, "exit")) == 2


def test_a_worker_frozen_past_its_lease_changes_nothing(system, mara):
    run_id = start(mara, "frozen", seconds=3)
    pid = int(eventually(lambda: witness(system, "frozen"))[0].split()[0])

    os.kill(pid, signal.SIGSTOP)
    try:
        run = mara.wait_run(run_id, timeout_seconds=180)
    finally:
        os.kill(pid, signal.SIGCONT)

    told = kinds(mara, run_id)
    assert run["outcome"] == "succeeded"
    assert told.count("attempt.lost") == 1
    time.sleep(6)  # it ends what it executed, and has nobody left to tell
    assert kinds(mara, run_id) == told
    assert told.count("step.completed") == 2
    keys = [line.split()[2] for line in witness(system, "frozen")]
    assert keys[0] == keys[1] != keys[2]
    assert_the_ledger_verifies(system)
