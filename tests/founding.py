"""One organisation for all tests of a module, as good as new for each. Read `founded` first.

Making an organisation through the services takes longer than most tests of what goes on in it. So
a module makes it once, in a transaction around those of its tests, and lends it to them.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import transaction

from engine import loading
from tests.world import Hand, World

AnyWorld = TypeVar("AnyWorld", bound=World)


class _Founding:
    """A world and the transaction in which it is there."""

    def __init__(self, make: Callable[[], World], *, blocker: Any) -> None:
        self._blocker = blocker
        self._atomic: Any = transaction.atomic()
        with blocker.unblock():
            self._atomic.__enter__()
            self.world = make()

    def close(self) -> None:
        with self._blocker.unblock():
            transaction.set_rollback(True)
            self._atomic.__exit__(None, None, None)


_OPEN: list[_Founding] = []


@contextmanager
def founded(make: Callable[[], AnyWorld], *, blocker: Any) -> Iterator[AnyWorld]:
    """Make a world that is there until the block ends, for a fixture of a whole module.

    `blocker` is the fixture `django_db_blocker`.
    """
    founding = _Founding(make, blocker=blocker)
    _OPEN.append(founding)
    world: Any = founding.world
    try:
        yield world
    finally:
        if founding in _OPEN:
            disband()


def disband() -> None:
    """End every world that is there: what comes next needs transactions of its own."""
    while _OPEN:
        _OPEN.pop().close()


def lend(world: AnyWorld) -> AnyWorld:
    """Return a world a test may change: its rows are rolled back, its objects are copies.

    A `hand` it has is another worker's, whose lease has just begun: a module takes longer.
    """
    assert any(world is item.world for item in _OPEN), (
        "a test with transactions of its own ended it"
    )
    loading.forget_all()
    mine: Any = copy.copy(world)
    mine.project = copy.deepcopy(world.project)
    mine.users, mine.groups = copy.deepcopy(world.users), copy.deepcopy(world.groups)
    if hasattr(world, "hand"):
        mine.hand = Hand()
    lent: AnyWorld = mine
    return lent
