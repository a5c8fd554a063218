"""One seed, one run: random plans driven in memory through crashes, failures and decisions."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from engine.domain.events import Event, EventKind
from engine.domain.keys import is_undo, step_of
from engine.domain.plan import (
    AfterError,
    Compensation,
    Join,
    OnError,
    Plan,
    Retry,
    Step,
    Uses,
    Wait,
)
from engine.domain.state import RunStatus, StepStatus
from tests.pure_run import FailsError, PureRun

QUICK_SEEDS = range(200)
OUTCOMES = ["approved", "rejected", "expired", "voided", "overridden", "failed"]


def random_plan(dice: random.Random) -> Plan:
    steps: dict[str, Step] = {}
    for number in range(dice.randint(1, 9)):
        step_id = f"s{number}"
        needs = tuple(dice.sample(sorted(steps), k=min(len(steps), dice.randint(0, 3))))
        condition = dice.choice([None, None, None, "true", "false", "inputs.absent"])
        if dice.random() < 0.25:
            steps[step_id] = Step(
                id=step_id, verb=Wait(verb="approval", body={}), needs=needs, condition=condition
            )
        else:
            steps[step_id] = random_uses(dice, step_id, needs, condition, steps)
    return Plan(name="random", title="t", inputs_schema={}, variables={}, steps=steps, outputs={})


def random_uses(dice, step_id, needs, condition, steps):
    undo = Compensation(uses=Uses(action="python/call@1", arguments={}), retry=Retry(retries_max=1))
    undoable = [name for name, step in steps.items() if step.compensate]
    on_error = OnError(
        compensate=tuple(dice.sample(undoable, k=min(len(undoable), dice.randint(0, 2)))),
        then=dice.choice(list(AfterError)),
    )
    return Step(
        id=step_id,
        verb=Uses(action="python/call@1", arguments={"n": "${{ run.number }}"}),
        needs=needs,
        condition=condition,
        join=dice.choice([Join.ALL, Join.ALL, Join.ALL_SETTLED]),
        retry=Retry(retries_max=dice.randint(0, 3)),
        compensate=undo if dice.random() < 0.4 else None,
        compensate_on_failure=dice.random() < 0.2,
        on_error=on_error if dice.random() < 0.3 else None,
    )


def random_action(dice):
    def action(_):
        draw = dice.random()
        if draw < 0.2:
            raise FailsError("transient")
        if draw < 0.3:
            raise FailsError("permanent")
        return {"value": dice.randint(0, 9)}

    return action


def live(dice: random.Random, run: PureRun) -> None:
    """Do one random thing that can happen to a run."""
    draw = dice.random()
    if run.state.running and draw < 0.75:
        run.move(run._execute(dice.choice(sorted(run.state.running))))
    elif draw < 0.8:
        run.claim()  # the driver died, or the run was ready
    elif draw < 0.83 and not run.state.cancelling:
        run.cancel()
    else:
        waiting = [
            key for key, step in run.state.steps.items() if step.status is StepStatus.WAITING
        ]
        if waiting:
            key = dice.choice(sorted(waiting)).partition("#")[0]
            resolve(dice, run, key)
        elif run.state.backoff:
            run.now = max(run.now, min(run.state.backoff.values()))
            run.claim()


def resolve(dice, run, step):
    run.outside(
        Event(
            kind=EventKind.APPROVAL_RESOLVED,
            at=run.now,
            data={"key": f"{step}#1", "outcome": dice.choice(OUTCOMES)},
            payloads={"outputs": {}},
        )
    )


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_every_run_ends_once_and_replays(seed):
    dice = random.Random(seed)
    plan = random_plan(dice)
    run = PureRun(
        plan,
        actions={key: random_action(dice) for key in plan.steps}
        | {f"compensate/{key}": random_action(dice) for key in plan.steps},
        capacity=dice.randint(1, 4),
    )

    for _ in range(400):
        if run.closed:
            break
        live(dice, run)
        run.now += timedelta(seconds=dice.random())
        if run.status is RunStatus.READY and not run.state.running and not run.closed:
            run.claim()

    assert run.closed, f"seed {seed} is stuck: {run.state}"
    assert all(step.status is StepStatus.ENDED for step in run.state.steps.values())
    assert run.replayed() == run.state
    kinds = Counter(event.kind for event in run.events)
    assert kinds[EventKind.RUN_CLOSED] == 1
    assert run.events[-1].kind == EventKind.RUN_CLOSED
    completed = Counter(
        event.data["key"] for event in run.events if event.kind == EventKind.STEP_COMPLETED
    )
    assert all(count == 1 for count in completed.values())
    for key in filter(is_undo, map(str, completed)):
        assert plan.steps[step_of(key)].compensate
