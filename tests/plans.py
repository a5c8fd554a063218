"""Plans and scripted actions for tests of the decider."""

from engine.domain.plan import Compensation, Plan, Step, Uses, Wait
from tests.pure_run import FailsError

APPROVAL = Wait(verb="approval", body={"shown": "${{ inputs }}"})


def uses(step_id, *needs, **fields):
    arguments = fields.pop("arguments", {"function": step_id})
    reads = fields.pop("reads", ())
    return Step(
        id=step_id,
        verb=Uses(action="python/call@1", arguments=arguments),
        needs=needs,
        condition_reads=reads,
        **fields,
    )


def approval(step_id, *needs, **fields):
    return Step(id=step_id, verb=APPROVAL, needs=needs, **fields)


def plan(*steps, outputs=None):
    return Plan(
        name="test",
        title="Test",
        inputs_schema={"type": "object"},
        variables={},
        steps={step.id: step for step in steps},
        outputs=outputs or {},
    )


def boom(kind="permanent"):
    def action(_):
        raise FailsError(kind)

    return action


def failing(times, kind="transient"):
    """An action that fails a number of times, then succeeds."""
    left = [times]

    def action(_):
        if left[0]:
            left[0] -= 1
            raise FailsError(kind)
        return {"ok": True}

    return action


def undoable(step_id, *needs, **fields):
    undo = Compensation(uses=Uses(action="python/call@1", arguments={"undo": step_id}))
    return uses(step_id, *needs, compensate=undo, **fields)
