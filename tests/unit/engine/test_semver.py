"""Ranges of versions, as in the rules of semantic versioning."""

import pytest

from engine.domain.semver import Label, find_label, find_range, pick


def label(text: str) -> Label:
    found = find_label(text)
    assert found is not None, f"{text} is a label"
    return found


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("*", ["0.0.1", "9.9.9"], ["1.0.0-rc.1"]),
        ("", ["1.0.0"], []),
        ("x", ["1.0.0"], []),
        ("1", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
        ("1.x", ["1.0.0", "1.9.9"], ["2.0.0"]),
        ("1.2", ["1.2.0", "1.2.9"], ["1.1.9", "1.3.0"]),
        ("1.2.*", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("1.2.3", ["1.2.3"], ["1.2.2", "1.2.4", "1.2.3-rc.1"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
        ("^1.2.3", ["1.2.3", "1.9.0"], ["1.2.2", "2.0.0", "2.0.0-rc.1"]),
        ("^2", ["2.0.0", "2.9.9"], ["1.9.9", "3.0.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]),
        ("^0", ["0.0.0", "0.9.0"], ["1.0.0"]),
        ("^*", ["0.0.0", "7.0.0"], []),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0", "1.2.2"]),
        ("~1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("~1", ["1.0.0", "1.9.0"], ["2.0.0"]),
        ("^1.2.3-rc.2", ["1.2.3-rc.2", "1.2.3-rc.10", "1.2.3", "1.3.0"], ["1.2.3-rc.1"]),
        ("^1.2.3-rc.2", ["1.2.3-rc.x"], ["1.3.0-rc.3", "1.2.3-beta"]),
    ],
)
def test_a_range_holds_what_it_says(text, inside, outside):
    wanted = find_range(text)

    assert wanted is not None
    assert [item for item in inside if not wanted.holds(label(item))] == []
    assert [item for item in outside if wanted.holds(label(item))] == []


@pytest.mark.parametrize("text", ["1.2.3.4", "v1", "^^1", "latest", "01.2.3", ">=1", "1.2.3-"])
def test_what_is_no_range_is_none(text):
    assert find_range(text) is None


@pytest.mark.parametrize("text", ["1", "1.2", "v1.2.3", "1.2.3-", "01.0.0", "1.2.x", ""])
def test_what_is_no_label_is_none(text):
    assert find_label(text) is None


def test_the_highest_label_is_picked_by_number_not_by_letter():
    labels = ["1.9.0", "1.10.0", "1.2.0", "2.0.0", "nightly"]

    assert pick("^1", labels) == "1.10.0"
    assert pick("*", labels) == "2.0.0"
    assert pick("^3", labels) is None
    assert pick("latest", labels) is None


def test_builds_do_not_count_and_of_equals_the_first_is_picked():
    assert pick("1", ["1.0.0+b", "1.0.0+a"]) == "1.0.0+b"


def test_the_specified_order_of_pre_releases_holds():
    order = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"]
    order += ["1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"]

    ranks = [label(item).rank for item in order]

    assert ranks == sorted(ranks)
