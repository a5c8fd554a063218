"""Definitions as nodes and ways: what each construct is called, and where it stands."""

import pytest

from engine.domain.plan import (
    AfterError,
    Cache,
    Circuit,
    Compensation,
    On,
    OnError,
    Rate,
    StateEvent,
    Stuck,
    Transition,
    Uses,
)
from engine.portal.context.drawing import View, draw
from engine.portal.context.plan_graph import badges_of, graph_of_plan, pointer_of
from tests.constructs import (
    call,
    each,
    emit,
    event,
    final,
    group,
    loop,
    machine,
    matrix,
    put,
    race,
    state,
    timer,
)
from tests.plans import approval, plan, uses

VIEW = View(
    chosen="",
    opened=frozenset(),
    is_whole=False,
    only="",
    link_step=lambda key: f"?step={key}",
    link_group=lambda key: f"?open={key}",
)


def _facts(*steps):
    return {facts.key: facts for facts in graph_of_plan(plan(*steps)).steps}


def _ways(*states):
    links = graph_of_plan(machine(*states)).links
    assert links is not None
    return {(link.source, link.target): [line.words for line in link.lines] for link in links}


@pytest.mark.parametrize(
    ("step", "symbol", "detail"),
    [
        (timer("s", lasts="PT90M"), "timer", "waits 1 h 30 min"),
        (timer("s", lasts="${{ inputs.x }}"), "timer", "waits ${{ inputs.x }}"),
        (timer("s", until="inputs.at"), "timer", "until inputs.at"),
        (event("s", of="order.paid"), "inbox", "waits for order.paid"),
        (emit("s", of="order.sent"), "upload", "sends order.sent"),
        (call("s"), "external-link", "calls child"),
        (call("s", detached=True), "external-link", "calls child, goes on at once"),
        (put("s", values={"a": "1", "b": "2"}), "hash", "sets a, b"),
        (approval("s"), "user", "approval"),
    ],
)
def test_a_verb_has_a_symbol_and_says_what_it_does(step, symbol, detail):
    facts = _facts(step)["s"]

    assert (facts.symbol, facts.detail, facts.container) == (symbol, detail, "")


@pytest.mark.parametrize(
    ("step", "container", "detail", "inside"),
    [
        (group("s", uses("a"), uses("b")), "group", "group of 2 steps", ["s/a", "s/b"]),
        (race("s", uses("a"), timer("b")), "race", "race: first of 2 wins", ["s/a", "s/b"]),
        (
            each("s", concurrency=3),
            *("map", "map: each it of inputs.items, 3 at once", ["s/item"]),
        ),
        (matrix("s"), "matrix", "matrix: each a x b", ["s/cell"]),
        (
            loop("s", until="result.ok"),
            *("loop", "loop: until result.ok, at most 5 turns", ["s/turn"]),
        ),
        (
            loop("s", condition="vars.n < 3", turns=1),
            *("loop", "loop: while vars.n < 3, at most 1 turn", ["s/turn"]),
        ),
    ],
)
def test_a_container_says_its_kind_and_holds_its_steps(step, container, detail, inside):
    found = _facts(step)

    assert (found["s"].container, found["s"].detail) == (container, detail)
    assert [key for key, facts in found.items() if facts.parent == "s"] == inside
    drawing = draw(list(found.values()), VIEW)
    assert [node.key for node in drawing.nodes if node.is_box] == ["s"]


def test_what_is_inside_needs_what_is_beside_it():
    found = _facts(uses("z"), group("s", uses("a"), uses("b", "a"), needs=("z",)))

    assert found["s"].needs == ("z",)
    assert found["s/b"].needs == ("s/a",)


def test_containers_in_containers_are_boxes_in_boxes():
    body = loop("item", uses("turn"), until="true")
    drawing = draw(graph_of_plan(plan(each("s", body))).steps, VIEW)

    titles = [(node.title, node.is_box) for node in drawing.nodes]
    assert titles == [("S", True), ("Each it", True), ("Each turn", False)]


@pytest.mark.parametrize(
    ("fields", "icon", "words"),
    [
        ({"mutex": "prod"}, "lock", "mutex prod: one at a time"),
        ({"queue": "gpu"}, "monitor", "queue gpu: workers of this label"),
        ({"cache": Cache(key="k", ttl_seconds=3600)}, "database", "cache: result kept for 1 h"),
        ({"rate": Rate(key="k", limit=5, seconds=60)}, "gauge", "at most 5 in 1 min"),
        (
            {"circuit": Circuit(key="k", failures=2, window_seconds=9, cooldown_seconds=9)},
            *("shield", "behind a circuit breaker"),
        ),
        ({"lazy": True}, "moon", "lazy: recorded with the next step"),
        ({"total_seconds": 90.0}, "clock", "at most 1 min in all"),
        (
            {"compensate": Compensation(uses=Uses(action="http/request@1"))},
            *("rotate-ccw", "undone by http/request"),
        ),
        (
            {"on_error": OnError(compensate=("a", "b"), then=AfterError.ASK)},
            *("history", "on error undoes a, b and asks a person"),
        ),
        ({"on_error": OnError(then=AfterError.CONTINUE)}, "history", "on error goes on"),
    ],
)
def test_what_else_holds_for_a_step_is_an_icon_with_words(fields, icon, words):
    (facts,) = _facts(uses("s", **fields)).values()

    assert [(badge.icon, badge.words) for badge in facts.badges] == [(icon, words)]
    (node,) = draw([facts], VIEW).nodes
    assert [(badge.icon, badge.words) for badge in node.badges] == [(icon, words)]
    assert f"({words})" in node.label


def test_a_verb_is_told_by_a_badge_where_a_mark_has_the_place_of_its_symbol():
    assert [badge.icon for badge in badges_of(timer("s"))] == ["timer"]
    assert badges_of(uses("s")) == ()


def test_the_ways_of_a_machine_say_what_takes_them():
    ways = _ways(
        state(
            "draft",
            Transition(on=On.EVENT, name="sent", to="review", condition="vars.n > 1"),
            Transition(on=On.AFTER, seconds=7_200, to="late"),
            step=event("draft", of="sent"),
        ),
        state(
            "review",
            Transition(on=On.OUTCOME, name="approved", to="done"),
            Transition(on=On.OUTCOME, name="rejected", to="draft"),
            Transition(on=On.ERROR, to="late"),
            step=approval("review"),
            events=(StateEvent(type="stop", to="late"),),
            stuck=Stuck(seconds=86_400, to="late"),
        ),
        state(
            "late", Transition(on=On.SUCCESS, to="draft", continue_as_new=True), step=uses("late")
        ),
        final("done"),
    )

    assert ways == {
        ("draft", "review"): ["event sent if vars.n > 1"],
        ("draft", "late"): ["after 2 h"],
        ("review", "done"): ["a person: approved"],
        ("review", "draft"): ["a person: rejected"],
        ("review", "late"): ["failed", "event stop", "stuck 1 d"],
        ("late", "draft"): ["done, as a new run"],
    }


def test_the_first_state_and_the_last_ones_are_told_apart():
    made = machine(
        state("draft", Transition(on=On.SUCCESS, to="done"), step=uses("draft")),
        final("done"),
        final("lost", "rejected"),
    )
    graph = graph_of_plan(made)
    drawing = draw(graph.steps, VIEW, links=graph.links)

    at = {node.key: node for node in drawing.nodes}
    assert [node.key for node in drawing.nodes if node.is_first] == ["draft"]
    assert {node.key for node in drawing.nodes if node.is_final} == {"done", "lost"}
    assert at["lost"].detail == "final: rejected"
    assert at["draft"].label.endswith("→ Done: done")
    (label,) = drawing.labels
    assert (label.words, [line.text for line in label.lines]) == ("done", ["done"])
    assert drawing.has_ends


def test_a_way_back_of_a_machine_is_drawn_as_one():
    made = machine(
        state("a", Transition(on=On.SUCCESS, to="b"), step=uses("a")),
        state("b", Transition(on=On.ERROR, to="a"), step=uses("b")),
    )
    graph = graph_of_plan(made)
    drawing = draw(graph.steps, VIEW, links=graph.links)

    back = {(edge.source, edge.target): edge.is_back for edge in drawing.edges}
    assert back == {("a", "b"): False, ("b", "a"): True}
    assert all(edge.has_end for edge in drawing.edges)
    assert len(drawing.labels) == 2


def test_more_ways_than_fit_are_counted_and_all_are_in_the_words():
    ways = [Transition(on=On.EVENT, name=f"e{number}", to="b") for number in range(5)]
    made = machine(state("a", *ways), final("b"))
    graph = graph_of_plan(made)

    (label,) = draw(graph.steps, VIEW, links=graph.links).labels

    assert [line.text for line in label.lines] == ["e0", "e1", "3 more"]
    assert label.words == "event e0; event e1; event e2; event e3; event e4"


def test_a_step_is_found_in_its_definition():
    made = plan(
        group("g", uses("a"), race("r", uses("x"), uses("y"))), each("m", group("item", uses("i")))
    )

    assert pointer_of(made, "g") == "/steps/g"
    assert pointer_of(made, "g/a") == "/steps/g/steps/a"
    assert pointer_of(made, "g/r/y") == "/steps/g/steps/r/race/1"
    assert pointer_of(made, "m/item") == "/steps/m"
    assert pointer_of(made, "m/item/i") == "/steps/m/steps/i"
    states = machine(state("a", step=group("a", uses("i"))), final("b"))
    assert pointer_of(states, "b") == "/states/b"
    assert pointer_of(states, "a/i") == "/states/a/steps/i"
