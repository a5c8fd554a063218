"""Runs as nodes and ways: what has happened, where the run is, and what has not begun."""

from typing import Any

import pytest

from engine.domain.plan import AfterError, Compensation, On, OnError, StateEvent, Transition, Uses
from engine.portal.context.drawing import View, draw
from engine.portal.context.run_graph import graph_of_run, list_taken
from engine.portal.context.steps import describe_steps
from engine.selectors.run_shapes import get_shape
from engine.selectors.step_views import StepReader
from tests.constructs import (
    call,
    drive,
    each,
    emit,
    event,
    final,
    group,
    live,
    loop,
    matrix,
    race,
    state,
    timer,
)
from tests.plans import approval, boom, undoable, uses

ITEMS = {"items": ["red", "green", "blue"]}


def _graph(run):
    views = StepReader(run.decider, run.state).list_steps().steps
    return graph_of_run(
        run.plan,
        describe_steps(run.plan, views, rows={}, panels={}, now=run.now),
        shape=get_shape(state=run.state),
        taken=list_taken(run.events),
        is_open=not run.closed,
    )


def _facts(run):
    return {facts.key: facts for facts in _graph(run).steps}


def _draw(run, **changes):
    graph = _graph(run)
    view: dict[str, Any] = {"chosen": "", "opened": frozenset(), "is_whole": False, "only": ""}
    view |= changes
    return draw(
        graph.steps,
        View(
            **view,
            link_step=lambda key: f"?step={key}",
            link_group=lambda key: f"?open={key}",
            link_plan=lambda key: f"/plan/{key}",
        ),
        links=graph.links,
    )


def _nodes(run, **changes):
    return {node.key: node for node in _draw(run, **changes).nodes}


def _words(facts):
    return [badge.words for badge in facts.badges]


# --- containers ----------------------------------------------------------------------------------


def test_a_group_counts_what_is_done_and_what_failed():
    run = drive(group("g", uses("a"), uses("b"), approval("c", "a")), actions={"b": boom()})

    facts = _facts(run)
    assert facts["g"].detail == "group: 1 of 3 done, 1 failed"
    assert [key for key, item in facts.items() if item.parent == "g"] == ["g/a", "g/b", "g/c"]
    assert facts["g/c"].needs == ("g/a",)
    assert _nodes(run)["g"].is_box


def test_a_group_that_has_not_opened_shows_what_it_will_hold():
    run = drive(
        approval("ask"), group("g", uses("a"), race("r", uses("x"), uses("y")), needs=("ask",))
    )

    nodes = _nodes(run)
    assert list(nodes) == ["ask", "g", "g/a", "g/r", "g/r/x", "g/r/y"]
    assert (nodes["g/r"].is_box, nodes["g/r/x"].mark) == (True, "pending")
    assert nodes["g/r/x"].href == "?step=g", "there is nothing else to look at yet"
    assert nodes["g"].detail == "group of 2 steps"


def test_a_group_that_was_skipped_shows_its_steps_as_skipped():
    run = drive(uses("a"), group("g", uses("b"), needs=("a",)), actions={"a": boom()})

    nodes = _nodes(run)
    assert nodes["g"].mark == nodes["g/b"].mark == "skipped"
    assert nodes["g"].detail == "group: A failed"


def test_a_map_counts_its_instances_and_calls_them_by_their_items():
    def action(given):
        return boom()(given) if given["it"] == "green" else {}

    run = drive(each("m", failures_max=1), inputs=ITEMS, actions={"m": action})

    facts = _facts(run)
    assert facts["m"].detail == "map: 2 of 3 done, 1 failed"
    assert facts["m"].done is not None
    assert facts["m"].done.total == 3
    assert facts["m/item#2"].title == "Item 2 of 3: green"
    assert (facts["m/item#2"].parent, facts["m/item#2"].mark) == ("m", "failed")


def test_a_map_over_nothing_and_one_that_has_not_begun_are_one_node():
    over, yet = (
        drive(each("m"), inputs={"items": []}),
        drive(approval("a"), each("m", needs=("a",))),
    )

    assert _facts(over)["m"].detail == "map: nothing to do"
    assert _facts(yet)["m"].detail == "map: each it of inputs.items"
    node = _nodes(yet)["m"]
    assert (node.is_box, node.is_stack, node.is_group) == (False, True, False)


def test_a_matrix_calls_its_cells_by_their_values():
    facts = _facts(drive(matrix("m")))

    assert facts["m"].detail == "matrix: 4 of 4 done"
    assert facts["m/cell#4"].title == "Cell (2, y)"


def test_a_loop_says_its_turn_and_draws_the_last():
    left = [{"ok": True}, {"ok": False}, {"ok": False}]
    run = drive(loop("l", until="result.ok", turns=7), actions={"l": lambda _: left.pop()})

    assert _facts(run)["l"].detail == "loop: turn 3 of at most 7"
    assert list(_nodes(run)) == ["l", "l/turn#3"]


def test_a_race_says_that_the_first_wins_and_which_did():
    run = drive(race("r", approval("x"), timer("y", lasts="P1D")))
    assert _facts(run)["r"].detail == "race of 2: the first wins"

    run.resolve("r#1/x#1", "approved")

    assert _facts(run)["r"].detail == "race of 2: X won"


def test_what_is_inside_instances_is_drawn_inside_them():
    run = drive(each("m", group("item", uses("a"), uses("b", "a"))), inputs=ITEMS)

    nodes = _nodes(run)
    assert nodes["m/item#2"].is_box
    assert nodes["m/item#2"].title == "Item 2 of 3: green"
    assert _facts(run)["m/item#2/b"].needs == ("m/item#2/a",)


# --- what is taken back, and other signs ---------------------------------------------------------


def test_a_compensation_stands_beside_what_it_undoes():
    run = drive(group("g", undoable("u")), uses("x", "g"), actions={"x": boom()})

    undo = _facts(run)["compensate/g/u"]
    assert (undo.parent, undo.needs) == ("g", ("g/u",))
    assert _words(undo) == ["compensation"]
    assert "compensate/g/u" in _nodes(run)


def test_a_compensation_of_an_instance_is_a_sign_on_it():
    run = drive(each("m", undoable("item")), uses("x", "m"), inputs=ITEMS, actions={"x": boom()})

    facts = _facts(run)
    assert not any(key.startswith("compensate/") for key in facts)
    assert _words(facts["m/item#2"]) == ["was undone"]
    assert facts["m/item#2"].detail.startswith("was undone: "), "not only in the icon's words"
    assert _nodes(run, chosen="compensate/m/item#2")["m/item#2"].is_chosen


def test_a_compensation_that_failed_says_so():
    run = drive(
        each("m", undoable("item")),
        uses("x", "m"),
        inputs={"items": ["a"]},
        actions={"x": boom(), "compensate/m": boom(), "compensate/item": boom()},
    )

    assert _words(_facts(run)["m/item"]) == ["could not be undone"]


def test_an_earlier_try_is_no_node_of_its_own():
    asks = OnError(then=AfterError.ASK)
    run = drive(group("g", undoable("u"), uses("a", "u"), on_error=asks), actions={"a": boom()})
    run.choose("g#1", "retry").choose("g#1", "fail")

    facts = _facts(run)
    assert list(facts) == ["g", "g/u", "g/a", "compensate/g/u"]
    assert "an earlier try was undone" in _words(facts["g/u"])


def test_verbs_and_modifiers_are_signs_beside_the_mark():
    run = drive(
        *(timer("t", lasts="PT1M"), event("e", of="thing.done"), emit("s", of="thing.sent")),
        *(call("c"), uses("u", mutex="prod", lazy=False)),
        skips_time=True,
    )

    facts = _facts(run)
    assert _words(facts["t"]) == ["waits 1 min"]
    assert _words(facts["e"]) == ["waits for thing.done"]
    assert _words(facts["s"]) == ["sends thing.sent"]
    assert _words(facts["c"]) == ["calls child"]
    assert _words(facts["u"]) == ["mutex prod: one at a time"]


# --- state machines ------------------------------------------------------------------------------


def _order(**fields):
    return live(
        state(
            "draft",
            Transition(on=On.EVENT, name="thing.done", to="review"),
            step=event("draft"),
        ),
        state(
            "review",
            Transition(on=On.OUTCOME, name="approved", to="ship"),
            Transition(on=On.OUTCOME, name="rejected", to="draft"),
            step=approval("review"),
        ),
        state("ship", Transition(on=On.SUCCESS, to="done"), step=group("ship", uses("pack"))),
        state("idle", events=(StateEvent(type="call.off", to="done"),)),
        final("done"),
        **fields,
    )


def test_a_machine_marks_where_the_run_is():
    run = _order()

    nodes = _nodes(run)
    assert [key for key, node in nodes.items() if node.is_here] == ["draft"]
    assert nodes["draft"].label.startswith("Here now, waits for an event: Draft")
    assert nodes["draft"].is_first
    assert (nodes["done"].is_final, nodes["done"].mark) == (True, "pending")
    assert nodes["done"].label.startswith("Not visited: Done final: succeeded")
    assert nodes["done"].href == "/plan/done"
    assert nodes["ship/pack"].href == "/plan/ship/pack", "of a state the run has not been in"


def test_a_machine_counts_visits_and_shows_which_ways_were_taken():
    run = _order().receive("draft#1", "thing.done").resolve("review", "rejected")
    run.receive("draft#2", "thing.done")

    graph = _graph(run)
    at = {facts.key: facts for facts in graph.steps}
    assert at["draft#2"].right == "2 visits"
    assert at["review#2"].is_here
    assert graph.links is not None
    taken = {(link.source, link.target) for link in graph.links if link.is_taken}
    assert taken == {("draft#2", "review#2"), ("review#2", "draft#2")}
    edges = {(edge.source, edge.target): edge for edge in _draw(run).edges}
    assert edges["review#2", "draft#2"].is_back
    assert edges["review#2", "draft#2"].kind == "taken"
    assert edges["review#2", "ship"].kind == "open"


def test_a_machine_that_has_ended_is_nowhere_and_what_it_missed_is_skipped():
    run = _order().receive("draft#1", "thing.done").resolve("review", "approved")

    assert run.closed == "succeeded"
    nodes = _nodes(run)
    assert not any(node.is_here for node in nodes.values())
    assert (nodes["done"].mark, nodes["done"].href) == ("approved", "?step=done")
    assert (nodes["idle"].mark, nodes["idle"].href) == ("skipped", "/plan/idle")
    assert nodes["ship"].is_box
    assert nodes["ship/pack"].mark == "approved"


def test_a_state_that_only_listens_is_here_without_a_step():
    run = live(state("idle", events=(StateEvent(type="call.off", to="done"),)), final("done"))

    node = _nodes(run)["idle"]
    assert node.is_here
    assert node.mark == "running"
    assert node.detail == "listens to call.off"


def test_the_inside_of_an_earlier_visit_is_not_drawn():
    run = live(
        state(
            "a",
            Transition(on=On.SUCCESS, to="b"),
            step=group("a", uses("x")),
        ),
        state("b", Transition(on=On.EVENT, name="thing.done", to="a"), step=event("b")),
    )
    run.receive("b#1", "thing.done")

    nodes = _nodes(run)
    assert list(nodes) == ["a#2", "a#2/x", "b#2"]
    assert _nodes(run, chosen="a/x")["a#2"].is_chosen


def test_a_compensation_in_a_machine_is_a_sign_on_its_state():
    undo = Compensation(uses=Uses(action="python/call@1"))
    run = live(
        state("a", Transition(on=On.SUCCESS, to="b"), step=uses("a", compensate=undo)),
        state("b", step=uses("b")),
        actions={"b": boom()},
    )

    facts = _facts(run)
    assert list(facts) == ["a", "b"]
    assert "was undone" in _words(facts["a"])


@pytest.mark.parametrize("count", [1, 30])
def test_a_picture_of_many_instances_has_as_many_nodes_as_of_a_handful(count):
    run = drive(each("m"), inputs={"items": list(range(20 * count))})

    assert len(_draw(run).nodes) == 7
