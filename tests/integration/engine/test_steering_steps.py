"""What operators do to steps of a run, and events for one run, on a real database."""

import pytest

from audit import store as ledger
from core.identity.domain.errors import AccessForbiddenError
from core.kernel import limits
from engine.domain.errors import (
    EventReusedError,
    ReasonMissingError,
    ReasonTooLongError,
    RunClosedError,
    RunMissingError,
    RunStepMissingError,
    RunTooLongError,
    StepNotRetriableError,
    StepNotSkippableError,
)
from engine.domain.plan import AfterError, OnError, Plan, Step, Uses
from engine.models import Delivery, Inbox, Wait
from engine.services import steering
from engine.services.addressing import send_to_run
from engine.services.runs import cancel_run
from tests.integration.engine.field import newest_run, outcome
from tests.integration.engine.operating import (
    INNER,
    UNDOES,
    WAITS,
    WHY,
    Operator,
    kinds,
    new_field,
)
from tests.world import fold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def field(calls):
    return new_field()


@pytest.fixture
def act(field):
    """Return what does a verb as an operator and lets everything settle."""
    return Operator(field)


# --- steps ---------------------------------------------------------------------------------------


def test_the_next_attempt_begins_now(field, act, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: flaky
        steps:
          a:
            uses: python/call@1
            with: {function: t.flaky, times: 1}
            retry: {max: 3, initial: PT1H}
        """
    )
    run = field.start("flaky")
    assert fold(run.pk).steps["a#1"].status == "backoff"

    made = act(steering.retry_step, run, key="a#1")

    assert (made.status, made.replayed) == ("READY", False)
    assert outcome(run) == "succeeded"
    assert len(calls) == 2
    with pytest.raises(RunClosedError):
        act(steering.retry_step, run, key="a#1")


def test_what_has_failed_is_tried_again_while_the_run_is_open(field, act, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: beside
        steps:
          a: {uses: python/call@1, with: {function: t.boom}}
          b: {needs: [a], uses: python/call@1, with: {function: t.ok}}
          stay: {wait: {event: {type: go, correlate: {}}}}
        """
    )
    run = field.start("beside")
    assert fold(run.pk).steps["b#1"].outcome == "unreached"

    act(steering.retry_step, run, key="a#1")

    assert len(calls) == 2
    state = fold(run.pk)
    assert (state.steps["a#1"].round, str(state.steps["b#1"].outcome)) == (2, "unreached")
    keys = {key for _, key, _ in calls}
    assert len(keys) == 2  # another round has another idempotency key


def test_a_step_that_waits_is_skipped_once(field, act):
    field.publish(WAITS)
    run = field.start("waits")
    mara = field.world.principal("mara")

    steering.skip_step(principal=mara, run_id=run.pk, key="hear#1", reason=WHY)
    again = steering.skip_step(principal=mara, run_id=run.pk, key="hear#1", reason=WHY)
    field.settle()

    assert again.replayed
    assert kinds(run).count("step.skip_requested") == 1
    assert outcome(run) == "failed"  # its outputs read what was never heard
    assert str(fold(run.pk).steps["work#1"].outcome) == "skipped"
    assert not Wait.objects.exists()


def test_a_call_is_skipped_and_the_called_run_cancelled(field, act):
    field.publish(INNER)
    field.publish(UNDOES)
    run = field.start("undoes")
    child = newest_run()

    act(steering.skip_step, run, key="call#1")

    assert (outcome(run), outcome(child)) == ("succeeded", "cancelled")


def test_a_call_of_what_may_call_on_is_not_skipped(field, act):
    field.publish(INNER)
    field.publish(UNDOES)
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: outer
        steps:
          call: {call: "undoes@^1"}
        """
    )
    run = field.start("outer")

    with pytest.raises(StepNotSkippableError, match="may call one"):
        act(steering.skip_step, run, key="call#1")


def test_what_makes_no_sense_is_refused(field, act):
    field.publish(WAITS)
    run = field.start("waits")

    with pytest.raises(RunStepMissingError):
        act(steering.skip_step, run, key="other#1")
    with pytest.raises(StepNotRetriableError):
        act(steering.retry_step, run, key="hear#1")
    with pytest.raises(ReasonMissingError):
        act(steering.pause_run, run, reason="  ")
    with pytest.raises(ReasonTooLongError):
        act(steering.pause_run, run, reason="x" * (limits.REASON_CHARS_MAX + 1))


def test_a_record_that_is_nearly_full_takes_only_what_is_needed(field, act, monkeypatch):
    field.publish(WAITS)
    run = field.start("waits")
    act(steering.pause_run, run)
    monkeypatch.setattr(limits, "OPERATE_ENTRY_COUNT_MAX", 1)

    with pytest.raises(RunTooLongError):
        act(steering.skip_step, run, key="hear#1")
    with pytest.raises(RunTooLongError):
        send(act, run, id="7", n=1)
    act(steering.resume_run, run)
    with pytest.raises(RunTooLongError):
        act(steering.pause_run, run)
    act(cancel_run, run)

    assert outcome(run) == "cancelled"


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        (steering.pause_run, {}),
        (steering.resume_run, {}),
        (steering.retry_step, {"key": "hear#1"}),
        (steering.skip_step, {"key": "hear#1"}),
        (cancel_run, {"compensate": True}),
        (send_to_run, {"event_type": "go", "data": {}, "event_id": ""}),
    ],
)
def test_only_who_operates_runs_may(field, act, verb, fields):
    field.publish(WAITS)
    run = field.start("waits")
    before = kinds(run)

    with pytest.raises(AccessForbiddenError):
        act(verb, run, by="vera", **fields)
    with pytest.raises(RunMissingError):
        act(verb, run, by="nina", **fields)
    assert kinds(run) == before


# --- sending an event to a run -------------------------------------------------------------------


def send(act, run, *, id_="", type_="go", **data):
    return act(send_to_run, run, event_type=type_, data=data, event_id=id_)


def test_an_event_for_one_run_reaches_no_other(field, act):
    field.publish(WAITS)
    one, other = field.start("waits"), field.start("waits")

    send(act, one, id="7", n=42)

    assert (outcome(one), outcome(other)) == ("succeeded", "WAITING")
    told = list(ledger.read_stream(stream=one.pk, limit=100))
    addressed = next(entry for entry in told if entry.kind == "event.addressed")
    assert (addressed.data["type"], addressed.payloads["reason"]) == ("go", WHY)
    received = next(entry for entry in told if entry.kind == "event.received")
    assert received.data["event"] == addressed.data["event"]
    # Nor does a wait that begins later have it.
    assert outcome(field.start("waits")) == "WAITING"
    assert not Delivery.objects.exists()


def test_it_has_to_match(field, act):
    field.publish(WAITS)
    run = field.start("waits")

    send(act, run, id="8", n=42)

    assert outcome(run) == "WAITING"
    assert Inbox.objects.get().run_id == run.pk


def test_it_is_kept_for_what_the_run_waits_for_later(field, act):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: later
        steps:
          first: {wait: {event: {type: one, correlate: {}}}}
          second: {needs: [first], wait: {event: {type: two, correlate: {}}}}
        """
    )
    run = field.start("later")

    send(act, run, type_="two")
    assert outcome(run) == "WAITING"
    send(act, run, type_="one")

    assert outcome(run) == "succeeded"


def test_it_counts_once_under_its_senders_id(field, act):
    field.publish(WAITS)
    run = field.start("waits")

    first = send(act, run, id_="e1", id="8", n=1)
    again = send(act, run, id_="e1", id="8", n=1)

    assert (first.replayed, again.replayed) == (False, True)
    assert first.event_id == again.event_id
    assert kinds(run).count("event.addressed") == 1
    with pytest.raises(EventReusedError):
        send(act, run, id_="e1", id="8", n=2)


def test_a_run_that_is_over_hears_nothing(field, act):
    field.publish(WAITS)
    run = field.start("waits")
    act(cancel_run, run)

    with pytest.raises(RunClosedError):
        send(act, run, id="7", n=1)


def test_a_question_is_answered_by_the_verb(field, act):
    ask = OnError(then=AfterError.ASK)
    boom = Uses(action="python/call@1", arguments={"function": "t.boom"})
    plan = Plan(
        name="asks",
        title="t",
        inputs_schema={},
        variables={},
        steps={"a": Step(id="a", verb=boom, on_error=ask)},
        outputs={},
    )
    field.world.publish(plan, author="mara")
    run = field.start("asks")
    assert "question.asked" in kinds(run)

    act(steering.retry_step, run, key="a#1")
    assert kinds(run).count("question.asked") == 2
    act(steering.skip_step, run, key="a#1")

    assert outcome(run) == "succeeded"
    assert kinds(run).count("question.resolved") == 2
    assert "step.skip_requested" not in kinds(run)
