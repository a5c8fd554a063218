"""What every `WaitOpener` does for the engine."""

from typing import Any

import pytest
from django.db import transaction

from approvals.services.opener import ApprovalOpener
from approvals.services.questions import QuestionOpener
from core.kernel.record import ENGINE_ORIGIN
from core.toolkit.db import read_database_clock
from engine import loading
from engine.domain.plan import Plan, Step, Uses
from engine.ports import OpeningWait
from engine.selectors.facts import get_run_facts
from tests.fakes.opener import RememberingOpener
from tests.world import World

BODY: dict[str, Any] = {
    "title": "Release",
    "kind": "deploy",
    "risk": "low",
    "amount": None,
    "subject": {"ref": "v1"},
    "if_approved": "It goes live.",
    "if_rejected": "Nothing happens.",
    "confirm": "",
    "stages": [
        {
            "id": "peer",
            "asked": True,
            "approvers": {"users": [], "groups": ["board"], "permissions": []},
            "quorum": {"count": 1, "reject": 1},
        }
    ],
    "exclude": {"keywords": ["initiator"], "expressions": []},
    "form": None,
    "expires": None,
    "variables": {},
    "notes": [],
}


FAILURE: dict[str, Any] = {
    "error": {"kind": "timeout", "message": "no result within 30 s"},
    "attempt": 3,
    "choices": ["retry", "skip", "fail"],
}
BODIES = {ApprovalOpener: BODY, QuestionOpener: FAILURE, RememberingOpener: BODY}


@pytest.fixture(params=BODIES)
def opener(request):
    return request.param()


@pytest.fixture
def runs(db):
    """Return the facts of two runs."""
    loading.forget_all()
    world = World()
    world.user("mara", "requester")
    step = Step(id="a", verb=Uses(action="python/call@1", arguments={"function": "t.ok"}))
    plan = Plan(
        name="job",
        title="Job",
        inputs_schema={"type": "object"},
        variables={},
        steps={"a": step},
        outputs={},
    )
    world.publish(plan, author="mara")
    started = [world.start("job", by="mara") for _ in range(2)]
    return [get_run_facts(run_id=run.run_id) for run in started]


def open_wait(opener, run, key):
    wait = OpeningWait(
        run=run,
        key=key,
        step="approve",
        body=BODIES[type(opener)],
        seq=3,
        leaf=bytes(32),
        at=read_database_clock(),
    )
    with transaction.atomic():
        opener.open(wait)


def void(opener, run):
    with transaction.atomic():
        return opener.void_all(
            run_id=run.run_id,
            reason="run_cancelled",
            origin=ENGINE_ORIGIN,
            at=read_database_clock(),
        )


def withdraw(opener, run, keys):
    with transaction.atomic():
        return opener.withdraw(
            run_id=run.run_id,
            keys=keys,
            reason="not_needed",
            origin=ENGINE_ORIGIN,
            at=read_database_clock(),
        )


def test_withdrawing_closes_the_waits_that_are_named_and_open(opener, runs):
    for key in ("approve#1", "again#1", "third#1"):
        open_wait(opener, runs[0], key)
    open_wait(opener, runs[1], "approve#1")

    assert sorted(withdraw(opener, runs[0], ["third#1", "approve#1", "never#1"])) == [
        "approve#1",
        "third#1",
    ]
    assert list(withdraw(opener, runs[0], ["approve#1"])) == []
    assert list(withdraw(opener, runs[0], [])) == []
    assert list(void(opener, runs[0])) == ["again#1"]
    assert list(void(opener, runs[1])) == ["approve#1"]


def test_a_step_that_begins_anew_waits_anew(opener, runs):
    open_wait(opener, runs[0], "approve#1")
    withdraw(opener, runs[0], ["approve#1"])

    open_wait(opener, runs[0], "approve#1")

    assert list(void(opener, runs[0])) == ["approve#1"]


def test_voiding_returns_the_keys_of_the_waits_that_were_open(opener, runs):
    open_wait(opener, runs[0], "approve#1")
    open_wait(opener, runs[0], "again#1")

    assert sorted(void(opener, runs[0])) == ["again#1", "approve#1"]


def test_voiding_again_finds_nothing(opener, runs):
    open_wait(opener, runs[0], "approve#1")
    void(opener, runs[0])

    assert list(void(opener, runs[0])) == []


def test_voiding_one_run_leaves_the_others(opener, runs):
    for run in runs:
        open_wait(opener, run, "approve#1")

    void(opener, runs[0])

    assert list(void(opener, runs[1])) == ["approve#1"]


def test_what_stands_in_the_way_is_warned_of_at_its_place_and_nothing_is_written(opener, runs):
    body = {**BODY, "stages": [{**stage, "when": None} for stage in BODY["stages"]]}

    found = opener.list_obstacles(
        body=body, path="/steps/approve/approval", scope_id=runs[0].workflow_scope_id
    )

    for problem in found:
        assert problem.severity == "warning"
        assert problem.path.startswith("/steps/approve/approval/")
        assert problem.code
    assert list(void(opener, runs[0])) == []


@pytest.mark.django_db(transaction=True)
def test_all_need_the_transaction_of_what_the_engine_writes(opener, transactional_db):
    with pytest.raises(AssertionError, match="transaction"):
        opener.open(None)
    with pytest.raises(AssertionError, match="transaction"):
        opener.withdraw(run_id=None, keys=[], reason="", origin=ENGINE_ORIGIN, at=None)
    with pytest.raises(AssertionError, match="transaction"):
        opener.void_all(run_id=None, reason="", origin=ENGINE_ORIGIN, at=None)
