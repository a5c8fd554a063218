"""Results that are used again, over a real database."""

import pytest

from core.kernel import limits
from engine.gates import cache
from engine.models import Cache
from tests.integration.engine.plans import plan_of_one_step
from tests.integration.engine.threads import at_once
from tests.world import World


@pytest.fixture
def place(world):
    """Return the project and a run of it."""
    world.publish(plan_of_one_step(), author="mara")
    return world.project.pk, world.start("job", by="mara").run_id


def keep(place, result, *, key="k", ttl=60.0):
    return cache.keep(
        project_id=place[0],
        key=key,
        ttl_seconds=ttl,
        result=result,
        run_id=place[1],
        step_key="s#1",
    )


@pytest.mark.parametrize("result", [None, 0, 1e300, "a\x00b", {"b": [1, 2.5], "a": None}])
def test_a_result_is_found_as_it_was_kept(place, result):
    assert keep(place, result) is True

    hit = cache.find(project_id=place[0], key="k")

    assert hit is not None
    assert (hit.result, hit.run_id, hit.step_key) == (result, place[1], "s#1")


def test_keys_and_projects_are_kept_apart(place):
    keep(place, 1)

    assert cache.find(project_id=place[0], key="other") is None
    assert cache.find(project_id=World(slug="other").project.pk, key="k") is None


def test_a_newer_result_takes_the_place_of_an_older(place):
    keep(place, 1)
    keep(place, 2)

    hit = cache.find(project_id=place[0], key="k")
    assert hit is not None
    assert hit.result == 2


def test_a_result_whose_time_is_over_is_not_found_and_swept(place):
    keep(place, 1, ttl=0.0)
    keep(place, 2, key="kept")

    assert cache.find(project_id=place[0], key="k") is None
    assert cache.sweep_cache() == 1
    assert cache.find(project_id=place[0], key="kept") is not None


def test_a_result_that_is_too_large_is_not_kept(place):
    assert keep(place, "x" * limits.CACHE_RESULT_BYTES_MAX) is False
    assert cache.find(project_id=place[0], key="k") is None


def test_of_too_many_results_those_that_end_first_give_way(place, monkeypatch):
    monkeypatch.setattr(limits, "CACHE_ROW_COUNT_MAX", 2)
    for number in range(4):
        keep(place, number, key=f"k{number}", ttl=60.0 + number)

    assert cache.trim_cache() == 2

    found = [cache.find(project_id=place[0], key=f"k{number}") for number in range(4)]
    assert [item is not None for item in found] == [False, False, True, True]


@pytest.mark.django_db(transaction=True)
def test_results_kept_at_once_leave_one(transactional_db):
    world = World()
    world.user("mara", "requester", "editor", "publisher")
    world.publish(plan_of_one_step(), author="mara")
    place = (world.project.pk, world.start("job", by="mara").run_id)

    at_once(*[lambda number=number: keep(place, number) for number in range(6)])

    assert Cache.objects.count() == 1
