"""What operators type: each with a reason, and secrets that nobody sees."""

import json

import pytest

from tests.integration.countersign.conftest import RUN_ID, a_run, a_step

STEERED = {"id": RUN_ID, "status": "PAUSED", "replayed": False}


@pytest.fixture
def run(server):
    server.on(f"GET runs/{RUN_ID}/", a_run(rev=3, inputs={"version": "1", "count": 1}))
    steps = [a_step(key="deploy#1", step="deploy", undoes=False)]
    steps += [a_step(key=f"each#1/item#{n}", step="each", undoes=False) for n in (1, 2)]
    server.on(f"GET runs/{RUN_ID}/steps/", {"items": steps, "next": None})
    for verb in ("pause", "resume", "steps/deploy%231/retry", "steps/deploy%231/skip"):
        server.on(f"POST runs/{RUN_ID}/{verb}/", STEERED)
    return server


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_run_is_paused_and_resumed_with_a_reason(type_in, run, verb):
    assert type_in(verb, RUN_ID).exit_code == 2
    result = type_in(verb, RUN_ID, "--reason", "look first", "--with-children")

    assert result.exit_code == 0, result.output
    assert "is PAUSED" in result.stdout
    assert run.bodies(f"POST runs/{RUN_ID}/{verb}/") == [
        {"reason": "look first", "with_children": True}
    ]


@pytest.mark.parametrize("verb", ["retry", "skip"])
@pytest.mark.parametrize("step", ["deploy", "deploy#1"])
def test_a_step_is_named_by_its_id_or_key(type_in, run, verb, step):
    result = type_in(verb, RUN_ID, step, "-m", "again")

    assert result.exit_code == 0, result.output
    assert run.bodies(f"POST runs/{RUN_ID}/steps/deploy%231/{verb}/") == [{"reason": "again"}]


@pytest.mark.parametrize(
    ("step", "said"), [("each", "each#1/item#1, each#1/item#2"), ("nobody", "none of that name")]
)
def test_a_step_that_is_not_one_is_named(type_in, run, step, said):
    result = type_in("retry", RUN_ID, step, "-m", "again")

    assert result.exit_code == 2
    assert said in result.output


@pytest.fixture
def again(run):
    schema = {"properties": {"version": {"type": "string"}, "count": {"type": "integer"}}}
    run.on("GET workflows/shop/release/versions/3/", {"inputs_schema": schema})
    started = {"id": RUN_ID, "number": 8, "replayed": False}
    run.on(f"POST runs/{RUN_ID}/rerun/", started)
    foreseen = {
        "rev": 3,
        "taken_over": [{"key": "scan#1", "outcome": "succeeded"}],
        "runs_again": [
            {"key": "ask#1", "why": "approval", "because": "deploy#1", "asks_people": True}
        ],
        "changed_inputs": ["version"],
    }
    run.on(f"POST runs/{RUN_ID}/rerun/preview/", foreseen)
    return run


def test_a_run_is_run_again_from_a_step(type_in, again):
    assert type_in("rerun", RUN_ID, "--from", "deploy").exit_code == 2
    result = type_in("rerun", RUN_ID, "--from", "deploy", "-m", "the target was down")

    assert result.exit_code == 0, result.output
    (body,) = again.bodies(f"POST runs/{RUN_ID}/rerun/")
    reason = "the target was down"
    assert body == {"step": "deploy", "inputs": None, "rev": None, "reason": reason}


def test_a_fork_has_the_runs_inputs_with_others_in_their_place(type_in, again):
    type_in("rerun", RUN_ID, "-i", "version=2", "-m", "another")

    (body,) = again.bodies(f"POST runs/{RUN_ID}/rerun/")
    assert body["inputs"] == {"version": "2", "count": 1}


def test_what_would_run_again_is_shown_before(type_in, again):
    result = type_in("rerun", RUN_ID, "--from", "deploy", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "taken over: scan#1 succeeded" in result.stdout
    assert "again: ask#1 (approval of deploy#1, people are asked)" in result.stdout
    assert again.received(f"POST runs/{RUN_ID}/rerun/") == []


def test_an_event_is_sent_to_one_run(type_in, run):
    run.on(f"POST runs/{RUN_ID}/events/", {"id": "e", "replayed": False})

    assert type_in("send", RUN_ID, "a.b", "--data", "[1]", "-m", "x").exit_code == 2
    assert type_in("send", RUN_ID, "a.b", "--data", "{", "-m", "x").exit_code == 2
    assert type_in("send", RUN_ID, "a.b", "--data", '{"n": 1}', "-m", "x").exit_code == 0
    assert run.bodies(f"POST runs/{RUN_ID}/events/") == [
        {"type": "a.b", "data": {"n": 1}, "reason": "x", "id": ""}
    ]


SECRET = {
    "name": "PAY_KEY",
    "description": "",
    "number": 2,
    "changed_at": "2026-01-01T12:00:00Z",
    "changed_by": "mara",
    "used_by": ["release"],
}


def test_a_secret_comes_from_standard_input_and_is_never_shown(type_in, server):
    server.on("PUT projects/shop/secrets/PAY_KEY/", SECRET)

    result = type_in("secrets", "set", "PAY_KEY", text="hush hush\n")

    assert result.exit_code == 0, result.output
    assert server.bodies("PUT projects/shop/secrets/PAY_KEY/") == [{"value": "hush hush"}]
    assert "hush" not in result.output
    assert "second time" in result.stdout


def test_a_secret_without_a_value_is_not_set(type_in, server):
    assert type_in("secrets", "set", "PAY_KEY", text="").exit_code == 2
    assert server.site.received == []


def test_secrets_are_listed_and_deleted(type_in, server):
    server.on("GET projects/shop/secrets/", {"items": [SECRET], "next": None})
    server.on("DELETE projects/shop/secrets/PAY_KEY/", {})

    assert json.loads(type_in("secrets", "list", "--json").stdout) == {"items": [SECRET]}
    assert type_in("secrets", "delete", "PAY_KEY").exit_code == 2
    assert type_in("secrets", "delete", "PAY_KEY", "--yes").exit_code == 0
    assert len(server.received("DELETE projects/shop/secrets/PAY_KEY/")) == 1
