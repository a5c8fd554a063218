"""The steps of a run as selectors list them: in order, bounded, and with what they wait for."""

import pytest

from core.kernel import limits
from core.kernel.values import evolve
from engine.domain.plan import AfterError, On, OnError, Rate, StateEvent, Transition
from engine.selectors.step_views import StepFilters, StepReader
from engine.selectors.step_waits import WaitKind
from tests.constructs import call, drive, each, event, final, group, live, loop, state, timer
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import START, FailsError, PureRun

PAGE = limits.INSTANCE_PAGE_COUNT


def reader(run):
    return StepReader(run.decider, run.state)


def keys(steps):
    return [step.key for step in steps]


def every(run, **filters):
    return keys(reader(run).list_after(filters=StepFilters(**filters), after="", limit=10_000))


def mapped(count, *, bad=(), body=None, then=()):
    """Drive a map over numbers, of which some fail."""
    run = PureRun(
        plan(each("m", body, fields={}, failures_max=count), *then),
        inputs={"items": list(range(count))},
    )

    def act(arguments):
        if arguments.get("it") in bad:
            raise FailsError
        return {}

    run.actions["m"] = act
    return run.drive()


def test_containers_come_before_what_is_inside_and_numbers_are_counted_not_spelled():
    run = drive(
        uses("z"),
        each("a", group("g", uses("y"), uses("b", "y")), needs=("z",)),
        inputs={"items": list(range(11))},
    )

    listed = keys(reader(run).list_steps().steps)

    assert listed[:5] == ["z#1", "a#1", "a#1/item#1", "a#1/item#1/y#1", "a#1/item#1/b#1"]
    assert listed[5] == "a#1/item#2"
    assert listed[-3] == "a#1/item#11"
    assert listed == every(run)


def test_compensations_are_last_in_the_order_of_what_they_undo():
    run = PureRun(plan(undoable("b"), undoable("a", "b"), uses("x", "a")))
    run.actions["x"] = boom()

    listed = keys(reader(run.drive()).list_steps().steps)

    assert listed == ["b#1", "a#1", "x#1", "compensate/b#1", "compensate/a#1"]


def test_a_small_map_is_listed_in_full():
    listed = reader(mapped(2 * PAGE)).list_steps()

    assert len(listed.steps) == 1 + 2 * PAGE
    assert listed.hidden_count == 0


def test_of_a_big_map_the_first_and_those_that_need_a_look_are_listed():
    bad = {700, 900}
    listed = reader(mapped(1_000, bad=bad)).list_steps()

    shown = keys(listed.steps)
    assert shown[1 : PAGE + 1] == [f"m#1/item#{number}" for number in range(1, PAGE + 1)]
    assert shown[PAGE + 1 :] == ["m#1/item#701", "m#1/item#901"]
    assert listed.hidden_count == 1_001 - len(shown)
    counted = {(item.status, item.outcome): item.count for item in listed.tallies}
    assert counted == {("ended", "succeeded"): 999, ("ended", "failed"): 2}


def test_what_somebody_looks_at_is_listed_whatever_is_left_out():
    run = mapped(200, body=group("g", uses("y")))

    hidden = keys(reader(run).list_steps().steps)
    shown = keys(reader(run).list_steps(keep="m#1/item#150/y#1").steps)

    assert set(shown) - set(hidden) == {"m#1/item#150", "m#1/item#150/y#1"}
    assert keys(reader(run).list_steps(keep="nonsense").steps) == hidden


def test_what_undoes_a_step_that_is_left_out_is_left_out_too():
    run = PureRun(
        plan(each("m", undoable("item")), uses("x", "m")), inputs={"items": list(range(150))}
    )
    run.actions["x"] = boom()

    listed = reader(run.drive()).list_steps()

    undone = [key for key in keys(listed.steps) if key.startswith("compensate/")]
    assert undone == [f"compensate/m#1/item#{number}" for number in range(1, PAGE + 1)]
    assert len(listed.steps) + listed.hidden_count == 2 + 150 + 150


def test_pages_lead_through_all_steps_and_a_step_that_is_gone_loses_no_place():
    run = mapped(130)
    found, after = [], ""
    while page := reader(run).list_after(filters=StepFilters(), after=after, limit=40):
        found += keys(page)
        after = page[-1].key

    assert found == ["m#1", *(f"m#1/item#{number}" for number in range(1, 131))]
    gone = reader(run).list_after(filters=StepFilters(), after="m#1/item#129/none#1", limit=40)
    assert keys(gone) == ["m#1/item#130"]


def test_a_list_of_steps_is_narrowed():
    run = mapped(30, bad={3})

    assert every(run, inside="m#1", outcome="failed") == ["m#1/item#4"]
    assert every(run, status="running") == []
    assert len(every(run, inside="m#1")) == 30
    assert every(run, inside="nonsense") == []


@pytest.mark.parametrize(
    ("number", "first", "shown"), [(1, 1, PAGE), (3, 101, 20), (99, 101, 20), (0, 1, PAGE)]
)
def test_instances_have_pages(number, first, shown):
    page = reader(mapped(120)).list_instances(key="m#1", number=number, filters=StepFilters())

    assert page is not None
    assert (len(page.steps), page.steps[0].key) == (shown, f"m#1/item#{first}")
    assert (page.page_count, page.count) == (3, 120)


def test_instances_are_narrowed_and_counted():
    run = mapped(120, bad={5})
    page = reader(run).list_instances(key="m#1", number=1, filters=StepFilters(outcome="failed"))

    assert page is not None
    assert keys(page.steps) == ["m#1/item#6"]
    assert sum(item.count for item in page.tallies) == 120


def test_a_step_that_repeats_nothing_has_no_instances():
    run = drive(uses("a"), group("g", uses("b")))

    for key in ("a#1", "g#1", "nonsense", ""):
        assert reader(run).list_instances(key=key, number=1, filters=StepFilters()) is None


def test_of_turns_the_newest_come_first():
    run = drive(loop("poll", turns=120, condition="true"))
    read = reader(run)

    page = read.list_instances(key="poll#1", number=1, filters=StepFilters())
    listed = keys(read.list_steps().steps)

    assert page is not None
    assert page.steps[0].key == "poll#1/turn#120"
    assert listed[1] == f"poll#1/turn#{120 - PAGE + 1}"


def round_trip(count):
    """Return a machine that goes from one of two states to the other and back."""
    ping = state("ping", Transition(on=On.SUCCESS, to="pong"), step=uses("ping"))
    back = Transition(
        on=On.SUCCESS, to="ping", condition=f"vars.n < {count}", values={"n": "vars.n + 1"}
    )
    pong = state("pong", back, Transition(on=On.SUCCESS, to="rest"), step=uses("pong"))
    rest = state("rest", events=(StateEvent(type="go", to="done"),))
    return live(ping, pong, rest, final("done"), variables={"n": 0})


def test_visits_are_listed_by_state_and_number_those_that_execute_nothing_too():
    run = round_trip(1)

    assert keys(reader(run).list_steps().steps) == [
        "ping#1",
        "ping#2",
        "pong#1",
        "pong#2",
        "rest#1",
    ]
    rest = reader(run).view("rest#1")
    assert (rest.verb, rest.status, rest.outcome) == ("state", "open", None)
    assert [(item.kind, item.name) for item in rest.waits] == [(WaitKind.EVENT, "go")]

    run.receive("rest#1/event#1", "go")

    done, left = reader(run).view("done#1"), reader(run).view("rest#1")
    assert (done.status, done.outcome) == ("ended", "succeeded")
    assert (left.status, left.outcome, left.waits) == ("ended", None, ())
    page = reader(run).list_instances(key="ping#1", number=1, filters=StepFilters())
    assert page is not None
    assert keys(page.steps) == ["ping#2", "ping#1"]


# --- what is waited for --------------------------------------------------------------------------


def waits(run, key):
    (wait,) = reader(run).view(key).waits
    return wait


def test_people_events_runs_and_time_are_waited_for():
    run = drive(
        approval("ask"),
        event("hear", of="thing.done"),
        call("child"),
        timer("rest", lasts="PT1H"),
    )

    assert (waits(run, "ask#1").kind, waits(run, "ask#1").name) == (WaitKind.PEOPLE, "approval")
    assert (waits(run, "hear#1").kind, waits(run, "hear#1").name) == (WaitKind.EVENT, "thing.done")
    child = waits(run, "child#1")
    assert (child.kind, child.name, child.run_id) == (
        WaitKind.RUN,
        "child@*",
        reader(run).view("child#1").child,
    )
    rest = waits(run, "rest#1")
    assert (rest.kind, rest.until and (rest.until - START).seconds) == (WaitKind.TIMER, 3_600)


def test_a_step_that_is_done_waits_for_nothing():
    assert reader(drive(uses("a"))).view("a#1").waits == ()


def test_a_mutex_is_waited_for_by_its_name():
    run = PureRun(plan(uses("a", mutex="db-${{ inputs.n }}")), inputs={"n": 7})
    run.claim()

    assert (waits(run, "a#1").kind, waits(run, "a#1").name) == (WaitKind.MUTEX, "db-7")


def test_a_rate_says_from_when():
    run = PureRun(plan(uses("a", rate=Rate(key="r-${{ inputs.n }}", limit=1, seconds=60))))
    run.inputs = {"n": 1}
    run = PureRun(run.plan, inputs={"n": 1})
    run.claim()
    run.move(run.admit("a#1", delay=30))

    wait = waits(run, "a#1")
    assert (wait.kind, wait.name) == (WaitKind.RATE, "r-1")
    assert wait.until is not None
    assert (wait.until - START).seconds == 30


def test_a_question_is_asked_about_an_error():
    run = PureRun(plan(uses("a", at_most_once=True)))
    run.claim()
    run.lose("a#1")

    assert waits(run, "a#1").kind is WaitKind.QUESTION


def test_a_state_says_when_it_is_left():
    run = live(state("wait", Transition(on=On.AFTER, seconds=60.0, to="done")), final("done"))
    run = PureRun(run.plan)
    run.claim()

    wait = waits(run, "wait#1")
    assert (wait.kind, wait.name) == (WaitKind.STATE, "done")


# --- earlier tries -------------------------------------------------------------------------------


def retried(*, count=2, times=1):
    """Drive a map over groups, one after another, of which the first begins anew some times."""
    body = group("x", undoable("u"), uses("a", "u"), on_error=OnError(then=AfterError.ASK))
    run = PureRun(
        plan(each("m", body, fields={}, concurrency=1)), inputs={"items": list(range(count))}
    )
    run.actions["a"] = failing(times, "permanent")
    run.drive()
    for _ in range(times):
        run.choose("m#1/item#1", "retry")
    return run


def test_earlier_tries_are_listed_after_what_counts_in_their_order():
    run = retried(times=2)

    listed = every(run)

    inside = ("", "/u#1", "/a#1")
    assert listed == [
        "m#1",
        *(f"m#1/item#1{item}" for item in inside),
        *(f"m#1/item#1@1{item}" for item in inside),
        *(f"m#1/item#1@2{item}" for item in inside),
        *(f"m#1/item#2{item}" for item in inside),
    ]
    earlier = next(step for step in reader(run).list_steps().steps if step.key == "m#1/item#1@1")
    assert (earlier.item, earlier.total) == (0, 2)
    assert (earlier.status, earlier.outcome) == ("ended", "failed")


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_lose_no_earlier_try(limit):
    run = retried(times=3)
    found, after = [], ""
    while page := reader(run).list_after(filters=StepFilters(), after=after, limit=limit):
        found += keys(page)
        after = page[-1].key

    assert found == every(run)
    assert len(found) == len(set(found)) == 1 + 5 * 3


def test_earlier_tries_are_no_instances():
    run = retried(times=2)

    page = reader(run).list_instances(key="m#1", number=1, filters=StepFilters())

    assert page is not None
    assert keys(page.steps) == ["m#1/item#1", "m#1/item#2"]
    assert (page.count, sum(item.count for item in page.tallies)) == (2, 2)
    assert every(run, inside="m#1") == ["m#1/item#1", "m#1/item#2"]
    assert every(run, inside="m#1/item#1@2") == ["m#1/item#1@2/u#1", "m#1/item#1@2/a#1"]
    tallies = reader(run).list_steps().tallies
    assert [(item.outcome, item.count) for item in tallies] == [("succeeded", 7)]


def test_an_earlier_try_is_left_out_with_what_it_was_a_try_of():
    run = retried(count=200, times=1)
    body = run.state.steps
    moved = {
        key.replace("m#1/item#1@1", "m#1/item#150@1"): step
        for key, step in body.items()
        if key.startswith("m#1/item#1@1")
    }
    state = evolve(run.state, steps=body.update(moved))
    listing = StepReader(run.decider, state)

    shown = keys(listing.list_steps().steps)
    asked = keys(listing.list_steps(keep="m#1/item#150@1/u#1").steps)

    assert [key for key in shown if "@" in key] == [
        "m#1/item#1@1",
        "m#1/item#1@1/u#1",
        "m#1/item#1@1/a#1",
    ]
    assert set(asked) - set(shown) == {"m#1/item#150@1", "m#1/item#150@1/u#1"}
