"""The reference documents: what a later version brings is refused, and the rest compiles."""

import pytest

from approvals.verbs import ApprovalVerb
from engine.domain.plan import (
    AfterError,
    AwaitEvent,
    Call,
    Emit,
    Join,
    Loop,
    Map,
    Matrix,
    On,
    OnError,
    Race,
    StateEvent,
    Timer,
    Transition,
    Uses,
    Wait,
    walk,
)
from engine.domain.plan_json import plan_digest, plan_from_json, plan_to_json
from tests.fakes.flow import DATA, compile_text

APPROVE = "/steps/approve/approval"
FIX = "/steps/approve_fix/approval"
REVIEW = "/states/review"
NAMES = ["release", "incident", "contract", "remediate"]


def compiled(folder, name):
    source = (DATA / folder / f"{name}.yaml").read_text()
    return compile_text(source, verb=ApprovalVerb(), functions=None)


def plan_of(name):
    compilation = compiled("examples", name)
    assert compilation.plan is not None, compilation.problems
    return compilation.plan


@pytest.mark.parametrize(
    ("name", "places"),
    [
        (
            "release",
            [
                (f"{APPROVE}/stages/1/quorum/of-each", 48, 30),
                (f"{APPROVE}/delegation", 57, 7),
                (f"{APPROVE}/remind", 59, 7),
                (f"{APPROVE}/escalate", 60, 7),
                (f"{APPROVE}/on-change", 63, 7),
            ],
        ),
        (
            "incident",
            [
                (f"{FIX}/escalate", 41, 7),
                (f"{FIX}/break-glass", 42, 7),
            ],
        ),
        (
            "contract",
            [
                (f"{REVIEW}/approval/outcomes/2", 25, 35),
                (f"{REVIEW}/approval/stages/1/quorum/percent", 28, 98),
                (f"{REVIEW}/approval/expires/calendar", 30, 29),
                (f"{REVIEW}/approval/escalate", 31, 7),
                (f"{REVIEW}/approval/on-change", 32, 7),
                (f"{REVIEW}/transitions/1/on-outcome", 35, 22),
                (f"{REVIEW}/transitions/2/on-outcome", 36, 22),
            ],
        ),
    ],
)
def test_an_original_is_refused_naming_just_what_a_later_version_brings(name, places):
    compilation = compiled("originals", name)

    errors = [item for item in compilation.problems if item.severity == "error"]
    assert compilation.plan is None
    assert compilation.name == name
    assert [(item.path, item.line, item.column) for item in errors] == places
    assert all("not available in this version" in item.message for item in errors)


def test_an_original_without_anything_new_compiles_as_it_is():
    assert compiled("originals", "remediate").plan == plan_of("remediate")


@pytest.mark.parametrize("name", NAMES)
def test_the_rest_of_an_original_compiles_and_survives_being_stored(name):
    plan = plan_of(name)

    again = plan_from_json(plan_to_json(plan))

    assert again == plan
    assert plan_digest(again) == plan_digest(plan)


def test_the_release_has_a_matrix_and_is_undone_when_the_smoke_test_fails():
    plan = plan_of("release")

    test, approve, smoke = (plan.steps[step] for step in ("test", "approve", "smoke"))
    assert isinstance(test.verb, Matrix)
    assert test.verb.axes == {"python": ["3.11", "3.12"], "db": ["postgres", "mysql"]}
    assert test.verb.exclude == ({"python": "3.12", "db": "mysql"},)
    assert (test.verb.concurrency, test.verb.fail_fast) == (2, True)
    assert isinstance(test.verb.body.verb, Uses)
    assert test.verb.body.retry.retries_max == 3
    assert isinstance(approve.verb, Wait)
    assert smoke.on_error == OnError(compensate=("deploy",), then=AfterError.FAIL)


def test_the_incident_is_a_race_a_map_a_loop_around_a_call_and_an_event():
    plan = plan_of("incident")

    assert {path for path, _ in walk(plan)} == {
        *("enrich", "ack", "ack/acked", "ack/cleared", "ack/nobody", "page_manager"),
        *("diagnose", "diagnose/item", "approve_fix", "remediate", "remediate/turn", "close"),
    }
    ack, diagnose, remediate, close = (
        plan.steps[step].verb for step in ("ack", "diagnose", "remediate", "close")
    )
    assert isinstance(ack, Race)
    assert [branch.verb for branch in ack.branches.values()] == [
        AwaitEvent(type="incident.acknowledged", correlate={"run": "run.id"}),
        AwaitEvent(
            type="com.alertmanager.resolved", correlate={"fingerprint": "inputs.fingerprint"}
        ),
        Timer(duration="PT15M"),
    ]
    assert isinstance(diagnose, Map)
    assert (diagnose.items, diagnose.name) == ("steps.enrich.outputs.hosts", "host")
    assert (diagnose.concurrency, diagnose.failures_percent_max) == (10, 20.0)
    assert isinstance(remediate, Loop)
    assert (remediate.until, remediate.turns_max, remediate.delay_seconds) == (
        "result.healthy",
        5,
        60.0,
    )
    assert remediate.body.verb == Call(
        workflow="remediate",
        range="^1",
        arguments={"plan": "${{ steps.approve_fix.outputs.form.plan }}"},
    )
    whole = plan.steps["remediate"]
    assert whole.compensate is not None
    assert whole.compensate_on_failure is True
    assert whole.on_error == OnError(compensate=("remediate",), then=AfterError.CONTINUE)
    assert close == Emit(type="incident.closed", data={"run": "${{ run.id }}"})
    assert plan.steps["close"].join is Join.ALL_SETTLED


def test_the_contract_is_a_machine_that_goes_back_to_the_draft():
    plan = plan_of("contract")

    assert (plan.kind, plan.initial, plan.steps) == ("states", "draft", {})
    assert list(plan.states) == ["draft", "review", "counsel", "signed", "rejected", "abandoned"]
    draft, review = plan.states["draft"], plan.states["review"]
    assert draft.transitions == (
        Transition(
            on=On.EVENT,
            name="document.submitted",
            to="review",
            values={"round": "vars.round + 1", "document": "event.data.sha256"},
        ),
        Transition(on=On.AFTER, to="abandoned", seconds=30 * 86400.0),
    )
    assert review.transitions[1] == Transition(
        on=On.OUTCOME, name="rejected", condition="vars.round < 5", to="draft"
    )
    assert review.events == (
        StateEvent(type="document.withdrawn", correlate={"run": "run.id"}, to="abandoned"),
    )
    finals = {name: state.final for name, state in plan.states.items() if state.final}
    assert finals == {"signed": "succeeded", "rejected": "rejected", "abandoned": "cancelled"}
