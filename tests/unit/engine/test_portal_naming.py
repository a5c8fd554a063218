"""Keys of steps as addresses and titles."""

import pytest

from engine.portal.naming import Titles, long_key, say_item, short_key, title_of
from engine.selectors.step_views import StepReader
from tests.constructs import drive, each, group, loop, matrix
from tests.plans import uses

KEYS = {
    "scan#1": "scan",
    "review#2": "review#2",
    "deploy#1/smoke#1": "deploy/smoke",
    "scan#1/item#3": "scan/item#3",
    "scan#1/item#1/build#1": "scan/item/build",
    "compensate/scan#1/item#3": "compensate/scan/item#3",
    "deploy#1@1/smoke#1": "deploy#1@1/smoke",
    "scan#1/item#1@2": "scan/item#1@2",
    "compensate/scan#1/item#3@2/build#1": "compensate/scan/item#3@2/build",
}


@pytest.mark.parametrize(("key", "short"), KEYS.items())
def test_a_key_leaves_out_what_is_first_and_gets_it_back(key, short):
    assert (short_key(key), long_key(short)) == (short, key)


@pytest.mark.parametrize("text", ["", "/", "#", "a//b", "compensate/", "a#x", "🚀", "a" * 5_000])
def test_nonsense_becomes_a_key_that_no_step_has(text):
    assert long_key(text) not in {"", *KEYS} or not text


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("change_board#1", "Change board"),
        ("review#2", "Review, visit 2"),
        ("scan#1/item#3", "Scan, item 3"),
        ("poll#1/turn#12", "Poll, turn 12"),
        ("deploy#1/smoke#1", "Smoke"),
        ("scan#1/item#3/build#1", "Build (Scan, item 3)"),
        ("scan#1/item#3/poll#1/turn#2", "Poll (Scan, item 3), turn 2"),
        ("compensate/scan#1/item#3", "Undo scan, item 3"),
        ("deploy#1@1", "Deploy, try 1"),
        ("review#2@1", "Review, visit 2, try 1"),
        ("deploy#1@2/smoke#1", "Smoke (Deploy, try 2)"),
        ("scan#1/item#1@2", "Scan, item 1, try 2"),
        ("scan#1/item#3@2/build#1", "Build (Scan, item 3, try 2)"),
        ("compensate/deploy#1@1/smoke#1", "Undo smoke (Deploy, try 1)"),
    ],
)
def test_a_key_alone_is_said_as_a_title(key, title):
    assert title_of(key) == title
    assert title_of(short_key(key)) == title


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("eu-west", "eu-west"),
        (7, "7"),
        (True, "true"),
        (None, ""),
        ([1], ""),
        ({"name": "db", "size": 3}, "db"),
        ({"os": "linux", "python": 3.12}, "linux, 3.12"),
        ({"deep": {"er": 1}}, ""),
        ("a\n b", "a b"),
        ("x" * 80, "x" * 59 + "…"),
    ],
)
def test_an_item_is_called_by_what_it_holds(item, said):
    assert say_item(item) == said


def titles(run):
    listed = StepReader(run.decider, run.state).list_steps().steps
    known = Titles.over(listed)
    return [(known.of(view.key), known.name(view.key)) for view in listed]


def test_items_are_named_with_their_number_and_what_they_are():
    run = drive(each("scan", group("g", uses("build"))), inputs={"items": ["eu", {"id": "us"}]})

    assert titles(run) == [
        ("Scan", "Scan"),
        ("Scan, item 1 of 2: eu", "Item 1 of 2: eu"),
        ("Build (Scan, item 1 of 2: eu)", "Build"),
        ("Scan, item 2 of 2: us", "Item 2 of 2: us"),
        ("Build (Scan, item 2 of 2: us)", "Build"),
    ]


def test_cells_are_named_by_their_values_and_turns_by_their_number():
    run = drive(
        matrix("test", axes={"os": ["linux"], "py": ["3.12", "3.13"]}),
        loop("poll", until="true"),
    )

    assert [title for title, _ in titles(run)] == [
        "Test",
        "Test, cell (linux, 3.12)",
        "Test, cell (linux, 3.13)",
        "Poll",
        "Poll, turn 1",
    ]
