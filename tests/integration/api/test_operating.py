"""Operating runs over HTTP: one at a time, and many."""

import pytest

from audit.models import Entry
from core.kernel import limits
from engine.models import Run
from tests.integration.api.conftest import INPUTS_SCHEMA

MISSING = "00000000-0000-7000-8000-000000000009"
WHY = {"reason": "a fire drill"}


@pytest.fixture
def flow(town):
    return town.flow(inputs_schema=INPUTS_SCHEMA)


@pytest.fixture
def start(town, flow):
    def start():
        body = {"inputs": {"environment": "staging"}}
        made = town.as_("mara").post(f"workflows/{town.slug}/{flow}/runs/", body).json()
        town.hand.drive(Run.objects.get(pk=made["id"]).pk)
        return made["id"]

    return start


def _statuses(*run_ids):
    return [Run.objects.get(pk=run_id).status for run_id in run_ids]


def test_a_run_is_paused_and_resumed(town, start):
    run_id, mara = start(), town.as_("mara")

    paused = mara.post(f"runs/{run_id}/pause/", WHY)

    assert (paused.status_code, paused.json()) == (
        200,
        {"id": run_id, "status": "PAUSED", "replayed": False},
    )
    assert mara.post(f"runs/{run_id}/pause/", WHY).json()["replayed"] is True
    assert mara.get(f"runs/{run_id}/").json()["status"] == "PAUSED"
    resumed = mara.post(f"runs/{run_id}/resume/", {**WHY, "with_children": True}).json()
    assert (resumed["status"], resumed["replayed"]) == ("READY", False)
    kinds = [item["kind"] for item in mara.get(f"runs/{run_id}/events/").json()["items"]]
    assert kinds[-2:] == ["run.paused", "run.resumed"]


def test_an_approval_is_neither_skipped_nor_tried_again(town, start, problem):
    run_id, mara = start(), town.as_("mara")
    step = f"runs/{run_id}/steps/approve%231"

    skipped = problem(mara.post(f"{step}/skip/", WHY), 409, "engine.step_not_skippable")
    problem(mara.post(f"{step}/retry/", WHY), 409, "engine.step_not_retriable")
    problem(mara.post(f"runs/{run_id}/steps/other%231/skip/", WHY), 404, "engine.run_step_missing")

    assert "approval" in skipped["detail"]
    assert _statuses(run_id) == ["WAITING"]


@pytest.mark.parametrize("verb", ["pause", "resume", "steps/approve%231/skip", "events"])
@pytest.mark.parametrize("reason", [{}, {"reason": " "}, {"reason": "x" * 2_001}])
def test_every_verb_wants_a_reason(town, start, problem, verb, reason):
    body = {**reason, "type": "go"} if verb == "events" else reason
    problem(town.as_("mara").post(f"runs/{start()}/{verb}/", body), 422, "api.invalid_input")


def test_an_event_is_sent_to_one_run(town, start, problem):
    run_id, mara = start(), town.as_("mara")
    body = {**WHY, "type": "go", "data": {"n": 1}, "id": "e1"}

    first = mara.post(f"runs/{run_id}/events/", body)
    again = mara.post(f"runs/{run_id}/events/", body)

    assert (first.status_code, first.json()["replayed"]) == (202, False)
    assert again.json() == {"id": first.json()["id"], "replayed": True}
    other = {**body, "data": {"n": 2}}
    problem(mara.post(f"runs/{run_id}/events/", other), 422, "engine.event_reused")


def test_a_run_that_is_over_takes_nothing(town, start, problem):
    run_id, mara = start(), town.as_("mara")
    mara.post(f"runs/{run_id}/cancel/", {**WHY, "compensate": True})
    town.hand.drive(Run.objects.get(pk=run_id).pk)

    for verb in ("pause", "resume", "steps/approve%231/retry"):
        problem(mara.post(f"runs/{run_id}/{verb}/", WHY), 409, "engine.run_closed")


# --- many ----------------------------------------------------------------------------------------


def _operate(caller, town, verb, **body):
    return caller.post("runs/operate/", {**WHY, "verb": verb, "project": town.slug, **body})


def test_many_runs_are_paused_resumed_and_cancelled(town, flow, start):
    runs, mara = [start() for _ in range(3)], town.as_("mara")

    paused = _operate(mara, town, "pause", workflow=flow).json()

    assert [item["id"] for item in paused["items"]] == runs[::-1]
    assert paused["next"] is None
    assert {item["code"] for item in paused["items"]} == {""}
    assert _statuses(*runs) == ["PAUSED"] * 3
    assert len(_operate(mara, town, "resume", status="PAUSED").json()["items"]) == 3
    assert _statuses(*runs) == ["READY"] * 3
    _operate(mara, town, "cancel", initiator="mara", compensate=True)
    for run_id in runs:
        town.hand.drive(Run.objects.get(pk=run_id).pk)
    assert _statuses(*runs) == ["CLOSED"] * 3
    assert _operate(mara, town, "cancel").json() == {"items": [], "next": None}


def test_as_many_as_one_request_takes_then_the_next(town, start, monkeypatch):
    monkeypatch.setattr(limits, "BULK_RUN_COUNT_MAX", 2)
    runs, mara = [start() for _ in range(3)], town.as_("mara")

    first = _operate(mara, town, "pause").json()
    rest = _operate(mara, town, "pause", after=first["next"]).json()

    assert (first["next"], rest["next"]) == (runs[1], None)
    assert _statuses(*runs) == ["PAUSED"] * 3


def test_what_is_refused_for_one_run_is_said_and_recorded(town, start):
    run_id = start()
    before = Entry.objects.filter(kind="access.refused").count()

    answer = _operate(town.as_("vera"), town, "cancel").json()

    assert [(item["id"], item["code"]) for item in answer["items"]] == [
        (run_id, "identity.forbidden")
    ]
    assert _statuses(run_id) == ["WAITING"]
    assert Entry.objects.filter(kind="access.refused").count() == before + 1


def test_a_project_that_is_not_there_and_a_verb_nobody_knows(town, problem):
    mara = town.as_("mara")

    problem(
        mara.post("runs/operate/", {**WHY, "verb": "pause", "project": "moon"}),
        404,
        "engine.project_missing",
    )
    problem(_operate(mara, town, "explode"), 422, "api.invalid_input")
