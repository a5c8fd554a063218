"""Which step comes before which."""

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.flow.graph import order_steps


def test_steps_without_needs_keep_the_order_of_writing():
    assert order_steps({"b": [], "a": [], "c": []}).order == ("b", "a", "c")


def test_no_steps_have_an_empty_order():
    order = order_steps({})

    assert (order.order, order.circles) == ((), ())
    assert "a" not in order


def test_a_step_comes_after_what_it_needs_directly_or_not():
    order = order_steps({"c": ["b"], "b": ["a", "a"], "a": [], "d": []})

    assert order.order == ("a", "b", "c", "d")
    assert order.comes_before("a", "c")
    assert not order.comes_before("c", "a")
    assert not order.comes_before("a", "a")
    assert not order.comes_before("a", "d")
    assert list(order.list_after("a")) == ["b", "c"]


def test_circles_are_named_from_the_step_written_first():
    order = order_steps({"d": ["c"], "c": ["b"], "b": ["a"], "a": ["c"], "e": [], "f": ["f"]})

    assert order.order == ("e",)
    assert order.circles == (("c", "b", "a"), ("f",))
    assert "d" not in order
    assert list(order.list_after("d")) == []


graphs = st.integers(1, 8).flatmap(
    lambda count: st.fixed_dictionaries(
        {
            f"s{step}": st.lists(st.sampled_from([f"s{i}" for i in range(count)]), max_size=3)
            for step in range(count)
        }
    )
)


@given(needs=graphs)
def test_the_order_is_sound_and_what_has_none_is_in_or_behind_a_circle(needs):
    order = order_steps(needs)

    reach = {step: _reach(needs, step) for step in needs}
    in_circle = {step for step in needs if step in reach[step]}
    assert set(order.order) == {step for step in needs if not ({step, *reach[step]} & in_circle)}
    for index, step in enumerate(order.order):
        assert reach[step] <= set(order.order[:index])
        assert {one for one in order.order if order.comes_before(one, step)} == reach[step]
    for circle in order.circles:
        assert all(
            circle[(index + 1) % len(circle)] in needs[step] for index, step in enumerate(circle)
        )
    assert bool(order.circles) == bool(in_circle)


def _reach(needs, start):
    found, todo = set(), list(needs[start])
    while todo:
        step = todo.pop()
        if step not in found:
            found.add(step)
            todo += needs[step]
    return found
