"""Backfills over HTTP."""

import pytest

from core.kernel import limits
from engine.services.definitions import publish_version, save_version

TICKS = """
schema: flow/v1
kind: dag
name: ticks
triggers: [{schedule: {cron: "0 9 * * *", timezone: Europe/Berlin}}]
steps: {note: {emit: {type: day.noted}}}
"""
PERIOD = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-04T00:00:00+00:00"}


@pytest.fixture
def path(town):
    otto = town.principal("otto")
    saved = save_version(principal=otto, project_slug=town.slug, source=TICKS)
    publish_version(principal=otto, project_slug=town.slug, workflow_slug="ticks", rev=saved.rev)
    return f"workflows/{town.slug}/ticks/triggers/schedule/backfills/"


def test_a_backfill_is_tried_started_looked_at_and_cancelled(town, path, problem):
    mara = town.as_("mara")

    dry = mara.post(path, {**PERIOD, "dry_run": True})
    started = mara.post(path, {**PERIOD, "max_concurrency": 2, "reason": "a gap"})

    assert (dry.status_code, started.status_code) == (200, 201), started.content
    assert dry.json()["id"] is None
    assert started.json()["instants"] == dry.json()["instants"]
    assert started.json()["instants"][0] == "2026-01-01T08:00:00Z"
    problem(mara.post(path, PERIOD), 409, "engine.backfill_open")
    one = f"{path}{started.json()['id']}/"
    found = town.as_("vera").get(one).json()
    assert (found["total_count"], found["waiting_count"], found["max_concurrency"]) == (3, 3, 2)
    assert town.as_("vera").get(path).json()["backfills"] == [found]
    assert mara.post(f"{one}cancel/", {"reason": "no need"}).status_code == 204
    ended = mara.get(one).json()
    assert (ended["is_cancelled"], ended["cancelled_count"]) == (True, 3)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"since": "yesterday"}, "api.invalid_input"),
        ({"max_concurrency": limits.BACKFILL_OPEN_MAX + 1}, "api.invalid_input"),
        ({"until": "2025-01-01T00:00:00Z"}, "engine.backfill_invalid"),
        ({"since": "2000-01-01T00:00:00Z"}, "engine.backfill_invalid"),
        ({"until": "2999-01-01T00:00:00Z"}, "engine.backfill_invalid"),
    ],
)
def test_a_period_that_cannot_be_made_up_for_is_refused(town, path, problem, change, code):
    problem(town.as_("mara").post(path, {**PERIOD, **change}), 422, code)
