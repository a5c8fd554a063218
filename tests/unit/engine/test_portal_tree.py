"""JSON values as trees."""

import pytest

from core.kernel.types import Json
from core.toolkit.portal.tree import make_shown, make_tree


def _count(nodes):
    return sum(1 + _count(node.inside) for node in nodes)


def test_a_value_is_a_tree_by_name_and_kind():
    nodes = make_tree({"a": {"b": [1, "x"]}, "c": None, "d": True})

    assert [(node.name, node.kind, node.text) for node in nodes] == [
        ("a", "map", "1 entry"),
        ("c", "word", "null"),
        ("d", "word", "true"),
    ]
    (inner,) = nodes[0].inside
    assert (inner.name, inner.kind, inner.text) == ("b", "list", "2 entries")
    assert [(node.name, node.kind, node.text) for node in inner.inside] == [
        ("0", "number", "1"),
        ("1", "text", "x"),
    ]


@pytest.mark.parametrize("value", [None, True, 3, "text"])
def test_a_plain_value_is_one_node_without_a_name(value):
    (node,) = make_tree(value)

    assert node.name == ""


@pytest.mark.parametrize(
    "value", [list(range(100_000)), {str(n): [n] * 50 for n in range(5_000)}, ["x"] * 401]
)
def test_a_large_value_is_cut_and_says_so(value):
    nodes = make_tree(value)

    assert _count(nodes) < 1_000
    assert nodes[-1].kind == "more"


def test_a_deep_value_ends():
    value: Json = "x"
    for _ in range(99):
        value = {"a": [value]}

    assert _count(make_tree(value)) < 50


def test_a_long_text_is_cut_in_the_tree_and_whole_in_the_text():
    shown = make_shown({"a": "x" * 5_000})

    assert len(shown.tree[0].text) < 700
    assert "x" * 5_000 in shown.raw
    assert not shown.is_cut


def test_a_text_has_an_end():
    shown = make_shown(["x" * 1_000_000])

    assert shown.is_cut
    assert len(shown.raw) <= 100_000


@pytest.mark.parametrize(("value", "empty"), [({}, True), (None, True), ([], True), (0, False)])
def test_nothing_is_said_to_be_nothing(value, empty):
    assert make_shown(value).is_empty is empty
