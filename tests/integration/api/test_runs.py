"""Starting, watching and cancelling runs over HTTP."""

from dataclasses import replace

import pytest

from engine.domain.plan_json import plan_from_json
from engine.models import Run, Version
from tests.integration.api.conftest import INPUTS_SCHEMA

MISSING = "00000000-0000-7000-8000-000000000009"


@pytest.fixture
def flow(town):
    return town.flow(inputs_schema=INPUTS_SCHEMA)


def _start(town, flow, inputs=None, *, who="mara", key="", **body):
    headers = {"Idempotency_Key": key} if key else {}
    sent = {"inputs": {"environment": "staging"} if inputs is None else inputs, **body}
    return town.as_(who).post(f"workflows/{town.slug}/{flow}/runs/", sent, **headers)


def test_a_run_starts_and_says_where_it_is(town, flow):
    response = _start(town, flow)

    body = response.json()
    assert (response.status_code, body["replayed"]) == (201, False)
    found = town.as_("mara").follow(response["Location"]).json()
    assert (found["id"], found["number"]) == (body["id"], body["number"])
    assert (found["status"], found["outcome"]) == ("READY", "")
    assert found["inputs"] == {"environment": "staging"}
    assert found["initiator"] == "mara"
    assert [step["key"] for step in found["steps"]] == ["approve#1"]


def test_what_a_run_did_is_read_from_its_stream(town, flow):
    run_id = _start(town, flow).json()["id"]
    town.hand.drive(Run.objects.get(pk=run_id).pk)

    events = town.as_("mara").get(f"runs/{run_id}/events/").json()["items"]

    assert [item["kind"] for item in events][:1] == ["run.started"]
    assert "approval.requested" in [item["kind"] for item in events]
    assert [item["seq"] for item in events] == list(range(1, len(events) + 1))
    assert events[0]["actor"] == {"id": str(town.users["mara"].pk), "kind": "person"}
    assert all(len(item["leaf"]) == 64 for item in events)


def test_the_address_of_the_caller_is_not_shown_to_readers(town, flow):
    run_id = _start(town, flow).json()["id"]

    events = town.as_("vera").get(f"runs/{run_id}/events/").json()["items"]

    assert "127.0.0.1" not in str(events)


def test_inputs_that_do_not_match_are_all_listed(town, flow, problem):
    response = _start(town, flow, {"environment": "moon", "count": 0, "surprise": 1})

    body = problem(response, 422, "engine.inputs_invalid")
    assert {item["path"] for item in body["errors"]} == {
        "/inputs",
        "/inputs/count",
        "/inputs/environment",
    }
    assert len(body["errors"]) == 3
    assert not Run.objects.exists()


@pytest.mark.parametrize("inputs", [[], "x", 7, True])
def test_inputs_that_are_no_object_are_invalid(town, flow, problem, inputs):
    body = problem(_start(town, flow, inputs), 422, "api.invalid_input")

    assert [item["path"] for item in body["errors"]] == ["/inputs"]


def test_inputs_beyond_what_json_numbers_hold_are_refused(town, flow, problem):
    for count in (2**60, 1e17):
        response = _start(town, flow, {"environment": "staging", "count": count})

        body = problem(response, 422, "engine.inputs_invalid")
        assert [item["path"] for item in body["errors"]] == ["/inputs/count"]


def test_a_workflow_that_is_not_started_over_the_api_says_so(town, flow, problem):
    version = Version.objects.get(workflow__slug=flow)
    loaded = plan_from_json(version.plan)
    town.publish(replace(loaded, triggers=("manual",)), author="otto")

    body = problem(_start(town, flow), 409, "engine.trigger_refused")

    assert "portal" in body["detail"]
    assert not Run.objects.exists()
    assert _start(town, flow, rev=version.rev).status_code == 201


def test_starting_twice_with_one_key_is_one_run(town, flow):
    first = _start(town, flow, key="order-1")

    again = _start(town, flow, key="order-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "replayed": True}
    assert Run.objects.count() == 1


def test_a_quoted_key_is_the_same_key(town, flow):
    _start(town, flow, key="order-1")

    assert _start(town, flow, key='"order-1"').json()["replayed"] is True


def test_a_key_with_another_body_is_refused(town, flow, problem):
    _start(town, flow, key="order-1")

    response = _start(town, flow, {"environment": "production"}, key="order-1")

    problem(response, 422, "engine.key_reused")


def test_without_a_key_every_start_is_a_run(town, flow):
    numbers = {_start(town, flow).json()["number"] for _ in range(3)}

    assert len(numbers) == Run.objects.count() == 3


@pytest.mark.parametrize("key", ["a b", "x" * 201, "é"])
def test_a_malformed_key_is_refused_and_nothing_starts(town, flow, problem, key):
    problem(_start(town, flow, key=key), 422, "api.invalid_header")

    assert not Run.objects.exists()


def test_a_version_that_does_not_exist_is_missing(town, flow, problem):
    problem(_start(town, flow, rev=9), 404, "engine.version_missing")
    assert _start(town, flow, rev=1).status_code == 201


def test_a_workflow_that_does_not_exist_is_missing(town, problem):
    problem(_start(town, "nope"), 404, "engine.workflow_missing")


def test_a_run_that_does_not_exist_is_missing(town, problem):
    for path in (f"runs/{MISSING}/", f"runs/{MISSING}/events/"):
        problem(town.as_("mara").get(path), 404, "engine.run_missing")
    problem(town.as_("mara").post(f"runs/{MISSING}/cancel/"), 404, "engine.run_missing")


def test_a_run_is_cancelled_once_and_closed_for_good(town, flow, problem):
    run_id = _start(town, flow).json()["id"]
    path = f"runs/{run_id}/cancel/"
    caller = town.as_("mara")

    assert caller.post(path, {"reason": "wrong day"}).status_code == 204
    assert caller.post(path).status_code == 204

    town.hand.drive(Run.objects.get(pk=run_id).pk)
    assert caller.get(f"runs/{run_id}/").json()["outcome"] == "cancelled"
    problem(caller.post(path), 409, "engine.run_closed")


def test_runs_are_narrowed_by_what_they_are(town, flow):
    other = town.flow()
    ids = [_start(town, name).json()["id"] for name in (flow, other)]

    def listed(**parameters):
        return [item["id"] for item in town.as_("vera").get("runs/", **parameters).json()["items"]]

    assert listed() == ids[::-1]
    assert listed(workflow=other) == ids[1:]
    assert listed(project="nope") == []
    assert listed(status="READY", initiator="mara", workflow=flow) == ids[:1]
    assert listed(outcome="failed") == []


def test_a_run_that_is_over_is_run_again_over_http(town, flow, problem):
    run_id = _start(town, flow).json()["id"]
    caller = town.as_("mara")
    body = {"step": "approve#1", "reason": "once more"}
    problem(caller.post(f"runs/{run_id}/rerun/", body), 409, "engine.run_open")
    caller.post(f"runs/{run_id}/cancel/", {})
    town.hand.drive(Run.objects.get(pk=run_id).pk)

    seen = caller.post(f"runs/{run_id}/rerun/preview/", {"step": "approve"}).json()
    assert seen["runs_again"] == [
        {"key": "approve#1", "why": "chosen", "because": "", "asks_people": True}
    ]
    first = caller.post(f"runs/{run_id}/rerun/", body, Idempotency_Key="k")
    again = caller.post(f"runs/{run_id}/rerun/", body, Idempotency_Key="k")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    made = caller.get(f"runs/{first.json()['id']}/").json()
    assert (made["rerun_of"]["id"], made["rerun_step"]) == (run_id, "approve#1")
    origin = caller.get(f"runs/{run_id}/").json()
    assert [item["id"] for item in origin["reruns"]] == [made["id"]]
    problem(caller.post(f"runs/{run_id}/rerun/", {"step": "x"}), 422, "api.invalid_input")
    problem(
        caller.post(f"runs/{run_id}/rerun/", {**body, "step": "moon"}), 422, "engine.step_missing"
    )


def test_a_run_is_told_as_it_was_then(town, flow):
    run_id = _start(town, flow).json()["id"]
    town.hand.drive(Run.objects.get(pk=run_id).pk)
    mara = town.as_("mara")
    now = mara.get(f"runs/{run_id}/").json()

    first = mara.get(f"runs/{run_id}/state/", at_seq=1).json()
    by_instant = mara.get(f"runs/{run_id}/state/", at=first["written_at"]).json()
    last = mara.get(f"runs/{run_id}/state/").json()

    assert (first["at_seq"], first["last_seq"], first["kind"]) == (1, now["seq"], "run.started")
    assert (first["run"]["status"], first["waiting"]) == ("READY", [])
    assert by_instant == first
    assert (last["run"], last["waiting"]) == (now, ["approve#1"])
    assert last["unreadable"] == ""


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"at_seq": "0"}, 422, "api.invalid_input"),
        ({"at_seq": "x"}, 422, "api.invalid_input"),
        ({"at": "yesterday"}, 422, "api.invalid_input"),
        ({"at_seq": "1", "at": "2026-01-01T00:00:00Z"}, 422, "api.invalid_input"),
        ({"at_seq": "9999"}, 404, "engine.moment_missing"),
        ({"at": "2001-01-01T00:00:00Z"}, 404, "engine.moment_missing"),
    ],
)
def test_a_past_that_is_none_is_refused(town, flow, problem, query, status, code):
    run_id = _start(town, flow).json()["id"]

    response = town.as_("mara").get(f"runs/{run_id}/state/", **query)

    problem(response, status, code)
