"""Moving runs to another version: open approvals, the record, and who may."""

import pytest
from django.db import transaction

from approvals.models import Request, RequestStatus
from approvals.verbs import ApprovalVerb
from audit import store as ledger
from core.identity.domain.errors import AccessForbiddenError
from core.identity.services.roles import assign_role
from core.kernel.record import ENGINE_ORIGIN
from core.kernel.types import Json
from engine import loading
from engine.domain.errors import (
    NothingPublishedError,
    ReasonMissingError,
    VersionMissingError,
    WorkflowMissingError,
)
from engine.domain.expressions import RUN_NAMES
from engine.domain.plan import AwaitEvent, Plan, Step, Uses, Wait
from engine.domain.verbs import CheckScope
from engine.models import Run, Version
from engine.selectors.facts import get_run_facts
from engine.services import events, migrating, replaying
from engine.services.migrating import Migration
from engine.services.rerunning import Wish, rerun
from engine.services.runs import cancel_run
from tests.integration.approvals.conftest import PEER
from tests.world import fold


def gate(*needs, **block):
    peer: dict[str, Json] = {"id": "peer", "approvers": {"groups": ["board"]}}
    body: dict[str, Json] = {"expires": {"after": "PT1H"}, "stages": [peer], **block}
    checked = ApprovalVerb().check(
        body,
        scope=CheckScope(step="approve", path="", names=RUN_NAMES, evaluator=loading.EVALUATOR),
    )
    return Step(id="approve", verb=Wait(verb="approval", body=checked.body), needs=needs)


def put(name, *needs, **arguments):
    fields: dict[str, Json] = {key: f"'{value}'" for key, value in arguments.items()}
    values: dict[str, Json] = {"fields": fields or {"a": "1"}}
    return Step(id=name, verb=Uses(action="transform/cel@1", arguments=values), needs=needs)


def flow(*steps, inputs=None, variables=None):
    return Plan(
        name="release",
        title="Release",
        inputs_schema={"type": "object", **(inputs or {})},
        variables=variables or {},
        steps={step.id: step for step in steps},
        outputs={},
    )


@pytest.fixture
def waiting(office):
    """Return a run of version 1 that waits for people, of an office where Mara may move it."""
    assign_role(
        principal=office.system,
        role="publisher",
        scope_id=office.project.scope_id,
        user_id=office.users["mara"].pk,
    )
    office.publish(flow(put("build"), gate("build"), put("deploy", "approve")), author="otto")
    run_id = office.start("release", by="mara").run_id
    office.hand.drive(run_id)
    return run_id


def move(office, *, who="mara", reason="the script was wrong", to=2, **fields):
    return migrating.migrate_runs(
        principal=office.principal(who),
        project_slug=office.slug,
        workflow_slug="release",
        migration=Migration(from_rev=1, to_rev=to, **fields),
        reason=reason,
    )


def foresee(office, **fields):
    return migrating.foresee_migration(
        principal=office.principal("mara"),
        project_slug=office.slug,
        workflow_slug="release",
        migration=Migration(from_rev=1, to_rev=2, **fields),
    )


def kinds(run_id):
    return [entry.kind for entry in ledger.read_stream(stream=run_id, limit=100)]


def test_a_run_goes_on_as_the_new_version_says_and_replays(office, waiting):
    office.publish(
        flow(put("build", n="other"), gate("build"), put("deploy", "approve"), put("lint")),
        author="otto",
    )
    before = Request.objects.get(run_id=waiting)
    seen = foresee(office).runs[0]
    assert (seen.run_id, seen.obstacles, seen.reset, seen.has_moved) == (waiting, (), (), False)
    assert "run.migrated" not in kinds(waiting)

    report = move(office)
    assert report.runs[0].has_moved
    office.hand.drive(waiting)

    run = Run.objects.get(pk=waiting)
    assert (run.version.rev, run.status) == (2, "WAITING")
    assert Request.objects.get(run_id=waiting).pk == before.pk
    assert str(fold(waiting).steps["lint#1"].outcome) == "succeeded"
    office.decide(before, "ann")
    office.hand.drive(waiting)
    assert Run.objects.get(pk=waiting).outcome == "succeeded"
    assert fold(waiting).closed
    report = replaying.replay_run(run=Run.objects.select_related("version").get(pk=waiting))
    assert report.holds
    assert report.entry_count == Run.objects.get(pk=waiting).seq
    assert move(office).runs == ()


def test_a_changed_approval_is_taken_back_and_asked_anew(office, waiting):
    new = gate("build", stages=[{**PEER, "quorum": {"count": 2}}])
    office.publish(flow(put("build"), new, put("deploy", "approve")), author="otto")
    before = Request.objects.get(run_id=waiting)

    assert move(office).runs[0].reset == ("approve#1",)
    office.hand.drive(waiting)

    before.refresh_from_db()
    assert (before.status, before.outcome) == (RequestStatus.CLOSED, "voided")
    after = Request.objects.get(run_id=waiting, status=RequestStatus.OPEN)
    office.decide(after, "ann")
    assert Run.objects.get(pk=waiting).status == "WAITING"
    office.decide(after, "bob")
    office.hand.drive(waiting)
    assert Run.objects.get(pk=waiting).outcome == "succeeded"
    assert fold(waiting).closed


def test_a_vote_that_crosses_the_move_does_not_count_for_it(office, waiting):
    office.publish(
        flow(put("build"), gate("build"), put("deploy", "approve", n="x")), author="otto"
    )
    before = Request.objects.get(run_id=waiting)

    move(office)
    office.decide(before, "ann")
    office.hand.drive(waiting)

    assert Run.objects.get(pk=waiting).status == "WAITING"
    after = Request.objects.get(run_id=waiting, status=RequestStatus.OPEN)
    assert after.pk != before.pk
    office.decide(after, "bob")
    office.hand.drive(waiting)
    assert Run.objects.get(pk=waiting).outcome == "succeeded"


def test_what_is_on_record_says_who_why_and_what(office, waiting):
    office.publish(
        flow(
            put("compile"),
            gate("compile"),
            put("deploy", "approve"),
            inputs={"properties": {"n": {"type": "integer", "default": 3}}},
            variables={"x": "${{ inputs.n }}", "y": "old"},
        ),
        author="otto",
    )
    mara = office.principal("mara")

    move(office, names={"build": "compile"}, data={"y": "'n is ' + string(inputs.n)"})

    entry = ledger.read_stream(stream=waiting, limit=100)[-1]
    versions = {item.rev: str(item.pk) for item in Version.objects.all()}
    assert entry.kind == "run.migrated"
    assert entry.data == {
        "version_from": versions[1],
        "version_to": versions[2],
        "rev": 2,
        "reset": ["approve#1"],  # it shows all inputs
    }
    assert entry.payloads["names"] == {"build": "compile"}
    assert entry.payloads["inputs"] == {"n": 3}
    assert entry.payloads["vars"] == {"x": 3, "y": "n is 3"}
    assert entry.payloads["reason"] == "the script was wrong"
    state = fold(waiting)
    assert str(state.steps["compile#1"].outcome) == "succeeded"
    assert mara.user_id == office.users["mara"].pk


def test_a_run_that_cannot_move_stays_and_says_why_while_others_move(office, waiting):
    other = office.start("release", by="mara").run_id
    office.hand.drive(other)
    office.publish(flow(put("build"), put("deploy", "build")), author="otto")
    third = office.start("release", by="mara").run_id
    assert Run.objects.get(pk=third).version.rev == 2

    report = move(office)

    assert [item.run_id for item in report.runs] == [waiting, other]
    assert {item.code for run in report.runs for item in run.obstacles} == {"removed-open"}
    assert Run.objects.get(pk=waiting).version.rev == 1
    office.decide(Request.objects.get(run_id=waiting), "ann")
    office.hand.drive(waiting)
    assert Run.objects.get(pk=waiting).outcome == "succeeded"


def test_inputs_that_do_not_match_the_new_version_keep_a_run_where_it_is(office, waiting):
    office.publish(
        flow(put("build"), gate("build"), inputs={"required": ["ticket"]}), author="otto"
    )

    obstacle = move(office).runs[0].obstacles[0]

    assert (obstacle.code, "ticket" in obstacle.message) == ("engine.inputs_invalid", True)
    bad = move(office, to=2, data={"x": "nonsense("}).runs[0].obstacles
    assert len(bad) == 1


def test_a_run_that_executes_or_is_ready_does_not_move(office, waiting):
    fresh = office.start("release", by="mara").run_id
    office.publish(flow(put("build"), gate("build"), put("deploy", "approve")), author="otto")

    report = move(office, run_ids=[fresh])

    assert [item.code for item in report.runs[0].obstacles] == ["executing"]


def test_a_wait_for_an_event_goes_on_after_a_move(office, waiting):
    office.publish(
        flow(Step(id="go", verb=AwaitEvent(type="t.go")), put("deploy", "go")), author="otto"
    )
    run_id = office.start("release", by="mara").run_id
    office.hand.drive(run_id)
    office.publish(
        flow(Step(id="go", verb=AwaitEvent(type="t.go")), put("deploy", "go", n="new")),
        author="otto",
    )
    migrating.migrate_runs(
        principal=office.principal("mara"),
        project_slug=office.slug,
        workflow_slug="release",
        migration=Migration(from_rev=2, to_rev=3),
        reason="x",
    )
    office.hand.drive(run_id)
    with transaction.atomic():
        events.publish(
            project_id=office.project.pk, event_type="t.go", data={}, origin=ENGINE_ORIGIN
        )
    assert events.deliver_run(run_id=run_id) == 1
    office.hand.drive(run_id)

    assert fold(run_id).steps["deploy#1"].outputs["result"] == {"n": "new"}


def test_it_needs_the_right_to_publish_and_the_right_to_operate(office, waiting):
    office.publish(flow(put("build"), gate("build")), author="otto")
    office.user("pub", "publisher")
    office.user("ops", "operator")
    office.user("stranger")

    for who in ("pub", "ops"):
        with pytest.raises(AccessForbiddenError):
            move(office, who=who)
    with pytest.raises(WorkflowMissingError):
        move(office, who="stranger")


def test_what_is_asked_for_has_to_be_there(office, waiting):
    with pytest.raises(VersionMissingError):
        move(office, to=2)
    office.publish(flow(put("build"), gate("build")), author="otto")
    with pytest.raises(ReasonMissingError):
        move(office, reason=" ")
    Version.objects.filter(rev=2).update(status="retired")
    with pytest.raises(NothingPublishedError):
        move(office)


def test_a_run_that_was_moved_can_be_run_again(office, waiting):
    office.publish(
        flow(put("build"), gate("build"), put("deploy", "approve", n="x")), author="otto"
    )
    move(office)
    cancel_run(principal=office.principal("mara"), run_id=waiting, reason="")
    office.hand.drive(waiting)

    new = rerun(
        principal=office.principal("mara"), run_id=waiting, wish=Wish(step="approve"), reason="x"
    )
    office.hand.drive(new.run_id)

    run = Run.objects.get(pk=new.run_id)
    assert (run.version.rev, run.status) == (2, "WAITING")
    assert str(fold(run.pk).steps["build#1"].outcome) == "succeeded"


def test_who_changes_what_people_are_asked_about_is_no_judge_of_it(office):
    assign_role(
        principal=office.system,
        role="publisher",
        scope_id=office.project.scope_id,
        user_id=office.users["mara"].pk,
    )
    target: dict[str, Json] = {"fields": {"to": "'${{ vars.target }}'"}}
    deploy = Step(
        id="deploy",
        verb=Uses(action="transform/cel@1", arguments=target),
        needs=("approve",),
    )
    office.publish(flow(gate(), deploy, variables={"target": "near"}), author="otto")
    run_id = office.start("release", by="mara").run_id
    office.hand.drive(run_id)
    before = Request.objects.get(run_id=run_id)

    made = move(office, to=1, data={"target": "'far'"}).runs[0]
    office.hand.drive(run_id)

    assert made.reset == ("approve#1",)
    before.refresh_from_db()
    assert before.status == RequestStatus.CLOSED
    after = Request.objects.get(run_id=run_id, status=RequestStatus.OPEN)
    assert office.users["mara"].person_id in get_run_facts(run_id=run_id).rerunner_person_ids
    office.decide(after, "ann")
    office.hand.drive(run_id)
    assert fold(run_id).steps["deploy#1"].outputs["result"] == {"to": "far"}
