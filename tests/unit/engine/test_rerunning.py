"""Running a run again from a step: what is taken over, what is executed and asked again."""

import pytest

from engine.domain.errors import StepMissingError
from engine.domain.plan import AfterError, Join, On, OnError, Transition
from engine.domain.rerunning import Why
from tests.constructs import (
    call,
    check,
    drive,
    each,
    event,
    final,
    group,
    live,
    loop,
    put,
    ran,
    state,
)
from tests.plans import approval, boom, undoable, uses
from tests.reruns import again, asked, foresee, rerun, taken


def success(to, **fields):
    return Transition(on=On.SUCCESS, to=to, **fields)


def outcome(name, to, **fields):
    return Transition(on=On.OUTCOME, to=to, name=name, **fields)


# --- dags ----------------------------------------------------------------------------------------


def test_what_the_step_depends_on_is_taken_over_and_what_depends_on_it_runs_again():
    steps = (uses("build"), uses("scan", "build"), uses("deploy", "scan"), uses("smoke", "deploy"))
    run = drive(*steps, uses("docs", "build"), actions={"deploy": boom()})
    foreseen = foresee(run, "deploy#1")

    assert taken(foreseen) == ["build#1", "scan#1", "docs#1"]
    assert again(foreseen) == {"deploy#1": "chosen", "smoke#1": "depends"}
    new = rerun(run, "deploy", actions={}).drive()
    assert ran(new) == ["deploy#1", "smoke#1"]
    check(new, "succeeded")


def test_a_step_sees_what_the_steps_taken_over_had_made():
    build = uses("build")
    deploy = uses("deploy", "build", arguments={"of": "${{ steps.build.outputs.result }}"})
    run = drive(build, deploy, actions={"build": lambda _: {"sha": "abc"}, "deploy": boom()})

    new = rerun(run, "deploy", actions={}).drive()

    assert [arguments for _, _, arguments in new.executed] == [{"of": {"sha": "abc"}}]


def test_an_approval_above_what_runs_again_is_asked_again_with_all_that_depends_on_it():
    run = drive(
        uses("build"),
        approval("approve", "build"),
        uses("prepare", "approve"),
        uses("deploy", "prepare"),
        actions={"deploy": boom()},
    )
    run.resolve("approve", "approved")
    foreseen = foresee(run, "deploy")

    assert taken(foreseen) == ["build#1"]
    assert again(foreseen) == {
        "approve#1": "approval",
        "prepare#1": "depends",
        "deploy#1": "chosen",
    }
    assert asked(foreseen) == ["approve#1"]
    new = rerun(run, "deploy", actions={}).drive()
    assert ran(new) == []
    assert new.outcome("approve") == "waiting"
    new.resolve("approve", "approved")
    assert ran(new) == ["prepare#1", "deploy#1"]
    check(new, "succeeded")


def test_an_approval_inside_a_container_or_a_called_workflow_is_asked_again_as_well():
    run = drive(
        group("gate", uses("ask"), approval("inner", "ask")),
        call("child"),
        uses("deploy", "gate", "child"),
        actions={"deploy": boom()},
    )
    run.resolve("gate#1/inner#1", "approved").end_child("child#1", "succeeded")

    assert asked(foresee(run, "deploy")) == ["gate#1"]
    with_child = foresee(run, "deploy", gated=frozenset({"child#1"}))
    assert asked(with_child) == ["gate#1", "child#1"]
    assert taken(with_child) == []


def test_an_approval_that_nothing_executed_again_depends_on_is_taken_over():
    run = drive(
        approval("approve"),
        uses("publish", "approve"),
        uses("notify"),
        actions={"notify": boom()},
    )
    run.resolve("approve", "approved")

    new = rerun(run, "notify", actions={}).drive()

    assert ran(new) == ["notify#1"]
    assert new.outcome("approve") == "approved"
    check(new, "succeeded")


def test_approvals_in_a_row_are_all_asked_again():
    run = drive(
        approval("first"),
        uses("build", "first"),
        approval("second", "build"),
        uses("deploy", "second"),
        actions={"deploy": boom()},
    )
    run.resolve("first", "approved").resolve("second", "approved")

    assert asked(foresee(run, "deploy")) == ["first#1", "second#1"]
    assert taken(foresee(run, "deploy")) == []


def test_what_did_not_end_well_runs_again_although_another_step_is_chosen():
    run = drive(
        uses("a"), uses("b"), uses("c", "a"), uses("d", "b"), actions={"a": boom(), "b": boom()}
    )

    assert again(foresee(run, "a")) == {
        "a#1": "chosen",
        "b#1": "not-done",
        "c#1": "depends",
        "d#1": "depends",
    }


def test_what_a_step_s_own_if_or_a_join_left_out_stays_left_out():
    run = drive(
        uses("skipped", condition="false"),
        uses("fast"),
        event("slow"),
        uses("go", "fast", "slow", join=Join.ANY, cancel_rest=True),
        uses("end", "go", "skipped", condition="true"),
        actions={"end": boom()},
    )

    foreseen = foresee(run, "end")

    assert taken(foreseen) == ["skipped#1", "fast#1", "slow#1", "go#1"]
    check(rerun(run, "end", actions={}).drive(), "succeeded")


def test_a_failure_its_on_error_absorbed_is_taken_over_with_its_error():
    absorbed = OnError(then=AfterError.CONTINUE)
    condition = "steps.lint.outcome == 'failed' && steps.lint.error.kind == 'permanent'"
    run = drive(
        uses("lint", on_error=absorbed),
        uses("deploy", "lint", condition=condition, reads=("lint",)),
        actions={"lint": boom(), "deploy": boom()},
    )

    new = rerun(run, "deploy", actions={}).drive()

    assert ran(new) == ["deploy#1"]
    check(new, "succeeded")


def test_what_was_undone_is_done_again():
    run = drive(undoable("reserve"), uses("charge", "reserve"), actions={"charge": boom()})
    assert ran(run)[-1] == "compensate/reserve#1"

    assert again(foresee(run, "charge")) == {"reserve#1": "undone", "charge#1": "chosen"}


def test_what_is_taken_over_is_undone_by_the_run_that_took_it_over_and_only_there():
    steps = (undoable("reserve"), uses("wait", "reserve"), uses("charge", "wait"))
    run = drive(*steps)
    check(run, "succeeded")

    new = rerun(run, "charge", actions={"charge": boom()}).drive()

    assert ran(new) == ["charge#1", "compensate/reserve#1"]
    check(new, "failed")
    handed = foresee(run, "charge", handed=frozenset({"reserve#1"}))
    assert again(handed)["reserve#1"] == Why.HANDED_OVER


def test_compensations_inside_a_container_see_what_it_made():
    inner = undoable("book")
    run = drive(group("trip", inner), uses("pay", "trip"))

    new = rerun(run, "pay", actions={"pay": boom()}).drive()

    assert ran(new) == ["pay#1", "compensate/trip#1/book#1"]
    check(new, "failed")


def test_a_map_and_a_loop_are_taken_over_with_what_they_made():
    after = uses("after", "many", "turns", arguments={"of": "${{ steps.many.outputs.items }}"})
    run = drive(
        each("many"),
        loop("turns", until="true"),
        after,
        inputs={"items": [1, 2]},
        actions={"many": lambda arguments: arguments["it"] * 10, "after": boom()},
    )

    new = rerun(run, "after", actions={}).drive()

    assert [arguments for _, _, arguments in new.executed] == [{"of": [10, 20]}]
    assert new.state.steps["many#1/item#2"].outputs == {"result": 20}
    check(new, "succeeded")


def test_vars_are_as_the_steps_taken_over_had_set_them():
    run = drive(
        put("one", values={"a": "'one'", "b": "'one'"}),
        put("two", "one", values={"a": "'two'"}),
        uses("use", "two", arguments={"a": "${{ vars.a }}", "b": "${{ vars.b }}"}),
        actions={"use": boom()},
    )

    assert rerun(run, "use", actions={}).drive().executed[0][2] == {"a": "two", "b": "one"}
    assert rerun(run, "two", actions={}).state.variables == {"a": "one", "b": "one"}
    # Also of a run that was itself run again.
    second = rerun(rerun(run, "use").drive(), "two", actions={})
    assert second.state.variables == {"a": "one", "b": "one"}


def test_without_a_step_everything_runs_again():
    run = drive(uses("a"), uses("b", "a"))

    assert taken(foresee(run, "")) == []
    assert ran(rerun(run, "").drive()) == ["a#1", "b#1"]


def test_a_rerun_can_be_run_again():
    run = drive(uses("a"), uses("b", "a"), uses("c", "b"), actions={"b": boom()})
    second = rerun(run, "b", actions={"c": boom()}).drive()
    third = rerun(second, "c", actions={}).drive()

    assert ran(second) == ["b#1", "c#1"]
    assert ran(third) == ["c#1"]
    check(third, "succeeded")


def test_a_step_inside_a_container_means_the_outermost_one():
    run = drive(uses("a"), group("g", uses("inner")), actions={"inner": boom()})

    for name in ("g#1/inner#1", "inner", "g"):
        assert again(foresee(run, name)) == {"g#1": "chosen"}


@pytest.mark.parametrize("name", ["nothing", "nothing#1", "compensate/nothing#1", "#", "/", "a/b"])
def test_a_step_that_is_not_there_is_refused(name):
    run = drive(uses("one"))

    with pytest.raises(StepMissingError):
        foresee(run, name)


# --- state machines ------------------------------------------------------------------------------

DONE = final("done")


def test_a_machine_begins_in_the_state_with_the_vars_it_had_been_entered_with():
    run = live(
        state("draft", success("check", values={"n": "1"}), step=uses("x")),
        state("check", success("store", values={"n": "vars.n + 1"}), step=uses("x")),
        state("store", success("done"), step=uses("x", arguments={"n": "${{ vars.n }}"})),
        DONE,
        actions={"store": boom()},
    )
    check(run, "failed")
    foreseen = foresee(run, "store")

    assert taken(foreseen) == ["draft#1", "check#1"]
    assert foreseen.start == "store#1"
    new = rerun(run, "store", actions={}).drive()
    assert [(key, arguments) for key, _, arguments in new.executed] == [("store#1", {"n": 2})]
    check(new, "succeeded")


def test_a_visit_counts_on_from_those_taken_over_and_sees_what_they_made():
    argument = {"of": "${{ steps.work.outputs.result }}"}
    run = live(
        state("work", success("look"), step=uses("x")),
        state(
            "look",
            success("work", condition="steps.work.outputs.result < 2"),
            success("store"),
            step=uses("x"),
        ),
        state("store", success("done"), step=uses("x", arguments=argument)),
        DONE,
        actions={"work": _counting(), "store": boom()},
    )

    assert taken(foresee(run, "look")) == ["work#1", "look#1", "work#2"]
    new = rerun(run, "look", actions={}).drive()
    assert [key for key, _, _ in new.executed] == ["look#2", "store#1"]
    assert new.executed[-1][2] == {"of": 2}
    check(new, "succeeded")


def test_a_machine_begins_at_the_first_approval_before_the_state():
    run = live(
        state("draft", success("review"), step=uses("x")),
        state("review", outcome("approved", "store"), step=approval("x")),
        state("store", success("done"), step=uses("x")),
        DONE,
        actions={"store": boom()},
    )
    run.resolve("review", "approved")
    foreseen = foresee(run, "store")

    assert (foreseen.start, taken(foreseen)) == ("review#1", ["draft#1"])
    assert again(foreseen) == {"review#1": "approval"}
    assert asked(foreseen) == ["review#1"]
    new = rerun(run, "store", actions={}).drive()
    assert ran(new) == []
    new.resolve("review", "approved")
    assert ran(new) == ["store#1"]
    check(new, "succeeded")


def test_a_state_the_run_has_not_been_in_is_refused():
    run = live(state("a", success("done"), step=uses("x")), DONE, state("b", step=uses("x")))

    for name in ("b", "a#2", "b#1"):
        with pytest.raises(StepMissingError):
            foresee(run, name)


def _counting():
    made = []

    def action(_):
        made.append(1)
        return len(made)

    return action
