"""What goes wrong with one request stays with it; a lost database is everybody's."""

import pytest
from django.db import connection

from approvals.services.isolating import attempt_alone
from core.kernel import ids

pytestmark = pytest.mark.django_db(transaction=True)


def attempt(act):
    return attempt_alone(act=act, request_id=ids.uuid7(), failure="approvals.test_failed")


def test_a_failure_is_logged_and_answered_with_no():
    def fail():
        raise KeyError("exclude")

    assert attempt(lambda: True)
    assert not attempt(lambda: False)
    assert not attempt(fail)


def test_a_failure_before_anything_was_asked_is_no_lost_connection():
    def fail():
        raise KeyError("exclude")

    connection.close()

    assert not attempt(fail)


def test_a_lost_connection_ends_the_round():
    def lose():
        connection.close()
        raise RuntimeError("the connection is gone")

    with pytest.raises(RuntimeError, match="gone"):
        attempt(lose)
