"""What one move opens and takes back again leaves nothing behind."""

import pytest

from approvals.models import Request
from engine.domain.plan import Emit, Kind, On, Plan, StateEvent, StateNode, Step, Transition
from engine.driver import DriveEnd
from engine.models import Wait

pytestmark = pytest.mark.django_db


def test_a_state_that_is_left_at_once_listens_to_nothing_any_more(world, hand):
    going = StateNode(
        id="going",
        step=Step(id="going", verb=Emit(type="going")),
        transitions=(Transition(on=On.SUCCESS, to="gone"),),
        events=(StateEvent(type="left", to="gone"),),
    )
    plan = Plan(
        name="machine",
        title="t",
        inputs_schema={},
        variables={},
        steps={},
        outputs={},
        kind=Kind.STATES,
        states={"going": going, "gone": StateNode(id="gone", final="succeeded")},
        initial="going",
    )
    world.publish(plan, author="mara")

    run_id = world.start("machine", by="mara").run_id

    assert hand.drive(run_id) is DriveEnd.CLOSED
    assert not Wait.objects.exists()
    assert not Request.objects.exists()
