"""Nobody gets around an approval by skipping a step of a run that was called."""

from dataclasses import replace

import pytest

from audit import store as ledger
from engine.domain.errors import StepNotSkippableError
from engine.domain.plan import AwaitEvent, Call, Plan, Step
from engine.models import Run
from engine.services import steering
from tests.integration.approvals.test_migrating import flow, gate, put


def test_a_step_of_a_called_run_is_not_skipped_around_an_approval_of_the_caller(office):
    hear = Step(id="hear", verb=AwaitEvent(type="never", correlate={}))
    checks: Plan = replace(flow(hear, put("also", "hear")), name="checks")
    asking = replace(gate("check"), condition="true", condition_reads=("check",))
    call = Step(id="check", verb=Call(workflow="checks", range="^1"))
    office.publish(checks, author="otto")
    office.publish(flow(call, asking), author="otto")
    run_id = office.start("release", by="mara").run_id
    office.hand.drive(run_id)
    child = Run.objects.get(parent_id=run_id)
    office.hand.drive(child.pk)
    mara = office.principal("mara")

    with pytest.raises(StepNotSkippableError, match="approve asks anybody"):
        steering.skip_step(principal=mara, run_id=child.pk, key="hear#1", reason="in a hurry")
    entries = ledger.read_stream(stream=child.pk, limit=100)
    assert "step.skip_requested" not in [entry.kind for entry in entries]

    alone = office.start("checks", by="mara").run_id
    office.hand.drive(alone)
    steering.skip_step(principal=mara, run_id=alone, key="hear#1", reason="in a hurry")
    office.hand.drive(alone)
    assert Run.objects.get(pk=alone).outcome == "succeeded"
