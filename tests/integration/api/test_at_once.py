"""Requests that arrive at the same moment, each on a connection of its own.

These tests commit, so they are in a module without the town that is founded once.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from approvals.models import Vote
from engine.models import Run
from tests.integration.api.conftest import BOARD, INPUTS_SCHEMA


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Return what the calls return, all of them made at the same time."""

    def run(call):
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_starting_at_once_with_one_key_is_one_run(committed_town):
    town = committed_town
    flow = town.flow(inputs_schema=INPUTS_SCHEMA)
    caller = town.as_("mara")
    body = {"inputs": {"environment": "staging"}}

    def start():
        return caller.post(f"workflows/{town.slug}/{flow}/runs/", body, Idempotency_Key="order-1")

    answers = at_once([start] * 12)

    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 11}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Run.objects.count() == 1


def test_one_person_deciding_many_times_at_once_has_one_vote(committed_town):
    town = committed_town
    request = town.request({**BOARD, "quorum": {"count": 2}})
    town.as_("ann")

    answers = at_once([lambda: town.decide(request, "ann")] * 8)

    assert {answer.status_code for answer in answers} == {200}
    assert Counter(answer.json()["replayed"] for answer in answers) == {False: 1, True: 7}
    assert len({answer.json()["vote_id"] for answer in answers}) == 1
    assert Vote.objects.count() == 1


def test_two_people_deciding_at_once_complete_the_quorum(committed_town):
    town = committed_town
    request = town.request({**BOARD, "quorum": {"count": 2}})
    for name in ("ann", "bob"):
        town.as_(name)

    answers = at_once([lambda: town.decide(request, "ann"), lambda: town.decide(request, "bob")])

    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["outcome"] for answer in answers) == ["", "approved"]


def test_approving_and_rejecting_at_once_has_one_winner(committed_town):
    town = committed_town
    request = town.request()
    for name in ("ann", "bob"):
        town.as_(name)

    answers = at_once(
        [lambda: town.decide(request, "ann"), lambda: town.decide(request, "bob", "reject")]
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert Vote.objects.count() == 1
