"""Many parallel equal steps as one node."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.portal.folding import FoldStep, fold, name_group
from engine.portal.graph import lay_out


def _step(key, *needs, kind="uses"):
    return FoldStep(key=key, needs=needs, kind=kind)


def _fan(count, **fields):
    lanes = [_step(f"scan_{number}", "start", **fields) for number in range(count)]
    return [_step("start"), *lanes, _step("end", *(step.key for step in lanes))]


def test_a_small_graph_is_drawn_whole():
    folded = fold(_fan(40))

    assert len(folded.steps) == 42
    assert folded.groups == ()


def test_many_parallel_equal_steps_become_one_node():
    folded = fold(_fan(70))

    assert [step.key for step in folded.steps] == ["start", "group:scan_0", "end"]
    assert folded.steps[2].needs == ("group:scan_0",)
    assert folded.groups[0].members == tuple(f"scan_{number}" for number in range(70))


@pytest.mark.parametrize("opened", ["group:scan_0", "scan_33"])
def test_a_group_opens_by_its_key_or_by_a_member(opened):
    folded = fold(_fan(70), opened=[opened])

    assert len(folded.steps) == 72
    assert folded.groups == ()
    assert [group.key for group in folded.opened] == ["group:scan_0"]


def test_everything_can_be_drawn_one_by_one():
    assert len(fold(_fan(70), whole=True).steps) == 72


def test_different_kinds_are_never_folded_together():
    steps = [*_fan(70), _step("extra", "start", kind="approval")]

    assert "extra" in [step.key for step in fold(steps).steps]


def test_a_step_that_something_else_needs_stays_out():
    steps = [*_fan(70), _step("after", "scan_3")]

    drawn = [step.key for step in fold(steps).steps]

    assert {"scan_3", "after", "group:scan_0"} <= set(drawn)


def _lanes(count):
    steps = [_step("plan")]
    for number in range(count):
        steps += [
            _step(f"fetch_{number}", "plan"),
            _step(f"check_{number}", f"fetch_{number}"),
            _step(f"push_{number}", f"check_{number}"),
        ]
    return [*steps, _step("done", *(f"push_{number}" for number in range(count)))]


def test_equal_chains_become_one_chain():
    folded = fold(_lanes(30))

    assert [(step.key, step.needs) for step in folded.steps] == [
        ("plan", ()),
        ("group:fetch_0", ("plan",)),
        ("group:check_0", ("group:fetch_0",)),
        ("group:push_0", ("group:check_0",)),
        ("done", ("group:push_0",)),
    ]


def test_a_chain_that_differs_somewhere_stays_out_as_a_whole():
    steps = [*_lanes(30), _step("extra", "check_4")]

    folded = fold(steps)

    drawn = [step.key for step in folded.steps]
    assert {"fetch_4", "check_4", "push_4", "extra"} <= set(drawn)
    assert len(folded.groups[0].members) == 29


def test_a_long_chain_is_not_folded():
    steps = [_step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(300)]

    assert len(fold(steps).steps) == 300


@given(st.integers(0, 2**32))
def test_needs_come_first_whatever_is_folded(seed):
    numbers = random.Random(seed)
    steps: list[FoldStep] = []
    for number in range(80):
        earlier = [step.key for step in steps[-6:]]
        needs = numbers.sample(earlier, min(len(earlier), numbers.randrange(3)))
        steps.append(_step(f"s{number}", *needs, kind=numbers.randrange(2)))

    folded = fold(steps)

    seen: set[str] = set()
    for step in folded.steps:
        assert set(step.needs) <= seen
        seen.add(step.key)
    hidden = [member for group in folded.groups for member in group.members]
    assert len(hidden) + len(folded.steps) - len(folded.groups) == 80


def test_what_is_folded_can_be_laid_out():
    folded = fold(_fan(200))

    assert len(lay_out(folded.steps).nodes) == 3


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Scan 1", "Scan 2", "Scan 3"], "Scan"),
        (["Build", "Test", "Lint"], "Build …"),
        (["Deploy eu 1", "Deploy eu 2"], "Deploy eu"),
    ],
)
def test_a_group_is_named_by_what_its_members_share(names, expected):
    assert name_group(names) == expected
