"""Containers as boxes: what is inside them, what is counted, and what is closed in a crowd."""

from typing import Any

import pytest

from engine.portal.context.drawing import INSTANCE_COUNT_MAX, StepFacts, View, draw
from engine.portal.folding import WHOLE_COUNT_MAX
from engine.selectors.run_shapes import Progress
from tests.drawings import Box, points_of


def _facts(key, *needs, **fields):
    known = {"kind": "uses", "title": key, "mark": "approved", "word": "Succeeded"}
    return StepFacts(key=key, needs=needs, parent=key.rpartition("/")[0], **known | fields)


def _view(**changes):
    known: dict[str, Any] = {
        "chosen": "",
        "opened": frozenset(),
        "is_whole": False,
        "only": "",
    }
    return View(
        **known | changes,
        link_step=lambda key: f"?step={key}",
        link_group=lambda key: f"?open={key}",
    )


def _draw(*steps, **changes):
    return draw(steps, _view(**changes))


def _boxes(drawing):
    return {node.key: Box.of(node) for node in drawing.nodes}


def _group(key, *names, **fields):
    inner = [_facts(f"{key}/{name}") for name in names]
    return [_facts(key, container="group", **fields), *inner]


def _map(count, *, total=None, marks=None, kind="map", **fields):
    """Return a map and its instances; `marks` are those of some, by number."""
    marks = marks or {}
    inner = [
        _facts(f"scan/item#{number}", mark=marks.get(number, "approved"))
        for number in range(1, count + 1)
    ]
    failed = sum(mark == "failed" for mark in marks.values())
    progress = Progress(
        total=total or count, begun=count, open=0, good=count - len(marks), failed=failed
    )
    return [_facts("scan", container=kind, done=progress, **fields), *inner]


@pytest.mark.parametrize("container", ["group", "race", "map", "matrix", "loop"])
def test_a_box_is_around_what_is_inside_it(container):
    steps = [
        _facts("first"),
        _facts("all", "first", container=container, detail="what it does"),
        _facts("all/item", container="group"),
        _facts("all/item/a"),
        _facts("all/item/b", "all/item/a"),
        _facts("last", "all"),
    ]
    drawing = _draw(*steps)

    at = _boxes(drawing)
    assert at["all"].holds_box(at["all/item"])
    assert at["all/item"].holds_box(at["all/item/a"])
    assert at["all/item"].holds_box(at["all/item/b"])
    for inner in ("all/item/a", "all/item/b"):
        assert at[inner].top - at["all/item"].top >= 30, "the head stays free"
    assert not at["all"].meets(at["first"])
    assert not at["all"].meets(at["last"])
    assert not at["all/item/a"].meets(at["all/item/b"])
    kinds = [(node.key, node.is_box) for node in drawing.nodes]
    assert kinds == [
        *(("first", False), ("all", True), ("all/item", True)),
        *(("all/item/a", False), ("all/item/b", False), ("last", False)),
    ]


def test_every_edge_ends_at_its_nodes_also_inside_boxes():
    drawing = _draw(
        *(_facts("first"), _facts("all", "first", container="group")),
        *(_facts("all/a"), _facts("all/b", "all/a"), _facts("all/c", "all/a")),
        _facts("last", "all", "first"),
    )

    at = _boxes(drawing)
    box = next(node for node in drawing.nodes if node.key == "all")
    inner = [(edge, float(box.inner_x), float(box.inner_y)) for edge in box.edges]
    outer = [(edge, 0.0, 0.0) for edge in drawing.edges]
    assert {(edge.source, edge.target) for edge, _, _ in inner} == {
        ("all/a", "all/b"),
        ("all/a", "all/c"),
    }
    assert len(outer) == 3
    for edge, right, down in inner + outer:
        points = [(x + right, y + down) for x, y in points_of(edge.path)]
        source, target = at[edge.source], at[edge.target]
        assert points[0][0] == pytest.approx(source.right, abs=0.2)
        assert source.top < points[0][1] < source.bottom
        assert points[-1][0] == pytest.approx(target.left, abs=0.2)
        assert target.top < points[-1][1] < target.bottom


def test_a_box_says_its_title_and_how_far_it_has_come():
    box = _draw(*_group("all", "a", word="Under way", detail="group: 0 of 1 done")).nodes[0]

    assert (box.title, box.detail) == ("all", "group: 0 of 1 done")
    assert box.label == "Under way: all group: 0 of 1 done"
    assert box.href == "?step=all"


def test_a_title_that_is_too_long_stays_inside_its_box():
    box = _draw(*_group("all", "a", title="W" * 200, detail="d" * 200)).nodes[0]

    assert float(box.width) <= 500
    assert box.title.endswith("…")
    assert float(box.detail_x) < float(box.width)


def test_a_turn_of_a_loop_has_a_way_back():
    first, second = _facts("poll/turn"), _facts("poll/turn#2", mark="running")
    drawing = _draw(_facts("poll", container="loop"), first, second)

    box, turn = drawing.nodes
    assert turn.key == "poll/turn#2", "the last one is drawn"
    (back,) = box.edges
    assert (back.is_back, back.has_end, back.kind) == (True, True, "taken")
    assert (back.source, back.target) == (turn.key, turn.key)
    around = Box.of(box)
    for x, y in points_of(back.path):
        assert around.holds_point(x + float(box.inner_x), y + float(box.inner_y), inset=0)


def test_the_turn_that_is_asked_for_is_drawn():
    turns = [_facts("poll/turn"), _facts("poll/turn#2")]
    drawing = _draw(_facts("poll", container="loop"), *turns, chosen="poll/turn")

    assert [node.key for node in drawing.nodes] == ["poll", "poll/turn"]
    assert drawing.nodes[0].edges[0].kind == "open", "nothing came back to the first turn"


@pytest.mark.parametrize("kind", ["map", "matrix"])
def test_a_handful_of_instances_is_drawn_and_one_more_is_counted(kind):
    whole = _draw(*_map(INSTANCE_COUNT_MAX, kind=kind))
    more = _draw(*_map(INSTANCE_COUNT_MAX + 1, kind=kind))

    assert len(whole.nodes) == 1 + INSTANCE_COUNT_MAX
    assert whole.folded_count == 0
    assert len(more.nodes) == 1 + INSTANCE_COUNT_MAX
    rest = more.nodes[-1]
    assert (rest.title, rest.detail) == ("2 more", "2 done")
    assert rest.href == "?step=scan", "where the table of instances is"
    assert more.folded_count == 2
    assert Box.of(more.nodes[0]).holds_box(Box.of(rest))


def test_of_many_instances_the_urgent_ones_are_drawn():
    marks = {30: "failed", 40: "waiting", 45: "running"}
    drawing = _draw(*_map(50, total=2_000, marks=marks))

    keys = [node.key for node in drawing.nodes]
    assert keys == [
        *("scan", "scan/item#1", "scan/item#2"),
        *("scan/item#30", "scan/item#40", "scan/item#45", "more:scan"),
    ]
    assert drawing.nodes[-1].title == "1995 more"
    assert drawing.nodes[-1].detail == "45 done, 1950 not begun"


def test_the_rest_says_how_it_stands():
    steps = _map(20, total=40, marks=dict.fromkeys(range(1, 15), "running"))
    progress = Progress(total=40, begun=30, open=20, good=8, failed=2)
    steps[0] = _facts("scan", container="map", done=progress)

    rest = _draw(*steps).nodes[-1]

    assert rest.title == "35 more"
    assert rest.label == "35 more 8 done, 2 failed, 15 under way, 10 not begun"


def test_the_instance_that_is_asked_for_is_drawn():
    drawing = _draw(*_map(50, marks=dict.fromkeys(range(1, 20), "failed")), chosen="scan/item#50")

    node = next(node for node in drawing.nodes if node.key == "scan/item#50")
    assert node.is_chosen
    assert drawing.focus == node.id


def test_all_instances_of_a_map_are_drawn_when_asked():
    drawing = _draw(*_map(50), is_whole=True)

    assert len(drawing.nodes) == 51
    assert drawing.folded_count == 0


def _crowd(count, **fields):
    """Return groups of two steps each, of which each needs the one before."""
    steps = []
    for number in range(count):
        needs = (f"g{number - 1}",) if number else ()
        key = f"g{number}"
        steps += [
            _facts(key, *needs, container="group", **fields),
            _facts(f"{key}/a", mark=fields.get("mark", "approved")),
            _facts(f"{key}/b", f"{key}/a", mark=fields.get("mark", "approved")),
        ]
    return steps


def test_in_a_crowd_what_has_ended_well_is_closed():
    assert len(_draw(*_crowd(20)).nodes) == WHOLE_COUNT_MAX == 60

    drawing = _draw(*_crowd(21))

    assert len(drawing.nodes) == 21
    assert all(node.is_group and node.is_stack for node in drawing.nodes)
    assert drawing.nodes[3].href == "?open=g3"
    assert drawing.folded_count == 42


def test_in_a_crowd_what_presses_and_what_is_asked_for_stays_open():
    steps = _crowd(21)
    steps[3 * 7 + 2] = _facts("g7/b", "g7/a", mark="failed")
    drawing = _draw(*steps, chosen="g9/a", opened=frozenset({"g11"}))

    opened = [node.key for node in drawing.nodes if node.is_box]
    assert opened == ["g7", "g9", "g11"]
    assert {group.name for group in drawing.opened} == {"g9", "g11"}
    assert next(node for node in drawing.nodes if node.is_chosen).key == "g9/a"


def test_what_is_folded_shows_the_chosen_step_as_what_holds_it():
    drawing = _draw(*_crowd(30), chosen="compensate/g9/a")

    assert next(node for node in drawing.nodes if node.is_chosen).key == "g9"


def test_too_many_nodes_in_boxes_are_not_drawn():
    drawing = _draw(*_crowd(300), is_whole=True)

    assert drawing.refused_count == 900
    assert drawing.nodes == ()
    assert len(_draw(*_crowd(300)).nodes) <= 300


def test_an_earlier_visit_is_shown_as_its_state():
    steps = [_facts("draft#2"), _facts("rest", "draft#2")]

    assert _draw(*steps, chosen="draft").nodes[0].is_chosen
