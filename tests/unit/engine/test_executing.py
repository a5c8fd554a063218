"""What an attempt is told of its time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from engine.actions.contract import TIMEOUT, ActionError, ActionSpec
from engine.attempts import AttemptBook
from engine.executing import StepCall, execute

RUN = UUID(int=1)


class StillClock:
    """A clock that stands until it is told to go on."""

    def __init__(self):
        self.seconds = 100.0

    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


def make_call(action, *, seconds, now=100.0):
    spec = ActionSpec(
        name="test/action",
        version=1,
        input_schema={},
        output_schema={},
        idempotent=True,
        pure=True,
        execute=action,
    )
    return StepCall(
        run_id=RUN,
        key="a#1",
        step="a",
        attempt=1,
        spec=spec,
        action=spec.reference,
        arguments={},
        timeout=timedelta(seconds=seconds),
        deadline=now + seconds,
    )


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, 0.0), (0.5, 0.45), (10.0, 9.0), (20.0, 18.0), (3600.0, 3598.0)]
)
def test_an_attempt_is_told_less_than_it_has(seconds, told):
    call = make_call(lambda call: call.attempt.timeout_seconds, seconds=seconds)

    assert execute(call, now=100.0).result == pytest.approx(told)


def test_an_attempt_past_its_deadline_has_no_time():
    call = make_call(lambda call: call.attempt.timeout_seconds, seconds=5.0)

    assert execute(call, now=300.0).result == 0


@pytest.mark.parametrize("seconds", [1.0, 10.0, 3600.0])
def test_an_action_that_ends_itself_in_time_is_not_taken_for_hung(seconds):
    clock = StillClock()
    book = AttemptBook(clock=clock)
    deadline = clock.monotonic() + seconds

    def action(call):
        clock.sleep(call.attempt.timeout_seconds + seconds * 0.0005)
        assert book.list_hung(now=clock.monotonic()) == []
        raise ActionError(TIMEOUT, "it took too long")

    call = make_call(action, seconds=seconds, now=clock.monotonic())
    with book.attempt(deadline=deadline, run_id=RUN, key="a#1") as beat:
        ended = execute(call, now=clock.monotonic(), beat=beat)

    assert (ended.error, ended.message) == ("timeout", "it took too long")
