"""Where steps and edges are drawn."""

import re
import time

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
)


def _step(key, *needs):
    return GraphStep(key=key, needs=needs)


def _at(layout):
    return {node.key: node for node in layout.nodes}


@st.composite
def _graphs(draw):
    """Steps in an order in which needs come first."""
    count = draw(st.integers(1, 25))
    steps: list[GraphStep] = []
    for number in range(count):
        earlier = [step.key for step in steps]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=4)) if earlier else []
        steps.append(_step(f"s{number}", *needs))
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
def test_five_hundred_steps_are_laid_out_while_one_waits(make):
    steps = make(500)
    lay_out(steps)

    began = time.perf_counter()
    lay_out(steps)

    assert time.perf_counter() - began < 1.0  # about 0.05 s on an idle machine


def test_steps_that_all_need_each_other_are_laid_out_without_lanes():
    layout = lay_out(_all_need_all(120))

    assert len(layout.edges) == 120 * 119 / 2
    assert all("H" not in edge.path for edge in layout.edges)
