"""Steps with steps inside: groups, races, loops, and nests of them. Maps: see `test_maps`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.domain.plan import AfterError, OnError, Retry
from engine.domain.state import Outcome
from tests.constructs import (
    check,
    check_open,
    drive,
    each,
    emit,
    event,
    group,
    loop,
    put,
    race,
    ran,
    timer,
)
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import START, PureRun

ITEMS = {"items": ["a", "b", "c", "d"]}


# --- groups --------------------------------------------------------------------------------------


def test_a_group_runs_its_steps_in_the_order_of_their_needs():
    run = drive(group("g", uses("b", "a"), uses("a")), uses("after", "g"))

    assert ran(run) == ["g#1/a#1", "g#1/b#1", "after#1"]
    check(run, "succeeded")


@pytest.mark.parametrize(
    ("ends", "worst"),
    [
        (("approved", "approved"), "succeeded"),
        (("approved", "expired"), "expired"),
        (("rejected", "expired"), "rejected"),
        (("expired", "voided"), "expired"),
        (("voided", "approved"), "cancelled"),
        (("failed", "rejected"), "failed"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_group_ends_as_its_worst_inner_end(ends, worst, turned):
    run = drive(group("g", approval("a"), approval("b")), uses("after", "g"))
    pairs = [("g#1/a#1", ends[0]), ("g#1/b#1", ends[1])]
    for key, end in reversed(pairs) if turned else pairs:
        run.resolve(key, end)

    assert run.outcome("g") == worst
    assert run.outcome("after") == ("succeeded" if worst == "succeeded" else "unreached")
    check(run, worst)


def test_a_skipped_step_does_no_harm_to_its_group():
    run = drive(group("g", uses("a", condition="false"), uses("b")))

    check(run, "succeeded")


def test_a_group_that_could_not_reach_a_step_ends_unreached():
    absorbed = OnError(then=AfterError.CONTINUE)
    inner = (uses("a", on_error=absorbed), uses("b", "a"))
    run = drive(group("g", *inner), uses("after", "g"), actions={"a": boom()})

    assert run.outcome("g#1/b#1") == "unreached"
    assert run.outcome("g") == "unreached"
    assert run.outcome("after") == "unreached"
    check(run, "succeeded")


def test_a_group_puts_out_what_its_outputs_say():
    inner = uses("a", outputs={"n": "result.n"})
    run = drive(
        group("g", inner, outputs={"twice": "steps.a.outputs.n * 2"}),
        uses("after", "g", arguments={"got": "${{ steps.g.outputs.twice }}"}),
        actions={"a": lambda _: {"n": 21}},
    )

    assert run.executed[-1][2] == {"got": 42}
    check(run, "succeeded")


def test_a_group_whose_outputs_err_fails_and_is_undone():
    whole = group("g", undoable("a"), outputs={"n": "steps.a.outputs.absent"})
    run = drive(whole)

    assert run.error_kind("g") == "expression"
    assert ran(run) == ["g#1/a#1", "compensate/g#1/a#1"]
    check(run, "failed")


def test_expressions_inside_see_their_own_level_and_those_around():
    inner = group(
        "inner",
        uses(
            "deep", arguments={"a": "${{ steps.top.outcome }}", "b": "${{ steps.beside.outcome }}"}
        ),
    )
    run = drive(
        uses("top"), group("outer", uses("beside"), *[_needing(inner, "beside")], needs=("top",))
    )

    assert run.executed[-1][0] == "outer#1/inner#1/deep#1"
    assert run.executed[-1][2] == {"a": "succeeded", "b": "succeeded"}
    check(run, "succeeded")


def _needing(step, *needs):
    return replace(step, needs=needs)


def test_instances_of_a_map_of_groups_see_their_own_steps_only():
    body = group(
        "body",
        uses("get", arguments={"it": "${{ it }}"}, outputs={"seen": "result.it"}),
        uses("tell", "get", arguments={"seen": "${{ steps.get.outputs.seen }}", "it": "${{ it }}"}),
    )
    run = drive(each("m", body), inputs=ITEMS, actions={"get": lambda given: {"it": given["it"]}})

    told = {key: given for key, _, given in run.executed if "tell" in key}
    assert told == {
        f"m#1/item#{number}/tell#1": {"seen": it, "it": it}
        for number, it in enumerate(ITEMS["items"], start=1)
    }
    check(run, "succeeded")


# --- races ---------------------------------------------------------------------------------------


def test_the_first_branch_to_end_well_wins_and_says_what_it_got():
    run = drive(race("r", event("e"), timer("t")), outputs={"r": "steps.r.outputs"})
    run.receive("r#1/e#1", "thing.done", {"x": 1})

    assert run.outputs["r"]["winner"] == "e"
    assert run.outputs["r"]["event"] == {"x": 1}
    assert run.outcome("r#1/t#1") == "cancelled"
    check(run, "succeeded")


def test_a_branch_that_fails_leaves_the_race_to_the_others():
    run = drive(race("r", uses("a"), event("e")), actions={"a": boom()})
    check_open(run)
    run.receive("r#1/e#1", "thing.done")

    assert run.state.steps["r#1"].outputs["winner"] == "e"
    check(run, "succeeded")


def test_a_race_that_nobody_wins_fails():
    run = drive(race("r", uses("a"), uses("b")), actions={"a": boom(), "b": boom()})

    assert run.error_kind("r") == "no-winner"
    check(run, "failed")


@pytest.mark.parametrize("end", ["approved", "rejected", "overridden"])
def test_a_decision_wins_a_race(end):
    run = drive(race("r", approval("ask"), event("e")), uses("after", "r"))
    run.resolve("r#1/ask#1", end)

    assert run.withdrawn() == [("event", "r#1/e#1")]
    assert run.outcome("r") == end
    assert run.outcome("after") == ("unreached" if end == "rejected" else "succeeded")
    check(run, "rejected" if end == "rejected" else "succeeded")


@pytest.mark.parametrize(("end", "outcome"), [("expired", "expired"), ("withdrawn", "cancelled")])
def test_what_is_no_decision_does_not_win_a_race(end, outcome):
    run = drive(race("r", approval("ask"), event("e")))
    run.resolve("r#1/ask#1", end)
    check_open(run)
    run.cancel()
    run.drive()

    check(run, outcome if outcome == "expired" else "cancelled")


def test_a_race_in_which_time_ran_out_for_a_decision_ends_so():
    run = drive(race("r", approval("ask"), uses("a")), actions={"a": boom()})
    run.resolve("r#1/ask#1", "expired")

    assert run.outcome("r") == "failed"  # a failed branch is worse than an expired one
    check(run, "failed")


def test_an_attempt_that_lost_a_race_is_waited_for():
    run = PureRun(plan(race("r", uses("slow"), uses("fast")), uses("after", "r")))
    run.claim()
    run.move(run._execute("r#1/fast#1"))

    assert run.outcome("r#1/slow#1") == "cancelled"
    assert set(run.state.running) == {"r#1/slow#1", "after#1"}
    run.move(run._execute("after#1"))
    assert run.closed == ""
    run.move(run._execute("r#1/slow#1"))
    check(run, "succeeded")


def test_a_branch_of_a_race_may_be_a_group_of_steps():
    run = drive(race("r", group("g", event("a"), event("b", "a")), event("e")))
    run.receive("r#1/g#1/a#1", "thing.done").receive("r#1/e#1", "thing.done")

    assert run.withdrawn() == [("event", "r#1/g#1/b#1")]
    check(run, "succeeded")


# --- loops ---------------------------------------------------------------------------------------


def counting(name="poll"):
    count = [0]

    def action(_):
        count[0] += 1
        return {"n": count[0]}

    return {name: action}


def test_until_is_asked_after_each_turn():
    run = drive(loop("poll", until="result.n == 3"), actions=counting())

    assert ran(run) == ["poll#1/turn#1", "poll#1/turn#2", "poll#1/turn#3"]
    assert run.state.steps["poll#1"].outputs == {"result": {"n": 3}}
    check(run, "succeeded")


def test_while_is_asked_before_each_turn_and_sees_null_first():
    run = drive(loop("poll", condition="result == null || result.n < 3"), actions=counting())

    assert len(run.executed) == 3
    check(run, "succeeded")


def test_a_loop_may_have_no_turn_at_all():
    run = drive(loop("poll", condition="false"), outputs={"r": "steps.poll.outputs.result"})

    assert (ran(run), run.outputs) == ([], {"r": None})
    check(run, "succeeded")


def test_a_loop_that_is_never_done_fails_after_its_last_turn():
    run = drive(loop("poll", until="false", turns=3, delay_seconds=60.0))

    assert len(run.executed) == 3
    assert run.error_kind("poll") == "max-iterations"
    assert run.now - START == timedelta(seconds=120)  # no pause after the last
    check(run, "failed")


def test_a_turn_that_fails_fails_the_loop():
    run = drive(loop("poll", until="false"), actions={"poll": boom("odd")})

    assert run.error_kind("poll") == "odd"
    assert len(run.executed) == 1
    check(run, "failed")


def test_a_turn_is_retried_before_it_counts():
    body = uses("poll", retry=Retry(retries_max=2))
    run = drive(loop("poll", body, until="true"), actions={"poll": failing(2)})

    assert [attempt for _, attempt, _ in run.executed] == [1, 2, 3]
    check(run, "succeeded")


def test_until_sees_the_result_and_not_the_outputs():
    body = uses("poll", outputs={"shown": "'n is ' + string(int(result.n))"})
    run = drive(loop("poll", body, until="result.n == 2"), actions=counting())

    assert run.state.steps["poll#1"].outputs == {"shown": "n is 2"}
    check(run, "succeeded")


def test_until_of_a_group_sees_its_outputs():
    body = group("body", uses("ask"), outputs={"n": "steps.ask.outputs.result.n"})
    run = drive(loop("l", body, until="result.n == 2"), actions=counting("ask"))

    assert ran(run) == ["l#1/turn#1/ask#1", "l#1/turn#2/ask#1"]
    check(run, "succeeded")


@pytest.mark.parametrize("broken", [{"until": "result.absent"}, {"condition": "result.absent"}])
def test_a_condition_that_errs_fails_the_loop(broken):
    run = drive(loop("poll", **broken))

    assert run.error_kind("poll") == "expression"
    check(run, "failed")


def test_a_person_who_says_no_ends_a_loop():
    run = drive(loop("l", group("body", approval("ok")), until="false"))
    run.resolve("l#1/turn#1/ok#1", "rejected")

    check(run, "rejected")


def test_a_loop_of_verbs_that_need_nobody_comes_to_its_end():
    body = put("count", values={"n": "vars.n + 1"})
    run = drive(loop("count", body, until="vars.n >= 4", turns=10), variables={"n": 0})

    assert run.state.variables == {"n": 4}
    check(run, "succeeded")


def test_a_loop_may_send_and_wait_in_turns():
    body = group("body", emit("ping"), event("pong", "ping"))
    run = drive(loop("l", body, condition="vars.n < 1"), variables={"n": 0})
    run.receive("l#1/turn#1/pong#1", "thing.done").receive("l#1/turn#2/pong#1", "thing.done")

    check_open(run)
    assert run.outcome("l#1/turn#3") == "open"


# --- nests ---------------------------------------------------------------------------------------


def test_a_map_of_loops_counts_the_turns_of_each_item():
    body = loop("m", uses("m", arguments={"it": "${{ it }}"}), until="result.done", turns=3)
    seen = []

    def action(given):
        seen.append(given["it"])
        return {"done": seen.count(given["it"]) == 2}

    run = drive(each("m", body), inputs={"items": ["a", "b"]}, actions={"m": action})

    assert sorted(ran(run)) == [
        f"m#1/item#{item}/turn#{turn}" for item in (1, 2) for turn in (1, 2)
    ]
    check(run, "succeeded")


def test_inner_maps_see_the_items_of_outer_ones():
    inner = each("inner", uses("inner", arguments={"it": "${{ it }}"}), items="it.inner")
    body = group("body", inner)
    run = drive(each("outer", body), inputs={"items": [{"inner": [1, 2]}, {"inner": [3]}]})

    assert [given["it"] for _, _, given in run.executed] == [1, 2, 3]
    check(run, "succeeded")


def test_a_container_that_failed_gives_the_first_error_inside():
    actions = {"a": boom("first"), "b": boom("second")}
    run = drive(group("g", uses("a"), uses("b")), actions=actions)

    assert run.error_kind("g") == "first"
    assert run.state.steps["g#1"].outcome is Outcome.FAILED
    check(run, "failed")
