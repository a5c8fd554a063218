"""Reading one run: what was folded once is not folded again."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from engine import loading
from engine.domain.plan import Plan, Step, Uses
from engine.selectors.runs import get_run
from engine.services.runs import cancel_run

PLAN = Plan(
    name="read",
    title="Read",
    inputs_schema={"type": "object"},
    variables={},
    steps={
        "a": Step(id="a", verb=Uses(action="python/call@1", arguments={"function": "t.ok"})),
    },
    outputs={"answer": "steps.a.outcome"},
)


def entries_read(world, run_id):
    """Return what reading a run shows, and after which entry each look at its stream began."""
    with CaptureQueriesContext(connection) as queries:
        shown = get_run(principal=world.principal("mara"), run_id=run_id)
    looks = [query["sql"] for query in queries if "FROM audit_entry" in query["sql"]]
    return shown, looks


def test_reading_a_run_again_folds_nothing(world, hand, calls):
    world.publish(PLAN, author="mara")
    run_id = world.start("read", by="mara").run_id
    hand.drive(run_id)
    loading.forget_all()

    first, looks = entries_read(world, run_id)
    again, looks_again = entries_read(world, run_id)

    assert (len(looks), looks_again) == (1, [])
    assert first == again
    assert first.outputs == {"answer": "succeeded"}


def test_reading_a_run_that_went_on_folds_only_what_is_new(world, calls):
    world.publish(PLAN, author="mara")
    run_id = world.start("read", by="mara").run_id
    entries_read(world, run_id)
    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="changed my mind")

    shown, looks = entries_read(world, run_id)

    assert len(looks) == 1
    assert "seq > 1" in looks[0]
    assert shown.run.seq == 2
