"""Seeds of the whole engine over PostgreSQL, `make simulate` for more of them. Read `play.py`.

Crashes between any two statements, lost acknowledgements, stolen leases, lost and doubled hints,
bugs, late people: whatever the dice of a seed bring, every run ends once and every record holds.
"""

import pytest

_PROGRESS_COUNT = 50  # seeds between two lines of `make simulate`

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_run_ends_once_whatever_goes_wrong(theatre, seeds, say):
    for seed in seeds:
        report = theatre.play(seed=seed)
        say(str(report), only_one=True)
        if report.violations:
            pytest.fail(str(report), pytrace=False)
        if (seed + 1) % _PROGRESS_COUNT == 0:
            say(f"{seed + 1} seeds hold")


def test_a_seed_is_a_schedule(theatre):
    for seed in range(300, 303):
        first, second = (theatre.play(seed=seed).schedule for _ in range(2))

        assert first == second
