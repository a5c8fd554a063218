"""Starting runs: what is refused leaves no trace, and what is started keeps what was given."""

import pytest
from django.db import connection

from core.kernel.record import Via
from engine.domain.errors import InputsInvalidError, InputsTooLargeError, TriggerRefusedError
from engine.domain.expressions import ExpressionError
from engine.domain.plan import Plan
from engine.models import Run
from engine.services.runs import start_run
from tests.world import fold


def plan(*, title="Job", variables=None, triggers=("manual", "api")):
    return Plan(
        name="job",
        title=title,
        inputs_schema={"type": "object", "properties": {"n": {"type": "number"}}},
        variables=variables or {},
        steps={},
        outputs={},
        triggers=triggers,
    )


def start(world, *, via=Via.API, inputs=None):
    return start_run(
        principal=world.principal("mara", via=via),
        project_slug=world.slug,
        workflow_slug="job",
        inputs={} if inputs is None else inputs,
    )


def numbers_drawn():
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value, is_called FROM engine_run_number_seq")
        return cursor.fetchone()


@pytest.mark.parametrize(
    ("triggers", "allowed", "refused"),
    [(("manual",), Via.PORTAL, Via.API), (("api",), Via.API, Via.PORTAL)],
)
def test_triggers_say_on_which_way_a_run_is_started(world, triggers, allowed, refused):
    world.publish(plan(triggers=triggers), author="mara")

    with pytest.raises(TriggerRefusedError):
        start(world, via=refused)
    assert not Run.objects.exists()

    start(world, via=allowed)
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "inputs", "error"),
    [
        ({}, {"n": "x"}, InputsInvalidError),
        ({}, {"n": 1e17}, InputsInvalidError),
        ({"triggers": ("manual",)}, {}, TriggerRefusedError),
        ({"title": "${{ inputs.absent }}"}, {}, ExpressionError),
        ({"variables": {"x": "${{ run.number / inputs.n }}"}}, {"n": 0}, ExpressionError),
        ({"variables": {"x": ["${{ inputs.x }}"] * 12}}, {"x": "x" * 100_000}, InputsTooLargeError),
    ],
)
def test_a_refused_start_leaves_no_gap_in_the_numbers(world, fields, inputs, error):
    world.publish(plan(), author="mara")
    first = start(world).number
    before = numbers_drawn()
    world.publish(plan(**fields), author="mara")

    with pytest.raises(error):
        start(world, inputs=inputs)

    assert numbers_drawn() == before
    world.publish(plan(), author="mara")
    assert start(world).number == first + 1


def test_a_whole_number_is_one_from_the_start_however_it_is_written(world, hand):
    world.publish(plan(title="Half: ${{ inputs.n / 2 }}"), author="mara")

    run_id = start(world, inputs={"n": 3.0}).run_id

    assert Run.objects.get(pk=run_id).title == "Half: 1"
    assert fold(run_id).inputs == {"n": 3}
