"""Steps as nodes and edges, with their words."""

import pytest

from engine.portal.context.drawing import StepFacts, View, draw, node_id
from engine.portal.text_width import measure

VIEW = View(
    chosen="",
    opened=frozenset(),
    is_whole=False,
    only="",
    link_step=lambda key: f"?step={key}",
    link_group=lambda key: f"?open={key}",
)


def _facts(key, *needs, **fields):
    return StepFacts(
        key=key, needs=needs, **{"kind": "uses", "title": key.title(), "mark": "pending"} | fields
    )


def _view(**changes):
    names = ("chosen", "opened", "is_whole", "only", "link_step", "link_group")
    return View(**{name: changes.get(name, getattr(VIEW, name)) for name in names})


def _fan(count, **fields):
    lanes = [_facts(f"scan_{number}", "start", **fields) for number in range(count)]
    return [_facts("start"), *lanes]


def test_a_node_says_how_it_stands_first():
    gate = _facts("gate", mark="waiting", word="Waiting", detail="due in 26 min", given=1, needed=2)

    (node,) = draw([gate], VIEW).nodes

    assert node.label == "Waiting: Gate due in 26 min 1 of 2"
    assert node.href == "?step=gate"


def test_a_small_quorum_is_dots_and_a_large_one_numbers():
    few, many = draw([_facts("a", given=1, needed=3), _facts("b", given=7, needed=12)], VIEW).nodes

    assert [dot.is_given for dot in few.dots] == [True, False, False]
    assert few.right == ""
    assert all(0 < float(dot.x) < 206 for dot in few.dots)
    assert (many.dots, many.right) == ((), "7 of 12")


@pytest.mark.parametrize("text", ["W" * 300, "承認" * 200, "a b " * 100])
def test_texts_stay_inside_the_node(text):
    (node,) = draw([_facts("a", title=text, detail=text, right="1 h 34 min")], VIEW).nodes

    assert measure(node.title, size=13) <= 154
    assert measure(node.detail, size=12) + measure(node.right, size=12) <= 154
    assert text[:50] in node.label


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("approved", "approved", "taken"),
        ("approved", "waiting", "taken"),
        ("failed", "approved", "taken"),
        ("approved", "pending", "open"),
        ("running", "pending", "open"),
        ("waiting", "cancelled", "open"),
        ("approved", "skipped", "skipped"),
        ("skipped", "approved", "skipped"),
        ("", "", "taken"),
    ],
)
def test_an_edge_is_drawn_by_what_happened_on_it(source, target, kind):
    steps = [_facts("a", mark=source), _facts("b", "a", mark=target)]

    assert [edge.kind for edge in draw(steps, VIEW).edges] == [kind]


def test_choosing_a_status_dims_the_others():
    nodes = draw([_facts("a", mark="failed"), _facts("b")], _view(only="failed")).nodes

    assert [node.is_dimmed for node in nodes] == [False, True]


def test_a_group_counts_its_steps_by_status_and_stands_as_the_worst():
    steps = _fan(70, mark="approved", word="Succeeded")
    steps[5] = _facts("scan_4", "start", mark="failed", word="Failed")
    steps[9] = _facts("scan_8", "start", mark="waiting", word="Waiting")

    drawing = draw(steps, _view(chosen="scan_4"))

    group = drawing.nodes[1]
    assert group.mark == "failed"
    assert group.href == "?open=group:scan_0"
    assert group.label == "Failed: Scan, 70 steps 68 of 70 done, 1 failed, 1 waiting"
    assert drawing.focus == group.id
    assert drawing.folded_count == 70


def test_a_group_that_is_opened_says_so():
    drawing = draw(_fan(70), _view(opened=frozenset({"group:scan_0"})))

    assert len(drawing.nodes) == 71
    assert [(group.name, group.count) for group in drawing.opened] == [("Scan", 70)]


def test_a_graph_begins_at_the_chosen_step():
    drawing = draw([_facts("a"), _facts("b", "a")], _view(chosen="b"))

    assert drawing.focus == "node-b"
    assert [node.is_chosen for node in drawing.nodes] == [False, True]


def test_too_many_nodes_are_not_drawn():
    drawing = draw(_fan(700), _view(is_whole=True))

    assert drawing.nodes == ()
    assert drawing.refused_count == 701
    assert draw(_fan(700), VIEW).refused_count == 0


def test_an_id_of_a_compensation_is_no_id_of_a_step():
    assert node_id("compensate/deploy") != node_id("compensate-deploy")
    assert node_id("scan/item#2") == "node-scan.item.2"


def test_nothing_is_an_empty_drawing():
    assert draw([], VIEW).nodes == ()
