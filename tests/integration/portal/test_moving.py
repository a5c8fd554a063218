"""Moving running runs to another version in the portal."""

from dataclasses import replace

import pytest

from core.identity.services.roles import assign_role
from engine.domain.plan import Step, Uses
from engine.domain.plan_json import plan_from_json
from engine.models import Run, Version
from tests.integration.portal.conftest import csrf_of, text


@pytest.fixture
def moved_to(office):
    """Return the address on which a waiting run is moved, and the run."""
    run_id = office.run()
    run = Run.objects.select_related("version").get(pk=run_id)
    assign_role(
        principal=office.system,
        role="publisher",
        scope_id=office.project.scope_id,
        user_id=office.users["mara"].pk,
    )
    plan = plan_from_json(run.version.plan)
    more = Step(id="extra", verb=Uses(action="transform/cel@1", arguments={"expression": "1"}))
    office.publish(replace(plan, steps={**plan.steps, "extra": more}), author="otto")
    return f"/workflows/{office.slug}/{plan.name}/versions/2/", run_id


def test_a_run_that_waits_is_moved_after_a_look(office, browse, moved_to):
    version, run_id = moved_to
    browser = browse("mara")
    assert f"{version}move/" in text(browser.get(version))
    page = browser.get(f"{version}move/")
    assert "1 of 1 can be moved" in text(page)
    values = {"csrfmiddlewaretoken": csrf_of(page), "from": "1", "after": ""}

    refused = browser.post(f"{version}move/", {**values, "reason": ""})
    assert refused.status_code == 422
    assert "Say why" in text(refused)
    assert Run.objects.get(pk=run_id).version.rev == 1
    done = browser.post(f"{version}move/", {**values, "reason": "one step more"})

    assert "1 moved" in text(done)
    assert Run.objects.get(pk=run_id).version.rev == 2
    told = text(browser.get(f"/runs/{run_id}/?tab=events"))
    assert "The run was moved to version 2" in told
    assert "There is nothing to move" in text(browser.get(f"{version}move/"))


def test_what_cannot_move_says_why(office, browse, moved_to):
    version, run_id = moved_to
    rows = Version.objects.filter(workflow=Run.objects.get(pk=run_id).workflow, rev=2)
    plan = plan_from_json(rows.get().plan)
    steps = {"extra": plan.steps["extra"]}
    office.publish(replace(plan, steps=steps, outputs={}), author="otto")
    shown = text(browse("mara").get(f"{version.replace('/2/', '/3/')}move/?from=1"))

    assert "0 of 1 can be moved" in shown
    assert "it is open, and not there" in shown
    assert 'id="move-form"' not in shown


def test_who_may_not_reads_who_may(office, browse, moved_to):
    version, _ = moved_to
    office.user("vera", "viewer")
    browser = browse("vera")

    assert f"{version}move/" not in text(browser.get(version))
    assert browser.get(f"{version}move/").status_code == 403
    assert browse("mara").get(f"{version.replace('/2/', '/9/')}move/").status_code == 404
    assert browse("mara").get(f"{version}move/?from=x&after=nonsense").status_code == 200
