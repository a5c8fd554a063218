"""Where steps and edges are drawn."""

import cProfile
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.portal.graph import (
    GAP_ACROSS,
    GAP_ALONG,
    NODE_HEIGHT,
    NODE_WIDTH,
    GraphStep,
    lay_out,
    lay_out_grid,
)


def _step(key, *needs):
    return GraphStep(key=key, needs=needs)


def _at(layout):
    return {node.key: node for node in layout.nodes}


_NODES = st.just((NODE_WIDTH, NODE_HEIGHT))
_SIZES = st.tuples(st.integers(206, 900), st.integers(58, 700))


@st.composite
def _graphs(draw, *, sizes=_NODES):
    """Steps in an order in which needs come first."""
    count = draw(st.integers(1, 25))
    steps: list[GraphStep] = []
    for number in range(count):
        earlier = [step.key for step in steps]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=4)) if earlier else []
        width, height = draw(sizes)
        steps.append(GraphStep(key=f"s{number}", needs=tuple(needs), width=width, height=height))
    return steps


def test_nothing_takes_no_room():
    layout = lay_out([])

    assert (layout.width, layout.height, layout.nodes, layout.edges) == (0, 0, (), ())


def test_a_chain_is_a_straight_line():
    layout = lay_out([_step("a"), _step("b", "a"), _step("c", "b")])

    a, b, c = layout.nodes
    assert b.x - a.x == c.x - b.x == NODE_WIDTH + GAP_ALONG
    assert a.y == b.y == c.y
    assert "C" not in layout.edges[0].path


def test_parallel_steps_stand_below_each_other_around_what_they_need():
    at = _at(lay_out([_step("a"), _step("b", "a"), _step("c", "a"), _step("d", "b", "c")]))

    assert at["b"].x == at["c"].x
    assert at["c"].y - at["b"].y == NODE_HEIGHT + GAP_ACROSS
    assert at["a"].y == at["d"].y == (at["b"].y + at["c"].y) / 2


def test_columns_are_ordered_so_that_edges_do_not_cross():
    layout = lay_out([_step("a"), _step("b"), _step("p", "b"), _step("q", "a")])

    at = _at(layout)
    assert (at["a"].y < at["b"].y) == (at["q"].y < at["p"].y)


def test_a_long_edge_passes_beside_the_nodes_between():
    layout = lay_out([_step("a"), _step("b", "a"), _step("c", "b"), _step("d", "a", "c")])

    at = _at(layout)
    edge = next(item for item in layout.edges if (item.source, item.target) == ("a", "d"))
    middle = float(re.findall(r"([\d.]+)H", edge.path)[0])
    assert not at["b"].y <= middle <= at["b"].y + NODE_HEIGHT


def test_the_edges_of_a_large_fan_share_a_trunk():
    layout = lay_out(_fan(40))

    middle = 24 + NODE_WIDTH + GAP_ALONG / 2
    far = [edge.path for edge in layout.edges if edge.source == "start" and "V" in edge.path]
    assert len(far) > 30
    assert all(f"Q{middle:g} " in path for path in far)
    assert not any("V" in edge.path for edge in lay_out(_fan(7)).edges)


def test_needs_that_are_not_drawn_draw_no_edge():
    assert lay_out([_step("a", "elsewhere")]).edges == ()


@given(_graphs())
def test_nodes_never_overlap_and_stay_inside(steps):
    layout = lay_out(steps)

    assert [node.key for node in layout.nodes] == [step.key for step in steps]
    for node in layout.nodes:
        assert 0 <= node.x <= layout.width - NODE_WIDTH
        assert 0 <= node.y <= layout.height - NODE_HEIGHT
    for first in layout.nodes:
        for second in layout.nodes:
            if first.key < second.key and first.column == second.column:
                assert abs(first.y - second.y) >= NODE_HEIGHT + GAP_ACROSS - 0.2


def _overlap(first, second):
    beside = first.x + first.width <= second.x or second.x + second.width <= first.x
    return not (beside or first.y + first.height <= second.y or second.y + second.height <= first.y)


@given(_graphs(sizes=_SIZES))
def test_boxes_of_any_size_never_overlap_and_stay_inside(steps):
    layout = lay_out(steps)

    for node, step in zip(layout.nodes, steps, strict=True):
        assert (node.width, node.height) == (step.width, step.height)
        assert node.x >= 0
        assert node.y >= 0
        assert node.x + node.width <= layout.width
        assert node.y + node.height <= layout.height + 0.1
    for number, first in enumerate(layout.nodes):
        assert not any(_overlap(first, second) for second in layout.nodes[number + 1 :])


@given(_graphs(sizes=_SIZES))
def test_an_edge_begins_and_ends_at_its_boxes(steps):
    layout = lay_out(steps)
    at = _at(layout)

    for edge in layout.edges:
        numbers = [float(item) for item in re.findall(r"-?[\d.]+", edge.path)]
        source, target = at[edge.source], at[edge.target]
        assert numbers[0] == pytest.approx(source.x + source.width, abs=0.1)
        assert numbers[1] == pytest.approx(source.y + source.height / 2, abs=0.2)
        last = re.findall(r"[A-Z][^A-Z]*", edge.path)[-1]
        x = float(re.findall(r"-?[\d.]+", last)[-1 if last[0] == "H" else -2])
        assert x == pytest.approx(target.x, abs=0.1)
        assert edge.spans[-1][3] == pytest.approx(target.y + target.height / 2, abs=0.2)


@given(st.lists(_SIZES, max_size=20), st.integers(1, 4))
def test_a_grid_stands_in_rows_without_overlaps(sizes, columns):
    steps = [
        GraphStep(key=str(number), width=width, height=height)
        for number, (width, height) in enumerate(sizes)
    ]
    layout = lay_out_grid(steps, column_count=columns)

    assert [node.key for node in layout.nodes] == [step.key for step in steps]
    for number, node in enumerate(layout.nodes):
        assert node.column == number % columns
        assert node.x + node.width <= layout.width
        assert node.y + node.height <= layout.height
        assert not any(_overlap(node, other) for other in layout.nodes[number + 1 :])


@given(_graphs())
def test_every_need_is_one_edge_that_goes_right(steps):
    layout = lay_out(steps)
    at = _at(layout)

    assert [(edge.source, edge.target) for edge in layout.edges] == [
        (need, step.key) for step in steps for need in step.needs
    ]
    assert all(at[edge.source].x < at[edge.target].x for edge in layout.edges)


@given(_graphs())
def test_the_same_steps_give_the_same_picture(steps):
    assert lay_out(steps) == lay_out(steps)


def _fan(count):
    lanes = [_step(f"s{number}", "start") for number in range(count - 2)]
    return [_step("start"), *lanes, _step("end", *(step.key for step in lanes))]


def _chain(count):
    return [_step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(count)]


def _all_need_all(count):
    return [_step(f"s{n}", *(f"s{m}" for m in range(n))) for n in range(count)]


def _lattice(count):
    return [
        _step(f"s{n}", *(f"s{m}" for m in (n - 10, n - 11, n - 9) if m >= 0 and n >= 20))
        for n in range(count)
    ]


@pytest.mark.parametrize("make", [_fan, _chain, _lattice])
def test_five_hundred_steps_are_laid_out_with_few_operations(make):
    """About 0.05 s on an idle machine; counted, because a busy one says nothing with a clock."""
    counts = [_count_calls(make(count)) for count in (250, 500)]

    assert counts[1] < 2.6 * counts[0]
    assert counts[1] < 200_000


def _count_calls(steps):
    """Return how many functions are called to lay steps out."""
    profile = cProfile.Profile()
    profile.runcall(lay_out, steps)
    return sum(entry.callcount for entry in profile.getstats())


def test_steps_that_all_need_each_other_are_laid_out_without_lanes():
    layout = lay_out(_all_need_all(120))

    assert len(layout.edges) == 120 * 119 / 2
    assert all("H" not in edge.path for edge in layout.edges)
