"""When a circuit lets attempts through."""

from datetime import UTC, datetime, timedelta

import pytest

from core.kernel import limits
from engine.domain.circuit import (
    Circuit,
    CircuitRule,
    ask,
    circuit_from_json,
    circuit_to_json,
    idle_at,
    note,
)
from engine.gates.rate import pace_of

RULE = CircuitRule(failures=3, window_seconds=60, cooldown_seconds=30)
START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def failed(circuit, *seconds, who="x"):
    for second in seconds:
        circuit = note(circuit, RULE, who=who, succeeded=False, now=at(second))
    return circuit


def test_a_closed_circuit_lets_through_until_enough_have_failed_in_the_window():
    circuit = failed(Circuit(), 0, 1)
    assert ask(circuit, RULE, who="a", now=at(1))[1].may_begin

    circuit = failed(circuit, 2)

    answer = ask(circuit, RULE, who="a", now=at(3))[1]
    assert (answer.may_begin, answer.at) == (False, at(32))


def test_failures_older_than_the_window_do_not_count():
    assert ask(failed(Circuit(), 0, 1, 61), RULE, who="a", now=at(61))[1].may_begin


def test_successes_do_not_take_failures_back():
    circuit = failed(Circuit(), 0, 1)
    circuit = note(circuit, RULE, who="a", succeeded=True, now=at(2))

    assert not ask(failed(circuit, 3), RULE, who="a", now=at(4))[1].may_begin


def test_after_the_cool_down_one_probes_and_the_others_look_again():
    circuit = failed(Circuit(), 0, 0, 0)

    circuit, answer = ask(circuit, RULE, who="a", now=at(30))
    assert (answer.may_begin, answer.is_probe) == (True, True)
    assert ask(circuit, RULE, who="a", now=at(31))[1].may_begin  # asked again
    other = ask(circuit, RULE, who="b", now=at(31))[1]

    assert (other.may_begin, other.at) == (False, at(31 + limits.CIRCUIT_LOOK_SECONDS))


def test_a_probe_that_ends_well_closes_the_circuit():
    circuit, _ = ask(failed(Circuit(), 0, 0, 0), RULE, who="a", now=at(30))

    assert note(circuit, RULE, who="a", succeeded=True, now=at(31)) == Circuit()


def test_a_probe_that_fails_opens_it_again():
    circuit, _ = ask(failed(Circuit(), 0, 0, 0), RULE, who="a", now=at(30))
    circuit = note(circuit, RULE, who="a", succeeded=False, now=at(40))

    assert ask(circuit, RULE, who="b", now=at(69))[1].at == at(70)
    assert ask(circuit, RULE, who="b", now=at(70))[1].is_probe


def test_those_that_began_before_it_opened_change_nothing():
    circuit, _ = ask(failed(Circuit(), 0, 0, 0), RULE, who="a", now=at(30))

    for succeeded in (True, False):
        assert note(circuit, RULE, who="late", succeeded=succeeded, now=at(31)) == circuit


def test_a_probe_nobody_hears_of_is_followed_by_another():
    circuit, _ = ask(failed(Circuit(), 0, 0, 0), RULE, who="a", now=at(30))

    circuit, answer = ask(circuit, RULE, who="b", now=at(60))

    assert answer.is_probe
    assert note(circuit, RULE, who="a", succeeded=True, now=at(61)) == circuit


def test_it_survives_being_stored():
    circuit, _ = ask(failed(Circuit(), 0, 0, 0), RULE, who="a", now=at(30))
    for item in (circuit, failed(Circuit(), 1, 2), Circuit()):
        assert circuit_from_json(circuit_to_json(item)) == item


def test_it_is_kept_as_long_as_it_may_say_no():
    circuit = failed(Circuit(), 0, 0, 0)

    assert idle_at(circuit, RULE, now=at(0)) == at(30 + 60 + 30)


@pytest.mark.parametrize("limit", [1, 2, 999, 1000, 1001, 1500, 12_345, 1_000_000])
def test_a_pace_never_exceeds_its_limit_and_loses_little(limit):
    pace = pace_of(limit=limit, seconds=60.0)

    parts = round(60.0 / pace.seconds)
    assert 1 <= pace.count <= limits.RATE_INSTANT_COUNT_MAX
    assert limit * 0.99 - 1 < pace.count * parts <= limit
