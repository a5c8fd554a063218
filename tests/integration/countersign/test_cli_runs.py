"""Runs and decisions from the command line."""

import json
from collections import deque
from urllib.parse import parse_qsl, urlsplit

import pytest

from countersign.cli.doorway import Session, State
from countersign.cli.following import Follower
from countersign.cli.output import Output
from countersign.cli.profiles import Profile
from countersign.client import Client
from tests.integration.countersign.conftest import (
    REQUEST_ID,
    RUN_ID,
    a_decision,
    a_request,
    a_run,
    a_step,
    problem,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "version": {"type": "string"},
        "count": {"type": "integer"},
        "env": {"enum": ["staging", "production"]},
    },
}


@pytest.fixture
def release(server):
    server.on("GET workflows/shop/release/", {"published_rev": 4})
    server.on("GET workflows/shop/release/versions/4/", {"inputs_schema": SCHEMA})
    started = {"id": RUN_ID, "number": 7, "replayed": False}
    server.on("POST workflows/shop/release/runs/", started)
    server.on(f"GET runs/{RUN_ID}/", a_run())
    return server


def over_time(server, address, *replies):
    left = deque(replies)
    server.on(address, lambda _: left.popleft() if len(left) > 1 else left[0])


def test_inputs_are_read_by_the_schema(type_in, release):
    result = type_in(
        *("run", "release", "-i", "version=1.40", "-i", "count=3", "-i", "env=staging"),
        *("-i", 'more:={"a": 1}', "--idempotency-key", "mine"),
    )

    assert result.exit_code == 0, result.output
    body = release.bodies("POST workflows/shop/release/runs/")[0]
    inputs = {"version": "1.40", "count": 3, "env": "staging", "more": {"a": 1}}
    assert body == {"inputs": inputs}
    headers = release.received("POST workflows/shop/release/runs/")[0].headers
    assert headers["idempotency-key"] == "mine"
    assert RUN_ID in result.stdout


def test_inputs_come_from_a_file_and_pairs_come_last(type_in, release, tmp_path):
    file = tmp_path / "inputs.yaml"
    file.write_text("version: '1.0'\ncount: 1\n")

    type_in("run", "release", "--inputs", file, "-i", "count=2")

    body = release.bodies("POST workflows/shop/release/runs/")[0]
    assert body["inputs"] == {"version": "1.0", "count": 2}


def test_a_number_that_is_none_is_refused_before_anything_is_sent(type_in, release):
    result = type_in("run", "release", "-i", "count=many")

    assert result.exit_code == 2
    assert "count: 'many' is no integer" in result.output
    assert release.received("POST workflows/shop/release/runs/") == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"outcome": "succeeded"}, 0),
        ({"outcome": "rejected"}, 6),
        ({"outcome": "failed"}, 5),
        ({"outcome": "cancelled"}, 5),
        ({"outcome": "expired"}, 5),
        ({"outcome": "", "status": "HALTED"}, 5),
    ],
)
def test_the_exit_code_says_how_the_run_ended(type_in, release, changes, code):
    release.on(f"GET runs/{RUN_ID}/", a_run(**changes))

    assert type_in("run", "release", "--wait").exit_code == code
    assert type_in("watch", RUN_ID).exit_code == code


def test_watching_tells_each_change_once_and_whom_it_waits_for(type_in, release):
    asks = a_step(
        key="approve#1",
        status="waiting",
        outcome=None,
        waits_for=[{"kind": "people", "name": "approval", "until": None}],
    )
    waiting = a_run(status="WAITING", outcome="", seq=4, head="1", steps=[a_step(), asks])
    done = a_run(steps=[a_step(), a_step(key="approve#1", outcome="approved")])
    over_time(release, f"GET runs/{RUN_ID}/", waiting, waiting, done)
    release.on("GET requests/", {"items": [a_request()], "next": None})
    deciders = [{"username": "ada", "name": "Ada"}]
    release.on(f"GET requests/{REQUEST_ID}/why/", {"deciders": deciders})

    result = type_in("watch", RUN_ID)

    request = f"request {REQUEST_ID}"
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "scan#1: succeeded",
        "approve#1: waiting",
        f"waits for Ada: Release 1.4.0 to production (0 of 1 approvals, stage peer), {request}",
        "approve#1: approved",
        "run 7 is over: succeeded",
        "  version: 1.4.0",
    ]


def test_watching_in_json_is_a_line_for_each_change(type_in, release):
    lines = [json.loads(line) for line in type_in("watch", RUN_ID, "--json").stdout.splitlines()]

    assert [line["type"] for line in lines] == ["step", "end"]
    assert lines[-1]["run"]["outcome"] == "succeeded"


def test_a_run_that_is_not_over_in_time_is_told_apart(type_in, release):
    release.on(f"GET runs/{RUN_ID}/", a_run(status="RUNNING", outcome="", steps=[]))

    result = type_in("watch", RUN_ID, "--timeout", "0.1")

    assert result.exit_code == 7
    assert "run 7 is still RUNNING, and goes on [cli.still_open]" in result.output


def test_a_run_is_found_by_its_number(type_in, release):
    release.on("GET runs/", {"items": [a_run(number=9, id="x"), a_run()], "next": None})

    assert type_in("watch", "#7").exit_code == 0
    assert type_in("watch", "8").exit_code == 1


def test_runs_are_listed_of_the_project(type_in, release):
    release.on("GET runs/", {"items": [a_run()], "next": None})

    result = type_in("runs", "--status", "closed")

    row = result.stdout.splitlines()[1].split()
    assert row[:7] == ["7", "shop/release", "Release", "1.4.0", "CLOSED", "succeeded", "mara"]
    query = release.received("GET runs/")[0].path.partition("?")[2]
    assert sorted(query.split("&")) == ["project=shop", "status=CLOSED"]


def test_the_record_is_told_in_sentences_or_lines_of_json(type_in, release):
    events = [
        {
            "seq": 1,
            "kind": "run.started",
            "at": "2026-01-01T12:00:00Z",
            "data": {},
            "payloads": {"title": "Release 1.4.0"},
        },
        {
            "seq": 2,
            "kind": "attempt.failed",
            "at": "2026-01-01T12:00:01Z",
            "data": {"key": "scan#1", "attempt": 1, "error": "timeout"},
            "payloads": {"message": "too slow"},
        },
        {
            "seq": 3,
            "kind": "something.newer",
            "at": "2026-01-01T12:00:02Z",
            "data": {"key": "scan#1", "decided": {"settled": [], "next": [{"key": "build#1"}]}},
            "payloads": {},
        },
    ]
    release.on(f"GET runs/{RUN_ID}/events/", {"items": events, "next": None})

    told = type_in("logs", RUN_ID)
    lines = type_in("logs", RUN_ID, "--json").stdout.splitlines()

    assert told.exit_code == 0, told.output
    assert [line.split("  ")[-1] for line in told.stdout.splitlines()] == [
        "the run started: Release 1.4.0",
        "attempt 1 of scan#1 failed (timeout): too slow",
        "something.newer scan#1; began build#1",
    ]
    assert [json.loads(line) for line in lines] == events


def test_cancelling_needs_a_reason(type_in, release):
    release.on(f"POST runs/{RUN_ID}/cancel/", {})

    assert type_in("cancel", RUN_ID).exit_code == 2
    assert type_in("cancel", RUN_ID, "--reason", "wrong version").exit_code == 0
    assert release.bodies(f"POST runs/{RUN_ID}/cancel/") == [{"reason": "wrong version"}]
    assert type_in("cancel", RUN_ID, "-m", "undo it", "--compensate").exit_code == 0
    assert release.bodies(f"POST runs/{RUN_ID}/cancel/")[1]["compensate"] is True


@pytest.fixture
def asked(server):
    server.on(f"GET requests/{REQUEST_ID}/", a_request())
    server.on(f"POST requests/{REQUEST_ID}/decide/", a_decision())
    return server


def test_a_number_that_no_request_has_says_how_a_run_is_named(type_in, server):
    server.on("GET requests/", {"items": [], "next": None})

    result = type_in("approve", "89")

    assert result.exit_code == 1
    assert "a run is named by its id" in result.stderr


def test_a_number_is_not_decided_unseen(type_in, server):
    result = type_in("approve", "7", "--yes")

    assert result.exit_code == 2
    assert "--digest" in result.stderr
    assert server.site.received == []


def test_a_decision_names_the_digest_of_what_was_shown(type_in, asked):
    result = type_in("approve", REQUEST_ID, "--yes", "--form", "ticket=12", "-m", "fine")

    assert result.exit_code == 0, result.output
    for said in ("Release 1.4.0 to production", "version: 1.4.0", "files[1]: b", "cd" * 32):
        assert said in result.stdout
    (sent,) = asked.received(f"POST requests/{REQUEST_ID}/decide/")
    assert sent.headers["if-match"] == '"' + "cd" * 32 + '"'
    body = json.loads(sent.body)
    assert body["decision"] == "approve"
    assert body["form"] == {"ticket": "12"}
    assert body["stage"] == "peer"


def test_nobody_decides_without_being_asked(type_in, asked):
    result = type_in("approve", REQUEST_ID)

    assert result.exit_code == 2
    assert "[cli.no_answer]" in result.output
    assert asked.received(f"POST requests/{REQUEST_ID}/decide/") == []


def test_the_request_of_a_run_is_found(type_in, asked):
    asked.on(f"GET requests/{RUN_ID}/", problem(404))
    asked.on(f"GET runs/{RUN_ID}/", a_run())
    asked.on("GET requests/", {"items": [a_request()], "next": None})

    result = type_in("approve", RUN_ID, "--reject", "-m", "no", "--yes")

    assert result.exit_code == 0, result.output
    (body,) = asked.bodies(f"POST requests/{REQUEST_ID}/decide/")
    assert (body["decision"], body["comment"]) == ("reject", "no")


def test_what_changed_meanwhile_is_shown_and_nothing_is_decided(type_in, asked):
    now = a_request(subject={"version": "1.5.0", "files": ["a", "b"]}, digest="ef" * 32)
    over_time(asked, f"GET requests/{REQUEST_ID}/", a_request(), now)
    changed = problem(412, code="approvals.changed", detail="It has changed.")
    asked.on(f"POST requests/{REQUEST_ID}/decide/", changed)

    result = type_in("approve", REQUEST_ID, "--yes")

    assert result.exit_code == 1
    assert "- subject.version: 1.4.0" in result.output
    assert "+ subject.version: 1.5.0" in result.output
    assert "[approvals.changed]" in result.output


def test_a_digest_that_is_given_must_be_the_one_that_stands(type_in, asked):
    result = type_in("approve", REQUEST_ID, "--yes", "--digest", "00" * 32)

    assert result.exit_code == 1
    assert asked.received(f"POST requests/{REQUEST_ID}/decide/") == []


def test_a_question_is_answered_with_its_own_words(type_in, asked):
    choices = [{"choice": name, "consequence": "…"} for name in ("retry", "skip", "fail")]
    asked.on(f"GET requests/{REQUEST_ID}/", a_request(kind="question", choices=choices))

    assert type_in("approve", REQUEST_ID, "--yes").exit_code == 2
    assert type_in("approve", REQUEST_ID, "--answer", "retry", "--yes").exit_code == 0
    assert asked.bodies(f"POST requests/{REQUEST_ID}/decide/")[0]["decision"] == "retry"


def test_the_inbox_lists_what_i_can_decide(type_in, asked):
    asked.on("GET requests/", {"items": [a_request()], "next": None})

    result = type_in("inbox")

    assert "Release 1.4.0 to production" in result.stdout
    assert "view=mine" in asked.received("GET requests/")[0].path


def test_watching_outlasts_a_server_that_is_away_for_a_moment(release):
    pauses: list[float] = []
    running = a_run(status="RUNNING", outcome="", seq=2, head="1")
    over_time(
        release,
        f"GET runs/{RUN_ID}/",
        running,
        *[problem(500, code="api.broken")] * 3,
        a_run(),
    )
    with Client(release.site.url, "t", trust_env=False, sleep=pauses.append) as client:
        profile = Profile(name="x", url=release.site.url, token="t")
        session = Session(profile=profile, out=Output(), state=State(), _client=client)
        follower = Follower(session=session, run_id=RUN_ID, sleep=pauses.append)

        sights = list(follower.follow(timeout_seconds=None))

    assert [sight.run["status"] for sight in sights] == ["RUNNING", "CLOSED"]
    assert pauses.count(2.0) == 3


def a_past(**changes):
    past = {
        "at_seq": 3,
        "last_seq": 5,
        "kind": "step.completed",
        "written_at": "2026-01-01T12:00:01Z",
        "erased": [],
        "unreadable": "",
        "run": a_run(status="RUNNING", outcome="", steps=[a_step(outcome=None)]),
    }
    return past | changes


@pytest.mark.parametrize(
    ("at", "query"),
    [("3", {"at_seq": "3"}), ("2026-01-01T12:00:02Z", {"at": "2026-01-01T12:00:02Z"})],
)
def test_a_run_is_shown_as_it_was(type_in, server, at, query):
    server.on(f"GET runs/{RUN_ID}/state/", a_past())

    result = type_in("show", RUN_ID, "--at", at)

    assert result.exit_code == 0, result.output
    sent = server.received(f"GET runs/{RUN_ID}/state/")[0]
    assert dict(parse_qsl(urlsplit(sent.path).query)) == query
    assert "as it was after entry 3 of 5: step.completed" in result.stdout
    assert "RUNNING" in result.stdout


def test_what_was_redacted_of_a_past_is_said(type_in, server):
    erased = [{"seq": 1, "names": ["inputs"]}]
    why = "Entry 2 needs values that were redacted; the record itself holds."
    server.on(f"GET runs/{RUN_ID}/state/", a_past(erased=erased, unreadable=why))

    result = type_in("show", RUN_ID, "--at", "3")

    assert "entry 1: inputs redacted since" in result.stdout
    assert "needs values that were redacted" in " ".join(result.stdout.split())
    assert "scan#1" not in result.stdout
