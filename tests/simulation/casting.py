"""Random plans within what definitions can say today. Read `random_plan`."""

import random
from collections.abc import Mapping

from approvals.verbs import ApprovalVerb
from core.kernel.types import Json
from engine import loading
from engine.domain.expressions import RUN_NAMES
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
from engine.domain.verbs import CheckScope

FUNCTION = "simulation.act"
GATE = "gate"
_EXPIRES_SECONDS = (5, 20, 60, 300)


def random_plan(dice: random.Random, *, name: str) -> Plan:
    """Return a plan of one to seven steps, each needing some of those before."""
    steps: dict[str, Step] = {}
    waits = 0
    for number in range(dice.choice([1, 2, 3, 3, 4, 4, 5, 6, 7])):
        step_id = f"s{number}"
        needs = _random_needs(dice, sorted(steps))
        draw = dice.random()
        if draw < 0.3 and waits < 2:
            waits += 1
            verb = Wait(verb="approval", body=_approval(dice))
            if draw < 0.15:
                verb = Wait(verb=GATE, body={})
            condition = dice.choice([None, None, "true", "inputs.absent", "false"])
            steps[step_id] = Step(id=step_id, verb=verb, needs=needs, condition=condition)
        else:
            steps[step_id] = _random_uses(dice, step_id, needs, steps)
    return Plan(name=name, title="t", inputs_schema={}, variables={}, steps=steps, outputs={})


def _random_needs(dice: random.Random, known: list[str]) -> tuple[str, ...]:
    count = min(len(known), dice.choice([0, 1, 1, 1, 2, 3]))
    return tuple(dice.sample(known, k=count))


def _random_uses(
    dice: random.Random, step_id: str, needs: tuple[str, ...], steps: Mapping[str, Step]
) -> Step:
    condition = dice.choice([None, None, None, None, "true", "false", "inputs.absent"])
    reads: tuple[str, ...] = ()
    if needs and dice.random() < 0.2:
        condition, reads = f"steps.{needs[0]}.outcome != 'skipped'", needs[:1]
    undoable = [name for name, step in steps.items() if step.compensate]
    on_error = OnError(
        compensate=tuple(dice.sample(undoable, k=min(len(undoable), dice.randint(0, 2)))),
        then=dice.choice([AfterError.FAIL, AfterError.CONTINUE]),
    )
    undo = Compensation(uses=_uses(step_id, undo=True), retry=_retry(dice, most=2))
    return Step(
        id=step_id,
        verb=_uses(step_id, undo=False),
        needs=needs,
        condition=condition,
        condition_reads=reads,
        join=dice.choice([Join.ALL, Join.ALL, Join.ALL_SETTLED]),
        retry=_retry(dice, most=3),
        timeout_seconds=dice.choice([5.0, 30.0, 1800.0]),
        compensate=undo if dice.random() < 0.4 else None,
        compensate_on_failure=dice.random() < 0.2,
        on_error=on_error if dice.random() < 0.3 else None,
    )


def _uses(step_id: str, *, undo: bool) -> Uses:
    arguments: dict[str, Json] = {
        "function": FUNCTION,
        "step": step_id,
        "undo": undo,
        "run": "${{ run.id }}",
    }
    return Uses(action="python/call@1", arguments=arguments)


def _retry(dice: random.Random, *, most: int) -> Retry:
    return Retry(
        retries_max=dice.randint(0, most),
        initial_seconds=dice.choice([0.5, 2.0, 20.0]),
        delay_seconds_max=30.0,
    )


def _approval(dice: random.Random) -> Mapping[str, Json]:
    count = dice.choice([1, 1, 2])
    stages: list[Json] = [
        {"id": "peer", "approvers": {"groups": ["board"]}, "quorum": {"count": count, "reject": 1}}
    ]
    if dice.random() < 0.25:
        stages.append({"id": "chief", "approvers": {"groups": ["board"]}})
    block: Json = {
        "expires": {
            "after": f"PT{dice.choice(_EXPIRES_SECONDS)}S",
            "then": dice.choice(["reject", "expire"]),
        },
        "stages": stages,
    }
    scope = CheckScope(step="s", path="", names=RUN_NAMES, evaluator=loading.EVALUATOR)
    checked = ApprovalVerb().check(block, scope=scope)
    assert [item for item in checked.problems if item.severity == "error"] == []
    return checked.body
