"""Where states and the ways between them are drawn."""

import cProfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.portal.graph import GraphStep
from engine.portal.machine_graph import Way, lay_out_machine
from tests.drawings import Box, points_of


def _way(source, target, **fields):
    return Way(source=source, target=target, **{"width": 90.0, "height": 16.0} | fields)


def _lay_out(states, *ways):
    return lay_out_machine([GraphStep(key=key) for key in states], ways)


def _boxes(layout):
    return {node.key: Box.of(node) for node in layout.nodes}


def _labels(layout):
    return [
        Box(key=str(index), left=way.x, top=way.y, width=way.way.width, height=way.way.height)
        for index, way in enumerate(layout.ways)
        if way.way.width
    ]


@st.composite
def _machines(draw):
    """States of any size with any ways between them."""
    keys = [f"s{number}" for number in range(draw(st.integers(1, 9)))]
    sizes = st.tuples(st.integers(206, 500), st.integers(58, 240))
    states = [
        GraphStep(key=key, width=width, height=height)
        for key, (width, height) in ((key, draw(sizes)) for key in keys)
    ]
    pairs = st.tuples(st.sampled_from(keys), st.sampled_from(keys))
    drawn = draw(st.lists(pairs, unique=True, max_size=16))
    heights = st.sampled_from([16.0, 32.0, 48.0])
    return states, [
        Way(source=a, target=b, width=float(draw(st.integers(40, 132))), height=draw(heights))
        for a, b in drawn
    ]


def test_ways_on_go_right_and_a_way_back_goes_below():
    layout = _lay_out("abc", _way("a", "b"), _way("b", "c"), _way("c", "a"))

    at, (on, again, back) = _boxes(layout), layout.ways
    assert at["a"].left < at["b"].left < at["c"].left
    assert [way.is_back for way in (on, again, back)] == [False, False, True]
    points = points_of(back.path)
    assert points[0] == pytest.approx((at["c"].right, at["c"].top + 45))
    assert points[-1] == pytest.approx((at["a"].left, at["a"].top + 45))
    assert max(y for _, y in points) > max(box.bottom for box in at.values())


def test_a_way_to_itself_runs_around_its_state():
    layout = _lay_out("ab", _way("a", "a"), _way("a", "b"))

    own, box = layout.ways[0], _boxes(layout)["a"]
    assert own.is_back
    points = points_of(own.path)
    assert all(box.left - 20 <= x <= box.right + 20 for x, _ in points)
    assert all(y <= box.bottom + 30 for _, y in points)
    assert not any(box.holds_point(*point) for point in points)


def test_ways_between_two_states_in_both_directions_have_a_label_each():
    layout = _lay_out("ab", _way("a", "b"), _way("b", "a"))

    first, second = _labels(layout)
    assert not first.meets(second)


def test_nested_ways_back_have_lanes_of_their_own():
    layout = _lay_out(
        "abcd",
        *(_way(*pair) for pair in ("ab", "bc", "cd", "dc", "db", "da")),
    )

    lanes = [max(y for _, y in points_of(way.path)) for way in layout.ways if way.is_back]
    assert lanes == sorted(lanes)
    assert len(set(lanes)) == 3


def test_states_that_nothing_leads_to_are_drawn():
    layout = _lay_out("abc", _way("a", "b"))

    assert {node.key for node in layout.nodes} == {"a", "b", "c"}


@given(_machines())
def test_nothing_overlaps_and_all_is_inside(machine):
    layout = lay_out_machine(*machine)

    boxes = list(_boxes(layout).values())
    labels = _labels(layout)
    for index, first in enumerate(boxes + labels):
        assert first.left >= 0
        assert first.top >= 0
        assert first.right <= layout.width
        assert first.bottom <= layout.height
        assert not any(first.meets(other) for other in (boxes + labels)[index + 1 :])


@given(_machines())
def test_every_way_leads_from_its_state_to_its_state(machine):
    states, ways = machine
    layout = lay_out_machine(states, ways)

    at = _boxes(layout)
    assert [way.way for way in layout.ways] == ways
    for way in layout.ways:
        points = points_of(way.path)
        source, target = at[way.way.source], at[way.way.target]
        assert points[0][0] == pytest.approx(source.right, abs=0.1)
        assert source.top <= points[0][1] <= source.bottom
        assert points[-1][0] == pytest.approx(target.left, abs=0.1)
        assert target.top <= points[-1][1] <= target.bottom
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in points)


@given(_machines())
def test_a_way_back_crosses_no_state(machine):
    layout = lay_out_machine(*machine)

    boxes = _boxes(layout).values()
    for way in layout.ways:
        if way.is_back:
            points = points_of(way.path)
            assert not any(box.holds_point(*point) for box in boxes for point in points)


@given(_machines())
def test_the_same_machine_gives_the_same_picture(machine):
    assert lay_out_machine(*machine) == lay_out_machine(*machine)


def test_a_large_machine_is_laid_out_with_few_operations():
    """About 0.2 s for the largest, on an idle machine; counted, because a busy one is slower."""
    counts = [_count_calls(*_net(count)) for count in (125, 250, 500)]

    assert counts[1] < 4 * counts[0]
    assert counts[2] < 4 * counts[1]


def _net(count):
    """Return states that lead on, far on, and back."""
    keys = [f"s{number}" for number in range(count)]
    steps = (1, 7, -3)
    pairs = [(here, here + step) for here in range(count) for step in steps]
    ways = [_way(keys[a], keys[b]) for a, b in pairs if 0 <= b < count]
    return [GraphStep(key=key) for key in keys], ways


def _count_calls(states, ways):
    """Return how many functions are called to lay a machine out."""
    profile = cProfile.Profile()
    profile.runcall(lay_out_machine, states, ways)
    return sum(entry.callcount for entry in profile.getstats())
