"""The sample workers against a real web server: what they are given is done."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from core.asgi import application
from core.identity.services.tokens import create_token
from core.kernel import limits
from engine.models import Claim, Run
from engine.services.definitions import publish_version, save_version
from tests.integration.api.conftest import Town
from tests.processes import eventually

FOLDER = Path(__file__).parents[3] / "examples" / "workers"
SOURCE = """
schema: flow/v1
kind: dag
name: count
title: Count
steps:
  words:
    uses: external/task@1
    with: {topic: words, data: "the quick brown fox"}
    outputs: {count: "result.words"}
outputs: {count: steps.words.outputs.count}
"""


@pytest.fixture
def town(transactional_db, settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
    town = Town()
    town.user("wes", "worker")
    otto = town.principal("otto")
    saved = save_version(principal=otto, project_slug=town.slug, source=SOURCE)
    publish_version(principal=otto, project_slug=town.slug, workflow_slug="count", rev=saved.rev)
    return town


@pytest.fixture
def token(town):
    return create_token(principal=town.principal("wes"), name="w")[1]


@pytest.fixture
def url(town):
    """Serve the web process's own application on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(application, lifespan="off", log_config=None, timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
    )
    thread.start()
    eventually(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    listener.close()


@contextmanager
def running(command, *, url, token):
    environment = {**os.environ, "COUNTERSIGN_TOKEN": token, "NO_PROXY": "*"}
    process = subprocess.Popen(
        [*command, url, "acme", "words"], env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def asks(url, token, **more):
    body = {"project": "acme", "topics": ["words"], "worker": "w", **more}
    began = time.monotonic()
    answer = httpx.post(
        f"{url}/api/v1/external-tasks/claim/",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
        trust_env=False,
    )
    return answer, time.monotonic() - began


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, str(FOLDER / "worker.py")],
        ["sh", str(FOLDER / "worker.sh")],
    ],
    ids=["python", "shell"],
)
def test_a_sample_worker_does_what_it_is_given(command, town, url, token):
    first = town.start("count", by="mara").run_id
    town.hand.drive(first)

    with running(command, url=url, token=token) as process:
        eventually(lambda: Run.objects.get(pk=first).status == "READY")
        second = town.start("count", by="mara").run_id  # while it waits for one
        town.hand.beat()
        town.hand.drive(second)
        eventually(lambda: Run.objects.get(pk=second).status == "READY")
        assert process.poll() is None

    town.hand.beat()
    for run_id in (first, second):
        town.hand.drive(run_id)
        run = town.as_("mara").get(f"runs/{run_id}/").json()
        assert (run["outcome"], run["outputs"]) == ("succeeded", {"count": 4})


def test_the_samples_are_as_short_as_they_are_said_to_be():
    for name in ("worker.py", "worker.sh"):
        assert len((FOLDER / name).read_text().splitlines()) <= 45


def test_a_claim_waits_as_long_as_it_says_and_no_longer(town, url, token):
    answer, seconds = asks(url, token, wait_seconds=1)

    assert (answer.status_code, answer.json()) == (200, {"tasks": []})
    assert 1 <= seconds < limits.CLAIM_LOOK_SECONDS
    assert "X-Hold" not in answer.headers


def test_a_claim_that_waits_hears_of_a_task_at_once(town, url, token):
    found = []
    waiting = threading.Thread(target=lambda: found.append(asks(url, token, wait_seconds=30)))
    waiting.start()
    time.sleep(1.5)

    town.hand.beat()
    town.hand.drive(town.start("count", by="mara").run_id)
    waiting.join(60)

    ((answer, seconds),) = found
    assert len(answer.json()["tasks"]) == 1
    assert seconds < limits.CLAIM_LOOK_SECONDS


def test_many_claims_wait_without_a_thread_each(town, url, token):
    before = threading.active_count()
    callers = [
        threading.Thread(target=asks, args=(url, token), kwargs={"wait_seconds": 4})
        for _ in range(30)
    ]
    for caller in callers:
        caller.start()
    time.sleep(2.5)

    # Those of the callers, and the few in which Django looks.
    assert threading.active_count() - before - sum(item.is_alive() for item in callers) < 15
    for caller in callers:
        caller.join(60)
    assert not Claim.objects.exists()


def test_a_claim_that_its_program_gave_up_takes_nothing(town, url, token):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{url}/api/v1/external-tasks/claim/",
            json={"project": "acme", "topics": ["words"], "worker": "w", "wait_seconds": 30},
            headers={"Authorization": f"Bearer {token}"},
            timeout=2,
            trust_env=False,
        )
    time.sleep(0.5)

    town.hand.beat()
    town.hand.drive(town.start("count", by="mara").run_id)
    time.sleep(0.5)

    assert not Claim.objects.exists()


def test_a_token_that_is_revoked_ends_the_wait(town, url, token):
    found = []
    waiting = threading.Thread(target=lambda: found.append(asks(url, token, wait_seconds=30)))
    waiting.start()
    time.sleep(1.5)
    town.users["wes"].auth_token_set.all().delete()

    town.hand.beat()
    town.hand.drive(town.start("count", by="mara").run_id)
    waiting.join(60)

    ((answer, _),) = found
    assert answer.status_code == 401
