"""The patterns in which a step runs more than once."""

from typing import Any

from engine.domain.moving import EffectKind
from tests.patterns.patterns import check, play, start
from tests.plans import boom


def test_instances_known_at_design_time():
    run = play("instances-known-at-design-time")

    cells = [(given["python"], given["database"]) for key, _, given in run.executed[:-1]]
    assert cells == [("3.11", "postgres"), ("3.11", "sqlite"), ("3.12", "postgres")]
    assert run.ran()[-1] == "publish#1"
    check(run, "succeeded")


def test_instances_known_at_design_time_stop_at_the_first_failure():
    run = play("instances-known-at-design-time", actions={"test": boom()}, capacity=1)

    assert run.ran() == ["test#1/cell#1"]
    assert run.outcome("test#1/cell#3") == "cancelled"
    assert run.outcome("publish") == "unreached"
    check(run, "failed")


def test_instances_known_at_run_time():
    run = start("instances-known-at-run-time", {"hosts": ["a", "b", "c", "d"]})
    begun = run.claim().begun
    run.move(run._execute(begun[0].key))
    assert run.begun() == {"patch#1/item#1", "patch#1/item#2"}
    run.move(run._execute("patch#1/item#2"))
    assert run.begun() == {"patch#1/item#1", "patch#1/item#3"}
    run.drive()

    assert {given.get("host") for _, _, given in run.executed[1:-1]} == {"a", "b", "c", "d"}
    check(run, "succeeded")


def test_instances_known_at_run_time_of_which_one_may_fail():
    def patch(given):
        return boom()(given) if given["host"] == "b" else {"ok": True}

    run = play("instances-known-at-run-time", {"hosts": ["a", "b"]}, actions={"patch": patch})

    assert run.executed[-1][2]["failed"] == 1
    check(run, "succeeded")


def test_instances_known_at_run_time_of_which_two_fail():
    hosts = {"hosts": ["a", "b", "c", "d"]}
    run = play("instances-known-at-run-time", hosts, actions={"patch": boom()})

    assert run.outcome("report") == "unreached"
    assert "patch#1/item#4" not in run.state.steps  # a map that has failed begins nothing more
    check(run, "failed")


def test_instances_known_at_run_time_may_be_none():
    run = play("instances-known-at-run-time", {"hosts": []})

    assert run.ran() == ["inventory#1", "report#1"]
    check(run, "succeeded")


def test_instances_without_synchronization():
    calls = {"deliver@^1": {"version": "v", "digest": "d"}}
    run = play("instances-without-synchronization", {"parcels": ["x", "y"]}, calls=calls)

    started = [effect.body for effect in run.effects if effect.kind is EffectKind.CALL]
    assert [(body["inputs"], body["detached"]) for body in started] == [
        ({"parcel": "x"}, True),
        ({"parcel": "y"}, True),
    ]
    assert run.ran() == ["close#1"]
    check(run, "succeeded")


def test_arbitrary_cycles():
    run = play("arbitrary-cycles")
    for number in (1, 2, 3):
        run.receive(f"draft#{number}", "document.submitted")
        run.resolve(f"review#{number}", "rejected" if number < 3 else "approved")

    assert run.ran() == ["publish#1"]
    assert run.state.variables == {"round": 3}
    check(run, "succeeded")


def test_arbitrary_cycles_end_when_a_condition_says_so():
    run = play("arbitrary-cycles")
    for number in (1, 2, 3):
        run.receive(f"draft#{number}", "document.submitted")
        run.resolve(f"review#{number}", "rejected")

    assert "draft#4" not in run.state.steps
    check(run, "rejected")


def test_arbitrary_cycles_lead_back_from_a_second_place():
    run = play("arbitrary-cycles", actions={"publish": boom()})
    run.receive("draft#1", "document.submitted").resolve("review#1", "approved")

    assert run.outcome("review#2") == "waiting"
    run.cancel()
    run.resolve("review#2", "voided")
    check(run, "cancelled")


def test_structured_loop_until():
    answers = iter([False, False, True])
    run = play("structured-loop-until", actions={"poll": lambda _: {"healthy": next(answers)}})

    assert run.ran() == ["poll#1/turn#1", "poll#1/turn#2", "poll#1/turn#3"]
    assert (run.now - run.events[0].at).total_seconds() == 120
    check(run, "succeeded")


def test_structured_loop_until_it_gives_up():
    run = play("structured-loop-until", actions={"poll": lambda _: {"healthy": False}})

    assert len(run.ran()) == 5
    assert run.error_kind("poll") == "max-iterations"
    check(run, "failed")


def test_structured_loop_while():
    run = play("structured-loop-while", {"left": 2})

    assert run.ran() == ["drain#1/turn#1/take#1", "drain#1/turn#2/take#1", "close#1"]
    check(run, "succeeded")


def test_structured_loop_while_nothing_is_left():
    run = play("structured-loop-while", {"left": 0})

    assert run.ran() == ["close#1"]
    check(run, "succeeded")


def descend(depth):
    """Play a run and the runs it starts; returns its outputs and how many there were."""
    run = play("recursion", {"depth": depth}, calls={"recursion@*": {"version": 1, "digest": "d"}})
    calls: list[Any] = [effect.body for effect in run.effects if effect.kind is EffectKind.CALL]
    count = 1
    for body in calls:
        outputs, inner = descend(body["inputs"]["depth"])
        count += inner
        run.end_child("unpack#1", "succeeded", outputs)
    check(run, "succeeded")
    return dict(run.outputs), count


def test_recursion_ends_at_its_bottom():
    assert descend(3) == ({"sum": 6}, 4)


def test_recursion_fails_as_what_it_called():
    run = play("recursion", {"depth": 1}, calls={"recursion@*": {"version": 1, "digest": "d"}})
    run.end_child("unpack#1", "failed")

    assert run.error_kind("unpack") == "child"
    check(run, "failed")
