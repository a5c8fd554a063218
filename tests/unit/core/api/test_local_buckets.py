"""Passwords are counted in the process while Redis does not answer."""

import pytest

from core.kernel import limits
from core.toolkit.api import throttling
from core.toolkit.api.conf import Rate

RATE = Rate(count=3, seconds=300)


@pytest.fixture
def buckets():
    return throttling._LocalBuckets()


def test_a_bucket_holds_as_many_as_the_rate_says(buckets):
    waits = [buckets.take("name:a", rate=RATE) for _ in range(4)]

    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 0 < waits[3] <= 100
    assert buckets.take("name:b", rate=RATE) == 0.0


def test_buckets_do_not_fill_the_memory(buckets, monkeypatch):
    monkeypatch.setattr(limits, "LOGIN_BUCKET_COUNT_MAX", 5)

    for number in range(50):
        buckets.take(f"address:{number}", rate=RATE)

    assert len(buckets._full_at) == 5
