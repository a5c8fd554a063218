"""What a bug does to a run: tried again ever later, then halted, on record, and never lost."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from audit import store as ledger
from core.kernel import limits
from engine import loading
from engine.domain.decider import Decider
from engine.domain.errors import DriverFailedError
from engine.domain.plan import Plan, Step, Uses
from engine.driver import DriveEnd
from engine.models import Run
from engine.selectors.runs import get_run
from engine.services.runs import cancel_run
from engine.sweep import sweep_once
from tests.world import fold


class BuggyEvaluator:
    """An evaluator with a bug in conditions."""

    def __getattr__(self, name):
        return getattr(loading.EVALUATOR, name)

    def condition(self, expression, variables):
        if "number" in expression:
            raise KeyError(expression)
        return loading.EVALUATOR.condition(expression, variables)


def plan(*conditions):
    """A chain of steps, one for each condition."""
    steps = {}
    for number, condition in enumerate(conditions):
        steps[f"s{number}"] = Step(
            id=f"s{number}",
            verb=Uses(action="python/call@1", arguments={"function": "t.ok"}),
            needs=(f"s{number - 1}",) if number else (),
            condition=condition,
        )
    return Plan(
        name="faulty",
        title="Faulty",
        inputs_schema={"type": "object"},
        variables={},
        steps=steps,
        outputs={},
    )


BUGGY = "run.number > 0"


def install(version, *, evaluator):
    """Let this process follow a version with an evaluator of the test's."""
    rules = loading.get_rules(version_id=version.pk)
    decider = Decider(plan=rules.decider.plan, evaluator=evaluator, verbs={})
    loading._rules.keep(version.pk, replace(rules, decider=decider))


def start(world, *conditions):
    version = world.publish(plan(*conditions), author="mara")
    install(version, evaluator=BuggyEvaluator())
    return version, world.start("faulty", by="mara").run_id


def make_due(run_id):
    """Let the delay pass."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE engine_run SET wake_at = clock_timestamp() - interval '1 ms' WHERE id = %s",
            [run_id],
        )


def fail(hand, run_id):
    """Drive into the bug; return the delay until the run is tried again."""
    with pytest.raises(KeyError):
        hand.drive(run_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT wake_at - clock_timestamp() FROM engine_run WHERE id = %s", [run_id])
        return cursor.fetchone()[0]


@pytest.mark.parametrize("conditions", [(BUGGY,), ("true", BUGGY)])
def test_a_run_that_meets_a_bug_is_tried_again_ever_later_and_then_halted(
    world, hand, calls, conditions
):
    _, run_id = start(world, *conditions)

    delays = []
    for _ in range(limits.FAULT_COUNT_MAX - 1):
        delays.append(fail(hand, run_id))
        run = Run.objects.get(pk=run_id)
        assert (run.status, run.worker) == ("WAITING", None)
        assert hand.drive(run_id) is DriveEnd.NOT_FREE
        assert sweep_once().is_idle
        make_due(run_id)
    with pytest.raises(KeyError):
        hand.drive(run_id)

    slack = timedelta(seconds=2)
    for number, delay in enumerate(delays):
        wanted = min(limits.FAULT_DELAY_FIRST * 4**number, limits.FAULT_DELAY_MAX)
        assert wanted - slack < delay <= wanted
    run = Run.objects.get(pk=run_id)
    assert (run.status, run.worker, run.wake_at) == ("HALTED", None, None)
    last = ledger.read_stream(stream=run_id, limit=100)[-1]
    assert (last.kind, last.data["code"]) == ("run.halted", DriverFailedError.code)
    assert "KeyError" in str(last.payloads["difference"])
    assert hand.drive(run_id) is DriveEnd.NOT_FREE


def test_a_run_whose_bug_was_mended_goes_on_and_is_given_all_tries_again(world, hand, calls):
    version, run_id = start(world, "true", BUGGY)
    for _ in range(limits.FAULT_COUNT_MAX - 1):
        fail(hand, run_id)
        make_due(run_id)

    install(version, evaluator=loading.EVALUATOR)

    assert hand.drive(run_id) is DriveEnd.CLOSED
    run = Run.objects.get(pk=run_id)
    assert (run.outcome, run.fault_count) == ("succeeded", 0)
    assert fold(run_id).closed


def test_a_decision_from_outside_is_looked_at_without_waiting(world, hand, calls):
    _, run_id = start(world, BUGGY)
    fail(hand, run_id)

    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="it hangs")

    assert Run.objects.get(pk=run_id).status == "READY"
    assert hand.drive(run_id) is DriveEnd.CLOSED
    assert Run.objects.get(pk=run_id).outcome == "cancelled"


def test_a_run_halted_by_a_bug_is_shown_and_can_be_closed(world, hand, calls):
    _, run_id = start(world, "true", BUGGY)
    for _ in range(limits.FAULT_COUNT_MAX):
        with pytest.raises(KeyError):
            hand.drive(run_id)
        make_due(run_id)
    mara = world.principal("mara")

    shown = get_run(principal=mara, run_id=run_id)
    cancel_run(principal=mara, run_id=run_id, reason="cannot be saved")

    assert shown.run.status == "HALTED"
    run = Run.objects.get(pk=run_id)
    assert (run.status, run.outcome) == ("CLOSED", "cancelled")


def test_a_halted_run_whose_record_meets_the_bug_again_says_that_it_is_unreadable(
    world, hand, calls
):
    version, run_id = start(world, BUGGY)
    install(version, evaluator=loading.EVALUATOR)
    hand.driver._claim(run_id)
    install(version, evaluator=BuggyEvaluator())
    loading.forget_state(run_id=run_id)
    mara = world.principal("mara")
    with pytest.raises(KeyError):
        get_run(principal=mara, run_id=run_id)

    Run.objects.filter(pk=run_id).update(status="HALTED")

    shown = get_run(principal=mara, run_id=run_id)
    assert (shown.run.status, shown.steps) == ("HALTED", ())
    assert "bug" in shown.unreadable


def test_the_page_of_an_unreadable_run_stands(world, hand, calls):
    version, run_id = start(world, BUGGY)
    install(version, evaluator=loading.EVALUATOR)
    hand.driver._claim(run_id)
    install(version, evaluator=BuggyEvaluator())
    loading.forget_state(run_id=run_id)
    Run.objects.filter(pk=run_id).update(status="HALTED")
    browser = Client()
    browser.force_login(world.users["mara"], backend="django.contrib.auth.backends.ModelBackend")

    for tab in ("timeline", "events", "data"):
        page = browser.get(f"/runs/{run_id}/?tab={tab}")
        assert page.status_code == 200
        assert "A bug keeps the record from being read" in page.content.decode()
