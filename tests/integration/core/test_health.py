"""Those who watch the process are told the truth."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client

from audit import store
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.limits import SEAL_LAG_SECONDS_MAX
from tests.fakes.drafts import draft

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return Client()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_healthy_process_says_so_and_is_not_cached(client, path):
    response = client.get(path)

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert "no-store" in response["Cache-Control"]


def test_without_redis_it_lives_but_is_not_ready(client, settings):
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"

    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "down": ["redis"], "late": []}


def test_a_ledger_nobody_seals_is_told_and_takes_nobody_down(client):
    with transaction.atomic():
        old = draft(at=SYSTEM_CLOCK.now() - timedelta(seconds=SEAL_LAG_SECONDS_MAX + 60))
        store.append(stream="access", drafts=[old])

    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "down": [], "late": ["sealing"]}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_cannot_be_posted_to(client, path):
    assert client.post(path).status_code == 405


def test_answers_carry_the_strict_policy(client):
    policy = client.get("/healthz")["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "nonce" not in policy
