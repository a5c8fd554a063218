"""Moving a run that waits to another version."""

from dataclasses import replace

import pytest

from engine.domain.decider import Decider
from engine.domain.events import Event, EventKind
from engine.domain.migrating import Given, judge_move
from engine.domain.plan import On, Transition, Wait
from engine.domain.state import RunState
from tests.constructs import each, event, final, group, live, machine, put, ran, state, timer
from tests.plans import approval, boom, plan, undoable, uses
from tests.pure_run import EVALUATOR, VERBS, PureRun

OTHER = Wait(verb="approval", body={"shown": "something else"})


def judge(run, new, **names):
    decider = Decider(plan=new, evaluator=EVALUATOR, verbs=VERBS)
    return judge_move(run.decider.definition, decider.definition, run.state, names=names)


def why_not(run, new, **names):
    return sorted({item.code for item in judge(run, new, **names).obstacles})


def move(run, new, *, variables=None, inputs=None, **names):
    """Move a run that may move, as an outsider does, and drive on."""
    verdict = judge(run, new, **names)
    assert not verdict.obstacles
    run.moves = [*getattr(run, "moves", []), (len(run.events), run.decider)]
    run.decider, run.plan = Decider(plan=new, evaluator=EVALUATOR, verbs=VERBS), new
    run.outside(
        Event(
            kind=EventKind.RUN_MIGRATED,
            at=run.now,
            data={"version_from": "v1", "version_to": "v2", "rev": 2, "reset": list(verdict.reset)},
            payloads={
                "inputs": run.inputs if inputs is None else inputs,
                "vars": run.state.variables if variables is None else variables,
                "calls": dict(run.state.calls),
                "names": names,
            },
        )
    )
    return run.drive()


def replayed(run):
    """Fold the record with the version that each part of it was written by."""
    found, start = RunState(), 0
    for end, decider in run.moves:
        found = decider.fold(found, run.events[start:end])
        start = end
    return run.decider.fold(found, run.events[start:])


def check(run, closed):
    assert run.closed == closed
    assert replayed(run) == run.state


def waiting(*steps, **fields):
    return PureRun(plan(*steps), **fields).drive()


# --- dags ----------------------------------------------------------------------------------------


def test_what_has_not_begun_is_the_new_version_s_and_what_has_ended_stays():
    run = waiting(uses("build"), event("go", "build"), uses("deploy", "go"))
    new = plan(
        uses("build", arguments={"other": 1}),
        event("go", "build"),
        uses("check", "go"),
        uses("deploy", "check", arguments={"new": True}),
        uses("extra"),
    )

    move(run, new)
    assert ran(run) == ["build#1", "extra#1"]
    run.receive("go#1", "thing.done")
    assert ran(run) == ["build#1", "extra#1", "check#1", "deploy#1"]
    assert run.executed[-1][2] == {"new": True}
    check(run, "succeeded")


def test_a_step_with_another_name_keeps_what_it_made():
    run = waiting(uses("build"), event("go", "build"), actions={"build": lambda _: 7})
    new = plan(
        uses("compile"),
        event("go", "compile"),
        uses("use", "go", arguments={"of": "${{ steps.compile.outputs.result }}"}),
    )

    move(run, new, build="compile").receive("go#1", "thing.done")

    assert ran(run) == ["build#1", "use#1"]
    assert run.executed[-1][2] == {"of": 7}
    check(run, "succeeded")


def test_a_pending_approval_that_is_the_same_is_kept():
    run = waiting(uses("build"), approval("approve", "build"), uses("deploy", "approve"))
    new = plan(
        uses("build", arguments={"n": 1}), approval("approve", "build"), uses("deploy", "approve")
    )

    assert judge(run, new).reset == ()
    move(run, new)
    assert run.withdrawn() == []
    run.resolve("approve", "approved")
    check(run, "succeeded")


@pytest.mark.parametrize(
    "changed",
    [
        (replace(approval("approve"), verb=OTHER), uses("deploy", "approve")),
        (approval("approve"), uses("deploy", "approve", arguments={"elsewhere": True})),
        (approval("approve"), uses("deploy", "approve"), uses("more", "deploy")),
    ],
)
def test_a_pending_approval_is_asked_anew_if_it_or_what_it_leads_to_is_another(changed):
    run = waiting(approval("approve"), uses("deploy", "approve"))

    assert judge(run, plan(*changed)).reset == ("approve#1",)
    move(run, plan(*changed))
    assert run.withdrawn() == [("approval", "approve#1")]
    kinds = [item.kind for item in run.events if item.kind == EventKind.APPROVAL_REQUESTED]
    assert len(kinds) == 2
    run.resolve("approve", "approved")
    check(run, "succeeded")


def test_a_yes_does_not_stand_for_what_is_another_now():
    run = waiting(approval("approve"), event("go", "approve"), uses("deploy", "go"))
    run.resolve("approve", "approved")
    new = (approval("approve"), event("go", "approve"))

    assert why_not(run, plan(*new, uses("deploy", "go"))) == []
    changed = plan(*new, uses("deploy", "go", arguments={"elsewhere": True}))
    assert why_not(run, changed) == ["approved-other"]
    assert why_not(run, plan(*new, uses("deploy", "go"), uses("wipe", "go"))) == ["approved-other"]


def test_a_step_that_ended_does_not_stand_for_an_approval():
    run = waiting(uses("build"), event("go"), uses("deploy", "build", "go"))
    new = plan(approval("build"), event("go"), uses("deploy", "build", "go"))
    assert why_not(run, new) == ["ended-approval"]


def test_an_approval_does_not_stand_for_another_one_by_its_name():
    steps = (approval("small"), approval("big", "go"), event("go"), uses("deploy", "big"))
    run = waiting(*steps)
    run.resolve("small", "approved")

    assert why_not(run, plan(*steps), small="big", big="small") == ["ended-approval"]
    built = waiting(uses("build"), event("go"), approval("big", "go"), uses("deploy", "big"))
    assert why_not(built, built.plan, build="big", big="build") == ["ended-approval"]


def given(run, new, **fields):
    decider = Decider(plan=new, evaluator=EVALUATOR, verbs=VERBS)
    return judge_move(
        run.decider.definition, decider.definition, run.state, names={}, given=Given(**fields)
    )


def test_a_yes_does_not_stand_for_other_data():
    target = {"target": "${{ vars.target }}"}
    steps = (approval("approve"), event("go", "approve"), uses("deploy", "go", arguments=target))
    run = waiting(*steps)
    assert given(run, plan(*steps), variables={"target": "x"}).reset == ("approve#1",)
    assert given(run, plan(*steps), variables={"other": "x"}).reset == ()

    run.resolve("approve", "approved")
    found = given(run, plan(*steps), variables={"target": "x"}).obstacles
    assert [(item.code, item.key) for item in found] == [("approved-other", "deploy#1")]
    assert given(run, plan(*steps), variables={"other": "x"}).obstacles == ()


def test_an_open_step_with_an_approval_inside_does_not_answer_for_what_follows():
    inner = group("inner", approval("approve"), event("go", "approve"))
    run = waiting(inner, uses("deploy", "inner"))
    run.resolve("inner#1/approve#1", "approved")
    new = plan(inner, uses("deploy", "inner", arguments={"elsewhere": True}))

    assert why_not(run, new) == ["approved-other"]
    assert why_not(run, run.plan) == []


def test_a_called_workflow_s_yes_does_not_stand_for_what_is_another():
    run = waiting(uses("asked"), event("go", "asked"), uses("deploy", "go"))
    new = plan(uses("asked"), event("go", "asked"), uses("deploy", "go", arguments={"n": 1}))
    found = given(run, new, gated=frozenset({"asked#1"})).obstacles
    assert [item.code for item in found] == ["approved-other"]


def test_a_yes_does_not_stand_for_what_reads_another_step_that_is_yet_to_execute():
    def steps(**arguments):
        return (
            approval("approve"),
            event("go"),
            uses("make", "go", arguments=arguments),
            uses("deploy", "approve", "make"),
        )

    run = waiting(*steps())
    assert judge(run, plan(*steps(n=1))).reset == ("approve#1",)
    run.resolve("approve", "approved")
    assert why_not(run, plan(*steps(n=1))) == ["approved-other"]


def test_a_yes_before_another_approval_that_is_still_open_is_in_nobody_s_way():
    steps = (approval("first"), approval("second", "first"))
    run = waiting(*steps, uses("deploy", "second"))
    run.resolve("first", "approved")

    verdict = judge(run, plan(*steps, uses("deploy", "second", arguments={"elsewhere": True})))

    assert (verdict.obstacles, verdict.reset) == ((), ("second#1",))


@pytest.mark.parametrize(
    ("steps", "new", "code"),
    [
        ((event("go"),), (event("go", of="another.type"),), "changed-open"),
        ((event("go"),), (uses("go"),), "changed-open"),
        ((event("go"), uses("b", "go")), (uses("b"),), "removed-open"),
        (
            (timer("nap", lasts="PT1H"), event("e")),
            (timer("nap", lasts="PT2H"), event("e")),
            "changed-open",
        ),
        ((group("g", event("go")),), (group("g", event("go"), uses("more")),), "changed-open"),
        ((each("m", event("x")),), (each("m", event("x"), items="inputs.others"),), "changed-open"),
        ((undoable("a"), event("go", "a")), (event("go"),), "removed-undoable"),
        ((undoable("a"), event("go", "a")), (uses("a"), event("go", "a")), "removed-undoable"),
    ],
)
def test_what_cannot_be_translated_is_refused(steps, new, code):
    run = waiting(*steps, inputs={"items": [1], "others": [1]})

    assert code in why_not(run, plan(*new))


def test_what_is_open_keeps_its_name_and_names_are_unique():
    run = waiting(uses("a"), uses("b"), event("go"))

    assert why_not(run, plan(uses("a"), uses("b"), event("come")), go="come") == ["renamed-open"]
    assert why_not(run, plan(uses("a"), event("go")), b="a") == ["names"]
    assert why_not(run, plan(uses("a"), uses("b"), event("go")), x="a") == ["names"]


def test_a_run_that_executes_or_is_over_does_not_move():
    over = waiting(uses("a"))
    assert "over" in why_not(over, over.plan)
    fresh = PureRun(plan(uses("a")))
    fresh.claim()
    assert why_not(fresh, fresh.plan) == ["executing"]
    cancelled = waiting(event("go"))
    cancelled.cancel()
    assert "cancelling" in why_not(cancelled, cancelled.plan)


def test_what_completed_is_undone_as_the_new_version_says():
    run = waiting(undoable("a"), event("go", "a"), uses("b", "go"), actions={"b": boom()})
    renamed = undoable("reserve")
    new = plan(renamed, event("go", "reserve"), uses("b", "go"))

    move(run, new, a="reserve").receive("go#1", "thing.done")

    assert ran(run) == ["a#1", "b#1", "compensate/reserve#1"]
    assert run.executed[-1][2] == {"undo": "reserve"}
    check(run, "failed")


def test_vars_and_inputs_are_those_of_the_entry():
    run = waiting(event("go"), put("set", "go", values={"x": "'new'"}))
    use = uses("use", "go", arguments={"x": "${{ vars.y }}", "i": "${{ inputs.n }}"})

    move(run, plan(event("go"), use), variables={"y": 1}, inputs={"n": 2})
    run.receive("go#1", "thing.done")

    assert run.executed[-1][2] == {"x": 1, "i": 2}
    check(run, "succeeded")


def test_a_run_moves_more_than_once():
    run = waiting(event("go"), uses("a", "go"))
    move(run, plan(event("go"), uses("b", "go")))
    move(run, plan(event("go"), uses("c", "go")))
    run.receive("go#1", "thing.done")

    assert ran(run) == ["c#1"]
    check(run, "succeeded")


# --- state machines ------------------------------------------------------------------------------

DONE = final("done")


def outcome(name, to, **fields):
    return Transition(on=On.OUTCOME, to=to, name=name, **fields)


def success(to, **fields):
    return Transition(on=On.SUCCESS, to=to, **fields)


def received(to, name="thing.done", **fields):
    return Transition(on=On.EVENT, to=to, name=name, **fields)


def test_a_machine_goes_on_from_the_state_it_is_in():
    run = live(
        state("draft", success("wait"), step=uses("x")),
        state("wait", received("done"), step=event("x")),
        DONE,
    )
    new = machine(
        state("draft", success("wait"), step=uses("x")),
        state("wait", received("tidy"), step=event("x")),
        state("tidy", success("done"), step=uses("x")),
        DONE,
    )

    move(run, new).receive("wait#1", "thing.done")

    assert ran(run) == ["draft#1", "tidy#1"]
    check(run, "succeeded")


def test_a_machine_in_an_approval_asks_anew_if_what_it_leads_to_is_another():
    review = state("review", outcome("approved", "store"), step=approval("x"))
    run = live(review, state("store", success("done"), step=uses("x")), DONE)
    other = state("store", success("done"), step=uses("x", arguments={"elsewhere": True}))

    move(run, machine(review, other, DONE))
    assert run.withdrawn() == [("approval", "review#1")]
    run.resolve("review", "approved")
    assert run.executed[-1][2] == {"elsewhere": True}
    check(run, "succeeded")


def test_a_machine_in_an_approval_asks_anew_if_a_yes_leads_elsewhere():
    far = state("far", success("done"), step=uses("y"))
    near = state("near", success("done"), step=uses("x"))
    review = state("review", outcome("approved", "near"), step=approval("a"))
    run = live(review, near, far, DONE)
    other = state("review", outcome("approved", "far"), step=approval("a"))

    assert judge(run, run.plan).reset == ()
    assert judge(run, machine(other, near, far, DONE)).reset == ("review#1",)


def test_a_machine_past_an_approval_does_not_move_to_something_else():
    review = state("review", outcome("approved", "wait"), step=approval("x"))
    wait = state("wait", received("store"), step=event("x"))
    run = live(review, wait, state("store", success("done"), step=uses("x")), DONE)
    run.resolve("review", "approved")
    other = state("store", success("done"), step=uses("x", arguments={"elsewhere": True}))

    assert why_not(run, machine(review, wait, other, DONE)) == ["approved-other"]
    assert why_not(run, run.plan) == []
    gone = machine(review, state("store", success("done"), step=uses("x")), DONE)
    assert "removed-open" in why_not(run, gone)


def test_a_machine_and_a_dag_are_not_exchanged():
    run = waiting(event("go"))

    assert why_not(run, machine(state("go", received("done"), step=event("x")), DONE)) == ["kind"]
