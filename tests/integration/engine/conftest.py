"""An organisation and test functions for the engine's integration tests."""

import pytest

from countersign import TransientError, current_attempt, function
from engine import loading
from tests.founding import founded, lend
from tests.world import Hand, World

CALLS: list[tuple[str, str, int]] = []


def _note(name):
    attempt = current_attempt()
    CALLS.append((name, attempt.idempotency_key, attempt.number))


@function("t.ok")
def _ok(**arguments):
    _note("ok")
    return arguments


@function("t.boom")
def _boom(**_):
    _note("boom")
    raise ValueError("it broke")


@function("t.flaky")
def _flaky(*, times: int, **_):
    _note("flaky")
    if current_attempt().number <= times:
        raise TransientError("not yet")
    return {"attempt": current_attempt().number}


@pytest.fixture
def calls():
    CALLS.clear()
    return CALLS


def new_world():
    """Make a project, and somebody who does everything in it."""
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return world


@pytest.fixture(scope="module")
def founded_world(django_db_setup, django_db_blocker):
    """Found a world once for a module."""
    with founded(new_world, blocker=django_db_blocker) as world:
        yield world


@pytest.fixture
def world(founded_world, db):
    return lend(founded_world)


@pytest.fixture
def hand(world):
    return Hand()
