"""How many seeds are played, and which. Read `pytest_generate_tests`."""

import pytest

from tests.simulation.play import opened_theatre

_SEED_COUNT = 200  # of `make test`
_GROUP_SIZE = 25  # so that several processes share them
_NIGHTLY_GROUP_SIZE = 250  # so that the tables stay as small as those of a day's work


def pytest_addoption(parser):
    parser.addoption("--seeds", type=int, help="play so many seeds of the engine's simulation")
    parser.addoption("--seed", type=int, help="play one seed and print its schedule")


def pytest_generate_tests(metafunc):
    """Spread the seeds over tests."""
    if "seeds" in metafunc.fixturenames:
        groups = _group_seeds(metafunc.config)
        names = [f"{group[0]}-{group[-1]}" for group in groups]
        metafunc.parametrize("seeds", groups, ids=names)


def _group_seeds(config: pytest.Config) -> list[range]:
    seed = config.getoption("seed", default=None)
    if seed is not None:
        return [range(seed, seed + 1)]
    count = config.getoption("seeds", default=None)
    size = _GROUP_SIZE if count is None else _NIGHTLY_GROUP_SIZE
    count = count or _SEED_COUNT
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


@pytest.fixture
def theatre(transactional_db, monkeypatch):
    with opened_theatre(monkeypatch) as theatre:
        yield theatre


@pytest.fixture
def say(request):
    """Print what was asked for by an option: progress, or the schedule of a seed."""
    asked = [request.config.getoption(name, default=None) for name in ("seeds", "seed")]

    def say(text, *, only_one=False):
        if asked[1] is not None if only_one else asked[0] is not None:
            print(text, flush=True)

    return say
