"""What may start a run of a workflow."""

import pytest

from core.kernel.record import Via
from engine.domain.errors import TriggerRefusedError
from engine.domain.plan import Plan
from engine.domain.triggers import check_trigger


@pytest.mark.parametrize("via", [Via.API, Via.PORTAL])
def test_a_definition_that_says_nothing_is_started_both_ways(via):
    plan = Plan(name="x", title="x", inputs_schema={}, variables={}, steps={}, outputs={})

    check_trigger(triggers=plan.triggers, via=via)


@pytest.mark.parametrize(
    ("triggers", "allowed", "refused", "advice"),
    [
        (("manual",), Via.PORTAL, Via.API, "Start it in the portal"),
        (("api",), Via.API, Via.PORTAL, "Start it over the API"),
    ],
)
def test_a_start_on_a_way_that_is_not_named_is_refused_with_the_ways_there_are(
    triggers, allowed, refused, advice
):
    check_trigger(triggers=triggers, via=allowed)

    with pytest.raises(TriggerRefusedError, match=advice) as caught:
        check_trigger(triggers=triggers, via=refused)

    assert caught.value.details["triggers"] == list(triggers)


def test_a_definition_that_names_neither_is_started_by_nobody():
    for via, name in ((Via.API, "api"), (Via.PORTAL, "manual")):
        with pytest.raises(TriggerRefusedError, match=f"Publish .* `{name}`"):
            check_trigger(triggers=("schedule",), via=via)
