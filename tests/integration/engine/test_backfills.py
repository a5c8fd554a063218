"""Instants of a schedule that somebody wants made up for. Time is moved by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit import store as ledger
from core.identity.domain.errors import AccessForbiddenError
from core.kernel import limits
from engine.domain import errors
from engine.models import Run, Workflow
from engine.selectors.backfills import list_backfills
from engine.services.backfills import Period, cancel_backfill, start_backfill
from engine.services.triggers import pause_trigger, resume_trigger
from tests.integration.engine.living import opened_place

pytestmark = pytest.mark.django_db(transaction=True)

TICKS = """
schema: flow/v1
kind: dag
name: ticks
title: "at ${{ event.data.due_at }}"
triggers: [{schedule: {cron: "0 9 * * *", catch-up: none, name: daily}}, {event: {type: a.b}}]
steps: {wait: {wait: {timer: PT1H}}}
"""
START = datetime(2029, 12, 1, tzinfo=UTC)


@pytest.fixture
def place(monkeypatch):
    with opened_place(monkeypatch) as place:  # it is midnight, 2030-01-01
        place.publish_text(TICKS)
        yield place


def fill(place, days=10, *, who="mara", name="daily", since=START, is_dry=False, **how):
    return start_backfill(
        principal=place.principals[who],
        project_slug=place.world.slug,
        workflow_slug="ticks",
        name=name,
        period=Period(since=since, until=since + timedelta(days=days), **how),
        reason="the archive was down",
        is_dry=is_dry,
    )


def days():
    return [run.title[3:13] for run in Run.objects.order_by("number")]


def shown(place):
    return list_backfills(
        principal=place.principals["mara"],
        project_slug=place.world.slug,
        workflow_slug="ticks",
        name="daily",
    )[0]


def recorded(kind):
    workflow = Workflow.objects.get(slug="ticks")
    entries = ledger.read_verified(stream=workflow.pk, limit=1_000)
    return [item for item in entries if item.kind == kind]


def test_a_period_is_made_up_for_a_few_runs_at_a_time_oldest_first(place):
    started = fill(place, 5, run_count_max=2)

    place.settle()
    assert days() == ["2029-12-01", "2029-12-02"]
    found = shown(place)
    assert (found.total_count, found.waiting_count, found.open_count) == (5, 3, 2)
    for _ in range(4):
        place.wait(hours=2)

    assert days() == [f"2029-12-0{day}" for day in range(1, 6)]
    found = shown(place)
    assert (found.succeeded_count, found.ended_at is not None) == (5, True)
    run = Run.objects.order_by("number")[0]
    assert run.initiator.username == "mara"
    (first,) = ledger.read_stream(stream=run.pk, limit=1)
    due = "2029-12-01T09:00:00Z"
    assert first.data["trigger"] == {
        "kind": "schedule",
        "position": 0,
        "due_at": due,
        "backfill": str(started.id),
    }
    heard: Any = first.payloads["event"]
    assert heard["data"] == {
        "due_at": due,
        "local": "2029-12-01T09:00:00+00:00",
        "backfill": str(started.id),
    }
    (told,), (ended,) = recorded("backfill.started"), recorded("backfill.ended")
    assert (told.data["count"], told.payloads["reason"]) == (5, "the archive was down")
    assert ended.data["why"] == "done"


def test_instants_that_had_a_run_have_no_second_one_unless_asked(place):
    for _ in range(3):
        place.wait(days=1)
    since = datetime(2030, 1, 1, tzinfo=UTC)
    had = days()

    assert fill(place, 3, since=since).instants == tuple(
        datetime(2030, 1, day, 9, tzinfo=UTC) for day in (1, 2, 3) if f"2030-01-0{day}" not in had
    )
    for _ in range(4):
        place.wait(hours=2)
    assert sorted(days()) == ["2030-01-01", "2030-01-02", "2030-01-03"]
    dry = fill(place, 3, since=since, is_dry=True)
    assert (dry.id, dry.instants, dry.skipped_count) == (None, (), 3)
    assert len(fill(place, 3, since=since, again=True).instants) == 3
    for _ in range(4):
        place.wait(hours=2)
    assert len(days()) == 6


def test_a_dry_run_changes_nothing(place):
    dry = fill(place, 10, is_dry=True)
    place.settle()

    assert (dry.id, len(dry.instants)) == (None, 10)
    assert (days(), recorded("backfill.started")) == ([], [])


def test_cancelling_starts_no_more_and_leaves_what_goes_on(place):
    started = fill(place, 5, run_count_max=2)
    place.settle()

    for _ in range(2):
        cancel_backfill(
            principal=place.principals["mara"],
            project_slug=place.world.slug,
            workflow_slug="ticks",
            name="daily",
            backfill_id=started.id,
            reason="enough",
        )
    place.wait(hours=3)

    assert len(days()) == 2
    found = shown(place)
    assert (found.succeeded_count, found.cancelled_count, found.is_cancelled) == (2, 3, True)
    (entry,) = recorded("backfill.cancelled")
    assert (entry.data["cancelled_count"], entry.payloads["reason"]) == (3, "enough")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"days": 0}, errors.BackfillInvalidError),
        ({"days": 100}, errors.BackfillInvalidError),
        ({"since": START - timedelta(days=1100), "days": 1100}, errors.BackfillInvalidError),
        ({"name": "event"}, errors.TriggerKindError),
        ({"name": "nightly"}, errors.TriggerMissingError),
        ({"who": "ann"}, AccessForbiddenError),
    ],
)
def test_what_cannot_be_made_up_for_is_refused(place, change, error):
    with pytest.raises(error):
        fill(place, **{"days": 3, **change})


def test_who_operates_but_may_start_no_run_makes_up_for_nothing(place):
    place.world.user("ops", "operator")
    place.principals["ops"] = place.world.principal("ops")

    with pytest.raises(AccessForbiddenError):
        fill(place, 3, who="ops")


def test_too_many_instants_are_counted(place):
    with pytest.raises(errors.BackfillInvalidError) as caught:
        fill(place, 1_100, since=START - timedelta(days=1_100))

    assert caught.value.details == {"count": 1_100, "count_max": limits.BACKFILL_COUNT_MAX}


def test_of_one_schedule_one_backfill_goes_on(place):
    fill(place, 3)

    with pytest.raises(errors.BackfillOpenError):
        fill(place, 3)


def test_a_backfill_ends_when_its_schedule_is_gone(place):
    fill(place, 5, run_count_max=1)
    place.settle()

    place.publish_text(TICKS.replace("name: daily", "name: nightly"))
    place.settle()

    assert (len(days()), shown(place).cancelled_count) == (1, 4)
    (ended,) = recorded("backfill.ended")
    assert ended.data["why"] == "trigger_gone"


def test_an_instant_that_cannot_start_is_counted_and_keeps_no_other(place):
    place.publish_text(
        TICKS.replace("name: daily", "name: daily, inputs: {n: event.data.nothing}").replace(
            "steps:", "inputs: {type: object, properties: {n: {}}}\nsteps:"
        )
    )

    fill(place, 3)
    for _ in range(3):
        place.settle()

    found = shown(place)
    assert (found.refused_count, found.ended_at is not None) == (3, True)
    assert len(recorded("trigger.refused")) == 3


def test_a_paused_schedule_passes_its_instants_and_a_backfill_makes_up_for_them(place):
    def act(verb):
        verb(
            principal=place.principals["mara"],
            project_slug=place.world.slug,
            workflow_slug="ticks",
            name="daily",
            reason="moving house",
        )

    act(pause_trigger)
    place.wait(days=2)
    place.publish_text(TICKS.replace('title: "at', 'title: "by'))
    place.wait(days=1)
    assert days() == []
    act(resume_trigger)
    place.wait(hours=9, seconds=1)
    assert days() == ["2030-01-04"]

    fill(place, 3, since=datetime(2030, 1, 1, tzinfo=UTC))
    place.settle()

    assert sorted(days()) == [f"2030-01-0{day}" for day in range(1, 5)]
