"""Pauses, quotas and a place in a group, over HTTP."""

import pytest

from engine.flow_control import admission

GROUPED = """
schema: flow/v1
kind: dag
name: grouped
concurrency: {group: one}
steps: {wait: {wait: {event: {type: go, correlate: {}}}}}
"""


@pytest.fixture
def flow(town):
    admission.forget_measures()
    return town.flow()


def start(town, flow, *, who="mara"):
    return town.as_(who).post(f"workflows/{town.slug}/{flow}/runs/", {"inputs": {}})


def test_a_paused_workflow_refuses_starts_until_it_is_resumed(town, flow, problem):
    path = f"workflows/{town.slug}/{flow}/"
    town.user("rex", "operator")

    paused = town.as_("rex").post(f"{path}pause/", {"reason": "the target is down"}).json()

    assert paused["is_paused"] is True
    assert (paused["workflow"]["reason"], paused["workflow"]["paused_by"]) == (
        "the target is down",
        "rex",
    )
    body = problem(start(town, flow), 409, "engine.paused")
    assert "the target is down" in body["detail"]
    assert town.as_("mara").get(f"{path}pause/").json() == paused
    town.as_("rex").post(f"{path}resume/", {"reason": "it is up"})
    assert start(town, flow).status_code == 201


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": 7}])
def test_a_pause_without_a_reason_is_invalid(town, flow, problem, body):
    town.user("rex", "operator")

    answer = town.as_("rex").post(f"workflows/{town.slug}/{flow}/pause/", body)

    problem(answer, 422, "api.invalid_input")


def test_a_start_over_the_quota_is_told_when_to_come_back(town, flow, problem):
    town.user("ada", "project_admin")
    path = f"projects/{town.slug}/"
    set_to = town.as_("ada").send("put", f"{path}quota/", {"starts_per_hour": 1}).json()
    assert set_to["starts_per_hour"] == {"own": 1, "limit": 1, "used": 0}
    assert start(town, flow).status_code == 201

    answer = start(town, flow)

    problem(answer, 429, "engine.quota_exceeded")
    assert 0 < int(answer["Retry-After"]) <= 3_600
    now = town.as_("mara").get(f"{path}flow/").json()
    assert now["starts_per_hour"]["used"] == 1
    assert (now["open_runs"]["used"], now["paused"]) == (1, None)


def test_who_operates_runs_starts_one_that_goes_before_others(committed_town):
    town = committed_town
    admission.forget_measures()
    town.user("eve", "editor", "publisher", "requester", "operator")
    eve = town.as_("eve")
    rev = eve.post(f"workflows/{town.slug}/", {"source": GROUPED}).json()["rev"]
    eve.post(f"workflows/{town.slug}/grouped/versions/{rev}/publish/")
    path = f"workflows/{town.slug}/grouped/runs/"
    ids = [
        eve.post(path, {"inputs": {}, "priority": priority}).json()["id"] for priority in (0, 0, 5)
    ]

    urgent = eve.get(f"runs/{ids[2]}/").json()

    assert (urgent["priority"], urgent["turn"]["before_count"]) == (5, 0)
    assert eve.get(f"runs/{ids[1]}/").json()["turn"]["before_count"] == 1
    first = eve.get(f"runs/{ids[2]}/events/").json()["items"][0]
    assert first["data"]["priority"] == 5


def test_who_may_only_start_runs_does_not_say_which_goes_first(town, flow, problem):
    town.user("pia", "requester")
    path = f"workflows/{town.slug}/{flow}/runs/"

    body = problem(
        town.as_("pia").post(path, {"inputs": {}, "priority": 1}), 403, "identity.forbidden"
    )

    assert body["permission"] == "operate_run"
    assert town.as_("pia").post(path, {"inputs": {}, "priority": 0}).status_code == 201


@pytest.mark.parametrize("priority", [-1, 10, 1.5, "high"])
def test_a_priority_is_a_digit(town, flow, problem, priority):
    path = f"workflows/{town.slug}/{flow}/runs/"

    problem(
        town.as_("mara").post(path, {"inputs": {}, "priority": priority}), 422, "api.invalid_input"
    )


@pytest.mark.parametrize("value", [-1, 1.5, "x", 10_000_001])
def test_a_quota_is_a_whole_number_from_zero(town, flow, problem, value):
    town.user("ada", "project_admin")

    answer = town.as_("ada").send("put", f"projects/{town.slug}/quota/", {"open_runs": value})

    problem(answer, 422, "api.invalid_input")


def test_a_backlog_is_answered_with_retry_after(town, flow, problem, settings):
    settings.WORKFLOW_READY_RUNS_MAX = 1
    start(town, flow)

    answer = start(town, flow)

    body = problem(answer, 429, "engine.backlogged")
    assert (answer["Retry-After"], body["limit"], body["of"]) == ("5", 1, "workflow")


def test_a_run_says_for_which_group_it_waits(committed_town):
    town = committed_town
    admission.forget_measures()
    town.user("eve", "editor", "publisher", "requester")
    eve = town.as_("eve")
    rev = eve.post(f"workflows/{town.slug}/", {"source": GROUPED}).json()["rev"]
    eve.post(f"workflows/{town.slug}/grouped/versions/{rev}/publish/")
    ids = [start(town, "grouped", who="eve").json()["id"] for _ in range(3)]

    first, _, third = [eve.get(f"runs/{run_id}/").json() for run_id in ids]

    assert first["turn"] == {
        "group": "one",
        "waiting": False,
        "before_count": 0,
        "going_count": 0,
        "going": [],
    }
    turn = third["turn"]
    assert (third["status"], turn["waiting"], turn["before_count"]) == ("WAITING", True, 1)
    assert [item["id"] for item in turn["going"]] == [ids[0]]
