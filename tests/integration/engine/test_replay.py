"""`manage.py replay`, and what publishing says about runs that are open."""

import json
from contextlib import nullcontext
from dataclasses import replace
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from audit import store as ledger
from core.kernel import limits
from core.kernel.clock import FakeClock
from engine.driver import DriveEnd
from engine.models import Run, Version
from engine.services import replaying
from engine.services.definitions import publish_version, save_version
from tests.world import Hand

FLOW = """
schema: flow/v1
kind: dag
name: gated
title: Gated
triggers: [{manual: {}}, {api: {}}]
steps:
  first: {uses: python/call@1, with: {function: t.ok, x: 1}}
  gate:
    needs: [first]
    wait: {timer: P1D}
  last: {needs: [gate], uses: python/call@1, with: {function: t.ok}}
"""
OTHER = FLOW.replace("x: 1", "x: 2")
LONGER = FLOW + "  more: {needs: [last], uses: python/call@1, with: {function: t.ok}}\n"


@pytest.fixture
def gated(world):
    """Return a function that saves a text as the next version, published or not."""

    def save(source, *, live=True):
        saved = save_version(
            principal=world.principal("mara"), project_slug=world.slug, source=source
        )
        return publish(world, saved.rev) if live else saved

    return save


def publish(world, rev):
    return publish_version(
        principal=world.principal("mara"), project_slug=world.slug, workflow_slug="gated", rev=rev
    )


def start(world, hand: Hand):
    run_id = world.start("gated", by="mara").run_id
    assert hand.drive(run_id) is DriveEnd.PARKED
    return Run.objects.get(pk=run_id)


def replay(*arguments, status=0):
    """Run the command; return what it printed, and what it said beside it."""
    printed, said = StringIO(), StringIO()
    ends = pytest.raises(SystemExit, match=str(status)) if status else nullcontext()
    with ends:
        call_command("replay", *map(str, arguments), stdout=printed, stderr=said)
    return printed.getvalue(), said.getvalue()


# --- the command -----------------------------------------------------------------------------


def test_a_run_replays_with_its_own_version_by_id_and_by_number(world, hand, gated):
    gated(FLOW)
    run = start(world, hand)

    for name in (run.pk, run.number):
        printed, _ = replay(name)
        assert printed == f"Run {run.number} replays: {run.seq} entries\n"


def test_a_version_that_would_lead_elsewhere_is_told_with_the_first_entry(world, hand, gated):
    gated(FLOW)
    run = start(world, hand)
    gated(OTHER, live=False)

    printed, _ = replay(run.pk, "--version", "acme/gated@2", status=1)

    assert f"Run {run.number} does not replay from entry" in printed
    assert "on record:" in printed
    assert "first#1" in printed
    assert replay(run.pk)[0].endswith("entries\n")  # its own version still leads where it led


def test_all_open_runs_are_tried_with_a_version_that_is_not_published(world, hand, gated):
    gated(FLOW)
    runs = [start(world, hand) for _ in range(3)]
    gated(LONGER, live=False)
    gated(OTHER, live=False)

    printed, _ = replay("--all-open", "--version", "acme/gated@2")
    assert printed == "3 open runs: 3 replay\n"

    version = Version.objects.get(rev=3)
    told = json.loads(replay("--all-open", "--version", version.pk, "--json", status=1)[0])
    assert told["replayed"] == told["failed"] == 3
    assert [item["number"] for item in told["runs"]] == sorted(run.number for run in runs)
    assert {item["rev"] for item in told["runs"]} == {1}
    assert all(item["divergence"]["seq"] == item["entries"] + 1 for item in told["runs"])


def test_progress_is_said_beside_the_answer(world, hand, gated, monkeypatch):
    monkeypatch.setattr("engine.management.commands.replay._PROGRESS_EVERY", 2)
    gated(FLOW)
    for _ in range(3):
        start(world, hand)

    printed, said = replay("--all-open", "--version", "acme/gated@1")

    assert printed == "3 open runs: 3 replay\n"
    assert said == "2 of 3 open runs\n"


def test_replaying_writes_nothing(world, hand, gated):
    gated(FLOW)
    run = start(world, hand)
    gated(OTHER, live=False)
    before = list(Run.objects.values())

    replay(run.pk)
    replay("--all-open", "--version", "acme/gated@2", status=1)

    assert list(Run.objects.values()) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Name one run"),
        (("1", "--all-open"), "Name one run"),
        (("--all-open",), "needs --version"),
        (("nonsense",), "There is no such run"),
        ((str(uuid4()),), "There is no such run"),
        (("--all-open", "--version", "acme/gated@9"), "no such version"),
        (("--all-open", "--version", "nonsense"), "no such version"),
        (("--all-open", "--version", str(uuid4())), "no such version"),
    ],
)
def test_what_cannot_be_meant_is_said(db, arguments, says):
    with pytest.raises(CommandError, match=says):
        call_command("replay", *arguments)


def test_a_record_that_was_tampered_with_is_not_replayed(world, hand, gated):
    gated(FLOW)
    run = start(world, hand)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_payload DISABLE TRIGGER ALL")
        cursor.execute(
            "UPDATE audit_payload SET value = 'null' WHERE name = 'inputs' AND entry_id IN"
            " (SELECT id FROM audit_entry WHERE stream = %s)",
            [run.pk],
        )
        cursor.execute("ALTER TABLE audit_payload ENABLE TRIGGER ALL")

    printed, _ = replay(run.pk, status=1)

    assert f"Run {run.number} cannot be read" in printed


def test_a_record_without_a_payload_that_was_erased_says_so(world, hand, gated, monkeypatch):
    gated(FLOW)
    run = start(world, hand)
    read = ledger.read_verified

    def erased(**arguments):
        entries = read(**arguments)
        return [replace(entry, erased=frozenset({"inputs"})) for entry in entries]

    monkeypatch.setattr(ledger, "read_verified", erased)

    printed, _ = replay(run.pk, status=3)

    assert printed.startswith(f"Run {run.number} was redacted")
    assert "inputs has been erased" in printed


# --- publishing ------------------------------------------------------------------------------


def test_publishing_says_how_open_runs_would_fare(world, hand, gated):
    assert gated(FLOW).replay.open_count == 0
    for _ in range(2):
        start(world, hand)

    note = gated(LONGER).replay
    assert (note.open_count, note.replayed_count, note.diverging_count) == (2, 2, 0)
    assert note.first is None

    note = gated(OTHER).replay
    assert (note.open_count, note.replayed_count, note.diverging_count) == (2, 2, 2)
    assert "first#1" in note.first.expected
    assert {run.version.rev for run in Run.objects.all()} == {1}  # they keep theirs


def test_runs_of_the_version_itself_are_no_news(world, hand, gated):
    gated(FLOW)
    start(world, hand)

    assert publish(world, 1).replay.open_count == 0


def test_the_note_takes_only_so_many_runs(world, hand, gated, monkeypatch):
    monkeypatch.setattr(limits, "REPLAY_NOTE_RUN_COUNT_MAX", 2)
    gated(FLOW)
    for _ in range(4):
        start(world, hand)

    note = gated(OTHER).replay

    assert (note.open_count, note.replayed_count, note.diverging_count) == (3, 2, 2)


def test_the_note_takes_only_so_much_time(world, hand, gated):
    gated(FLOW)
    for _ in range(3):
        start(world, hand)
    version = Version.objects.get(pk=gated(OTHER, live=False).id)

    class Slow(FakeClock):
        def monotonic(self):
            self.elapsed += limits.REPLAY_NOTE_SECONDS * 0.4
            return self.elapsed

    note = replaying.note_open_runs(version=version, clock=Slow())

    assert note.open_count == 3
    assert note.replayed_count < 3
