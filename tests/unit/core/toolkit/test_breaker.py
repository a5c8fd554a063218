"""A part that does not answer is left alone for a while."""

from datetime import timedelta

import pytest

from core.kernel.clock import FakeClock
from core.toolkit.breaker import Breaker


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock=clock, seconds=5.0)


def test_it_lets_through_until_something_fails(breaker):
    assert breaker.lets_through()

    breaker.record_failure()

    assert not breaker.lets_through()


def test_it_lets_through_again_after_its_seconds_and_not_before(breaker, clock):
    breaker.record_failure()

    clock.advance(timedelta(seconds=4.999))
    assert not breaker.lets_through()
    clock.advance(timedelta(seconds=0.001))
    assert breaker.lets_through()


def test_a_second_failure_starts_the_seconds_again(breaker, clock):
    breaker.record_failure()
    clock.advance(timedelta(seconds=5))
    breaker.record_failure()

    clock.advance(timedelta(seconds=4))

    assert not breaker.lets_through()


def test_only_the_first_failure_and_the_first_success_are_worth_a_line(breaker):
    assert breaker.record_failure() is True
    assert breaker.record_failure() is False
    assert breaker.record_success() is True
    assert breaker.record_success() is False


def test_failures_and_skips_are_counted_apart(breaker):
    breaker.record_failure()
    breaker.lets_through()
    breaker.lets_through()

    assert (breaker.failure_count, breaker.skip_count) == (1, 2)
