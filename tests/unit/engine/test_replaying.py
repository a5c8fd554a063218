"""Replaying a record with other rules than its own: where it first leads elsewhere, and why."""

from dataclasses import replace

from core.kernel import limits
from engine.domain.decider import Decider
from engine.domain.plan import Plan, Uses
from engine.domain.replaying import replay
from tests.plans import approval, plan, uses
from tests.pure_run import EVALUATOR, VERBS, PureRun

GATED = (uses("a"), approval("gate", "a"), uses("b", "gate"))


def decider(made: Plan) -> Decider:
    return Decider(plan=made, evaluator=EVALUATOR, verbs=VERBS)


def recorded(*steps):
    return PureRun(plan(*steps), inputs={"n": 1}).drive()


def test_a_record_replays_with_its_own_rules():
    run = recorded(*GATED)

    made = replay(decider(run.plan), run.events)

    assert made.divergence is None
    assert made.entry_count == len(run.events)
    assert made.state == run.state


def test_steps_that_come_later_may_be_added():
    run = recorded(*GATED)

    assert replay(decider(plan(*GATED, uses("c", "b"))), run.events).divergence is None


def test_other_arguments_of_a_step_that_has_begun_are_found_where_it_began():
    run = recorded(*GATED)
    other = uses("a", arguments={"function": "other"})

    made = replay(decider(plan(other, *GATED[1:])), run.events)

    assert made.divergence is not None
    begun = next(event for event in run.events if "'a#1'" in str(event.data.get("decided")))
    assert made.divergence.seq == begun.seq == made.entry_count + 1
    assert made.divergence.expected != made.divergence.found


def test_a_question_that_shows_something_else_is_found_where_it_was_asked():
    run = recorded(*GATED)
    gate = replace(GATED[1], verb=replace(GATED[1].verb, body={"shown": "something else"}))

    made = replay(decider(plan(GATED[0], gate, GATED[2])), run.events)

    assert made.divergence is not None
    assert made.divergence.kind == "approval.requested"


def test_a_step_that_is_gone_is_found_and_nothing_is_raised():
    run = recorded(*GATED)

    made = replay(decider(plan(uses("other"))), run.events)

    assert made.divergence is not None
    assert "a#1" in f"{made.divergence.expected} {made.divergence.found}"


def test_nothing_after_a_divergence_is_looked_at():
    run = recorded(*GATED)

    made = replay(decider(plan(uses("other"))), run.events)
    first = made.divergence

    assert not made.go_on(run.events)
    assert made.divergence is first


def test_what_a_divergence_says_is_bounded():
    many = [uses(f"s{number}") for number in range(100)]
    run = PureRun(plan(*many), capacity=100).drive()
    others = [
        replace(step, verb=Uses(action="python/call@1", arguments={"x": step.id})) for step in many
    ]
    skipped = [replace(step, condition="false") for step in others]

    made = replay(decider(plan(*skipped)), run.events)

    assert made.divergence is not None
    assert len(made.divergence.found) <= limits.DIVERGENCE_CHARS_MAX
    assert len(made.divergence.expected) <= limits.DIVERGENCE_CHARS_MAX
