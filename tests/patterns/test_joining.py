"""The patterns in which several ways come together."""

import pytest

from tests.patterns.patterns import check, play
from tests.plans import boom

PEOPLE = {"people": ["ada", "mara", "noor"]}


def test_synchronization_waits_for_both():
    run = play("synchronization").resolve("legal", "approved")
    assert run.outcome("sign") == "pending"
    run.resolve("security", "approved")

    assert run.ran() == ["sign#1"]
    check(run, "succeeded")


def test_synchronization_of_a_yes_and_a_no():
    run = play("synchronization").resolve("legal", "rejected")
    assert run.outcome("security") == "waiting"
    run.resolve("security", "approved")

    assert run.ran() == []
    assert run.outcome("sign") == "unreached"
    check(run, "rejected")


@pytest.mark.parametrize(("electronic", "taken"), [(True, "mail"), (False, "letter")])
def test_simple_merge(electronic, taken):
    run = play("simple-merge", {"electronic": electronic})

    assert run.ran() == [f"{taken}#1", "file#1"]
    check(run, "succeeded")


@pytest.mark.parametrize(
    ("calls", "ran"),
    [
        (["police"], ["police#1", "report#1"]),
        (["fire", "police"], ["police#1", "fire#1", "report#1"]),
        ([], []),
    ],
)
def test_structured_synchronizing_merge(calls, ran):
    run = play("structured-synchronizing-merge", {"calls": calls})

    assert run.ran() == ran
    check(run, "succeeded")


def test_structured_synchronizing_merge_of_a_failure():
    run = play(
        "structured-synchronizing-merge",
        {"calls": ["police", "fire"]},
        actions={"police": boom()},
    )

    assert run.outcome("report") == "unreached"
    check(run, "failed")


def test_structured_discriminator():
    run = play("structured-discriminator").receive("second_mirror#1", "mirror.ready")

    assert run.ran() == ["announce#1"]
    assert (run.outcome("first_mirror"), run.closed, run.withdrawn()) == ("waiting", "", [])
    run.receive("first_mirror#1", "mirror.ready")
    assert run.ran() == ["announce#1"]
    check(run, "succeeded")


def test_cancelling_discriminator():
    run = play("cancelling-discriminator").receive("second_mirror#1", "mirror.ready")

    assert run.withdrawn() == [("event", "first_mirror#1")]
    assert run.outcome("first_mirror") == "cancelled"
    assert run.ran() == ["announce#1"]
    check(run, "succeeded")


def test_structured_partial_join():
    run = play("structured-partial-join").receive("west#1", "quote.received")
    assert run.ran() == []
    run.receive("north#1", "quote.received")
    assert (run.ran(), run.outcome("south"), run.withdrawn()) == (["compare#1"], "waiting", [])
    run.receive("south#1", "quote.received")

    assert run.ran() == ["compare#1"]
    check(run, "succeeded")


def test_cancelling_partial_join():
    run = play("cancelling-partial-join").receive("west#1", "quote.received")
    assert run.ran() == []
    run.receive("north#1", "quote.received")

    assert run.withdrawn() == [("event", "south#1")]
    assert run.ran() == ["compare#1"]
    check(run, "succeeded")


def test_static_partial_join_of_instances():
    run = play("static-partial-join-of-instances", PEOPLE)
    run.receive("references#1/item#3", "reference.given", {"text": "good"})
    assert run.ran() == []
    run.receive("references#1/item#1", "reference.given", {"text": "better"})

    assert run.ran() == ["invite#1"]
    given = run.executed[0][2]["given"]
    assert [item and item["data"]["text"] for item in given] == ["better", None, "good"]
    assert (run.outcome("references#1/item#2"), run.closed) == ("waiting", "")
    run.receive("references#1/item#2", "reference.given")
    check(run, "succeeded")


def test_cancelling_partial_join_of_instances():
    run = play("cancelling-partial-join-of-instances", PEOPLE)
    run.receive("references#1/item#3", "reference.given")
    run.receive("references#1/item#1", "reference.given")

    assert run.withdrawn() == [("event", "references#1/item#2")]
    assert run.ran() == ["invite#1"]
    check(run, "succeeded")


def test_cancelling_partial_join_of_too_few_instances():
    run = play("cancelling-partial-join-of-instances", {"people": ["ada"]})
    run.receive("references#1/item#1", "reference.given")

    assert run.error_kind("references") == "not-enough"
    assert run.ran() == []
    check(run, "failed")
