"""What the watchdog knows of attempts."""

from datetime import UTC, datetime

from core.kernel import ids
from countersign import Attempt
from engine.attempts import AttemptBook


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


RUN = ids.uuid7()


def test_an_attempt_past_its_deadline_hangs_by_timeout():
    book = AttemptBook(clock=StillClock())

    with book.attempt(deadline=110.0, run_id=RUN, key="a#1", number=2):
        assert book.list_hung(now=110.0) == []
        (hung,) = book.list_hung(now=110.1)
    assert (hung.run_id, hung.key, hung.attempt, hung.kind) == (RUN, "a#1", 2, "timeout")
    assert book.list_hung(now=110.1) == []


def test_an_attempt_that_falls_silent_hangs_by_heartbeat():
    clock = StillClock()
    book = AttemptBook(clock=clock)

    with book.attempt(deadline=999.0, run_id=RUN, key="a#1", heartbeat_seconds=5.0) as beat:
        assert book.list_hung(now=105.0) == []
        assert [item.kind for item in book.list_hung(now=105.1)] == ["heartbeat"]
        clock.seconds = 104.0
        beat.beat({"done": 7})
        assert book.list_hung(now=109.0) == []
        clock.seconds = 105.0
        beat.beat(None)
        (hung,) = book.list_hung(now=110.1)
    assert hung.progress == {"done": 7}


def test_without_a_bound_silence_is_no_fault():
    book = AttemptBook(clock=StillClock())

    with book.attempt(deadline=999.0):
        assert book.list_hung(now=900.0) == []


def test_only_attempts_of_the_step_and_run_meant_are_cancelled():
    book = AttemptBook(clock=StillClock())
    other = ids.uuid7()

    with (
        book.attempt(deadline=999.0, run_id=RUN, key="a#1") as a,
        book.attempt(deadline=999.0, run_id=RUN, key="b#1") as b,
        book.attempt(deadline=999.0, run_id=other, key="a#1") as c,
    ):
        book.cancel(run_id=RUN, key="a#1")
        assert [item.ask_cancelled() for item in (a, b, c)] == [True, False, False]
        book.cancel(run_id=RUN)
        assert [item.ask_cancelled() for item in (a, b, c)] == [True, True, False]
        assert set(book.list_curious()) == {RUN, other}
    assert book.list_curious() == []


def test_a_function_may_report_where_nothing_listens():
    attempt = Attempt(run_id="r", step="s", number=1, idempotency_key="k", timeout_seconds=1.0)

    attempt.heartbeat({"done": 1})

    assert attempt.is_cancelled is False
