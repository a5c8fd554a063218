"""What starts runs by itself, on a running system: signed requests, ends of runs, the clock."""

import hashlib
import hmac
import json

import httpx
import pytest

from countersign import Client
from examples.demo.cast import PASSWORD
from tests.e2e.conftest import sign_in
from tests.processes import eventually

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

HOOKED = """
schema: flow/v1
kind: dag
name: live-hooked
title: "${{ event.data.ref }}"
triggers: [{webhook: {provider: github, event: push}}]
steps: {note: {set: {seen: "event.id"}}}
vars: {seen: ""}
outputs: {seen: vars.seen}
"""
AFTER = """
schema: flow/v1
kind: dag
name: live-after
title: "${{ event.data.outputs.seen }}"
triggers: [{run-finished: {workflow: live-hooked, outcomes: [succeeded]}}]
steps: {note: {set: {seen: "true"}}}
vars: {seen: "false"}
"""
MINUTE = """
schema: flow/v1
kind: dag
name: live-minute
title: "${{ event.type }}"
triggers: [{schedule: {cron: "* * * * *"}}]
steps: {note: {set: {seen: "true"}}}
vars: {seen: "false"}
"""


@pytest.fixture(scope="module")
def secret(system):
    """Publish the workflows, and return the secret of the first one's webhook."""
    with sign_in(system, "mara") as author, sign_in(system, "pia") as publisher:
        for source in (HOOKED, AFTER, MINUTE):
            version = author.save_version("demo", source)
            publisher.publish_version("demo", version["workflow"], version["rev"])
    with sign_in(system, "admin") as admin:
        (rex,) = (item for item in admin.list_users() if item["username"] == "rex")
        scope_id = admin.get_project("demo")["scope_id"]
    given = {"role": "project_admin", "scope_id": scope_id, "user_id": rex["id"]}
    assert ask(system, "admin", "assignments/", given).status_code == 201
    made = ask(system, "rex", "workflows/demo/live-hooked/triggers/github/secret/", {})
    assert made.status_code == 201, made.text
    return made.json()["secret"]


def ask(system, who, path, body):
    """Post to the API as one of the demo's people."""
    with Client(system.url, "") as anyone:
        token = anyone.create_token(who, PASSWORD)["token"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{system.url}/api/v1/{path}", json=body, headers=headers, timeout=30.0)


def deliver(system, secret, body, *, number, content=None):
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return httpx.post(
        f"{system.url}/api/v1/hooks/demo/live-hooked/github/",
        content=body if content is None else content,
        headers={
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={signature}",
            "X-GitHub-Delivery": f"live-{number}",
            "X-GitHub-Event": "push",
        },
        timeout=60.0,
    )


def titles(system, slug):
    with sign_in(system, "rex") as client:
        runs = list(client.list_runs(workflow=slug, status="CLOSED"))
        return [run["title"] for run in runs]


def test_a_delivery_starts_one_run_and_its_end_another(system, secret):
    body = json.dumps({"ref": "refs/heads/main"}).encode()

    answers = [deliver(system, secret, body, number=1) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 200, 200], answers[0].text
    eventually(lambda: titles(system, "live-after"), every=1.0)
    assert titles(system, "live-hooked") == ["refs/heads/main"]
    assert titles(system, "live-after") == ["live-1"]


def test_a_wrong_or_huge_delivery_starts_nothing(system, secret):
    body = json.dumps({"ref": "refs/heads/none"}).encode()
    huge = json.dumps({"ref": "refs/heads/none", "text": "x" * 2**20}).encode()

    assert deliver(system, "x" * 20, body, number=2).status_code == 401
    assert deliver(system, secret, huge, number=3).status_code == 413
    chunks = (huge[start : start + 65_536] for start in range(0, len(huge), 65_536))
    assert deliver(system, secret, huge, number=4, content=chunks).status_code == 413
    assert deliver(system, secret, b"Hello, World!", number=5).status_code == 400

    assert "refs/heads/none" not in titles(system, "live-hooked")


@pytest.mark.usefixtures("secret")
def test_the_clock_starts_a_run_each_minute(system):
    eventually(lambda: "schedule" in titles(system, "live-minute"), seconds=120.0, every=2.0)
