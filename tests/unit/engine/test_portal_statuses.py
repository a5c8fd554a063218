"""Runs and steps in words and marks."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.domain.state import Outcome, RunStatus, StepStatus
from engine.portal.statuses import (
    MARKS,
    describe_run,
    describe_step,
    say_counts,
    say_step,
    say_template,
    worst_mark,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _run(status, outcome="", **fields):
    known = {"waiting_count": None, "wake_at": None, "now": NOW} | fields
    return describe_run(status=status, outcome=outcome, **known)


@pytest.mark.parametrize("status", [*StepStatus])
@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_every_step_has_a_mark_and_a_word(status, outcome):
    chip = describe_step(status=status, outcome=outcome)

    assert chip.mark in MARKS
    assert chip.word


@pytest.mark.parametrize("status", [*RunStatus])
@pytest.mark.parametrize("outcome", ["", *Outcome])
@pytest.mark.parametrize("waiting", [None, 0, 2])
def test_every_run_has_a_mark_and_a_word(status, outcome, waiting):
    assert _run(status, outcome, waiting_count=waiting).mark in MARKS


@pytest.mark.parametrize(
    ("chip", "words"),
    [
        (_run("WAITING", waiting_count=1), "Waiting for 1 approval"),
        (_run("RUNNING", waiting_count=2), "Waiting for 2 approvals"),
        (_run("RUNNING"), "Running"),
        (_run("READY"), "Queued"),
        (_run("WAITING"), "Waiting"),
        (_run("WAITING", wake_at=NOW + timedelta(minutes=5)), "Goes on in 5 min"),
        (_run("WAITING", wake_at=NOW - timedelta(minutes=5)), "Queued"),
        (_run("WAITING", waiting_count=0), "Waits for others"),
        (_run("WAITING", waits="event"), "Waits for an event"),
        (_run("WAITING", waits="mutex", waiting_count=1), "Waiting for 1 approval"),
        (_run("CLOSED", "continued", waits="run"), "Continued"),
        (_run("HALTED", waiting_count=1), "Halted"),
        (_run("CLOSED", "succeeded"), "Succeeded"),
        (_run("CLOSED", "expired"), "Timed out"),
    ],
)
def test_a_run_says_what_it_waits_for(chip, words):
    assert chip.word == words


@pytest.mark.parametrize(
    ("status", "waits", "mark"),
    [
        ("waiting", "people", "waiting"),
        ("waiting", "question", "waiting"),
        ("waiting", "event", "pending"),
        ("waiting", "run", "running"),
        ("open", "turn", "pending"),
        ("open", "", "running"),
    ],
)
def test_the_hourglass_is_for_people(status, waits, mark):
    assert describe_step(status=status, outcome=None, waits=waits).mark == mark


def test_counts_are_said_in_their_order():
    marks = ["pending", "approved", "failed", "approved"]

    assert [text for _, _, text in say_counts(marks)] == ["2 done", "1 failed", "1 queued"]


@pytest.mark.parametrize(
    ("marks", "worst"),
    [
        (["approved", "failed", "waiting"], "failed"),
        (["approved", "waiting", "running"], "waiting"),
        (["approved", "pending"], "pending"),
        (["approved", "skipped"], "approved"),
        (["skipped"], "skipped"),
    ],
)
def test_several_steps_stand_as_the_most_urgent(marks, worst):
    assert worst_mark(marks) == worst


@pytest.mark.parametrize(
    ("step", "title"), [("change_board", "Change board"), ("a", "A"), ("_", "_"), ("x9_y", "X9 y")]
)
def test_an_id_is_said_as_a_title(step, title):
    assert say_step(step) == title


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Plain", "Plain"),
        ("Ship ${{ inputs.ref }} now", "Ship \u2039ref\u203a now"),
        ("${{a}}${{ b.c }}", "\u2039a\u203a\u2039c\u203a"),
        ("${{ }}", "\u2039…\u203a"),
        ("${{ open", "${{ open"),
    ],
)
def test_a_template_names_what_it_leaves_out(template, said):
    assert say_template(template) == said
