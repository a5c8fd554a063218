"""The REST client against a scripted server: what it sends, reads and tries again."""

import json
from collections import deque

import httpx
import pytest

from countersign import ApiError, Client
from tests.loopback import Answer, serve

RUN = {"id": "r1", "status": "WAITING"}


@pytest.fixture
def site():
    yield from serve("127.0.0.1")


@pytest.fixture
def script(site):
    """Let the site answer these, one after the other; the last for ever."""

    def play(*answers):
        left = deque(answers)
        site.answer = lambda _: left.popleft() if len(left) > 1 else left[0]

    return play


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def client(site, pauses):
    with Client(site.url, "cs_secret", trust_env=False, sleep=pauses.append) as client:
        yield client


def answer(body, status=200, **headers):
    kind = "application/problem+json" if status >= 400 else "application/json"
    return Answer(
        status=status, headers={"Content-Type": kind, **headers}, body=json.dumps(body).encode()
    )


def problem(status, **body):
    return answer({"code": "x.y", "title": "No.", "status": status, **body}, status)


def test_a_run_is_started_under_a_key_of_its_own(client, script, site):
    script(answer(RUN, 201))

    first = client.start_run("shop", "release", inputs={"a": 1})
    client.start_run("shop", "release", inputs={"a": 1})
    client.start_run("shop", "release", inputs={}, idempotency_key="mine", rev=3)

    assert first == RUN
    assert site.received[0].path == "/api/v1/workflows/shop/release/runs/"
    assert site.received[0].headers["authorization"] == "Bearer cs_secret"
    assert json.loads(site.received[0].body) == {"inputs": {"a": 1}}
    keys = [seen.headers["idempotency-key"] for seen in site.received]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"
    assert json.loads(site.received[2].body)["rev"] == 3


def test_a_decision_says_what_was_seen(client, script, site):
    script(answer({"outcome": "approved"}))

    client.decide(
        "q1",
        "approve",
        digest="ab" * 32,
        comment="ok",
        form={"ticket": "CHG-1"},
        confirmed=True,
        stage="peer",
    )

    seen = site.received[0]
    assert seen.path == "/api/v1/requests/q1/decide/"
    assert seen.headers["if-match"] == f'"{"ab" * 32}"'
    assert seen.headers["idempotency-key"]
    assert json.loads(seen.body) == {
        "decision": "approve",
        "comment": "ok",
        "confirmed": True,
        "form": {"ticket": "CHG-1"},
        "stage": "peer",
    }


def test_every_call_has_its_address(client, script, site):
    script(answer({"id": "x", "token": "t", "items": [], "next": None}))

    client.create_token("mara", "secret")
    client.revoke_token("t1")
    client.get_me()
    client.save_version("shop", "schema: flow/v1", message="first")
    client.publish_version("shop", "release", 2)
    client.get_run("r1")
    client.cancel_run("r1", reason="no longer wanted")
    client.get_request("q1")
    client.explain_request("q1")
    list(client.list_runs(status="WAITING"))
    list(client.list_run_events("r1"))
    list(client.list_requests())
    list(client.list_requests(view="decided"))
    list(client.list_entries(stream="run:r1"))
    client.get_run("../requests")

    assert [f"{seen.method} {seen.path.removeprefix('/api/v1/')}" for seen in site.received] == [
        "POST auth/token/",
        "DELETE tokens/t1/",
        "GET me/",
        "POST workflows/shop/",
        "POST workflows/shop/release/versions/2/publish/",
        "GET runs/r1/",
        "POST runs/r1/cancel/",
        "GET requests/q1/",
        "GET requests/q1/why/",
        "GET runs/?status=WAITING",
        "GET runs/r1/events/",
        "GET requests/?view=mine",
        "GET requests/?view=decided",
        "GET ledger/entries/?stream=run%3Ar1",
        "GET runs/..%2Frequests/",
    ]


def test_an_answer_without_content_is_nothing(client, script):
    script(Answer(status=204))

    assert client.cancel_run("r1", reason="no longer wanted") is None
    assert client.revoke_token("t1") is None


def test_a_refusal_is_an_error_with_its_code_and_problems(client, script):
    problems = [{"path": "/steps/a", "line": 3, "column": 5, "message": "unknown"}]
    script(problem(422, code="engine.definition_invalid", detail="It is wrong.", errors=problems))

    with pytest.raises(ApiError) as caught:
        client.save_version("shop", "x")

    error = caught.value
    assert (error.status, error.code) == (422, "engine.definition_invalid")
    assert (error.title, error.detail) == ("No.", "It is wrong.")
    assert error.problems == tuple(problems)
    assert str(error) == "422 engine.definition_invalid: It is wrong."


@pytest.mark.parametrize(
    ("status", "body"), [(502, b"<html>bad gateway"), (200, b"[1]"), (302, b"")]
)
def test_an_answer_that_is_not_the_apis_is_an_error(client, script, status, body):
    script(Answer(status=status, body=body))

    with pytest.raises(ApiError, match="not an answer of this API") as caught:
        client.get_run("r1")

    assert caught.value.status == status


def test_a_list_is_read_page_by_page(client, script, site):
    script(
        answer({"items": [{"id": "1"}, {"id": "2"}], "next": "/api/v1/runs/?cursor=abc&limit=2"}),
        answer({"items": [{"id": "3"}], "next": None}),
    )

    items = [item["id"] for item in client.list_runs(limit=2)]

    assert items == ["1", "2", "3"]
    assert [seen.path for seen in site.received] == [
        "/api/v1/runs/?limit=2",
        "/api/v1/runs/?cursor=abc&limit=2",
    ]


def test_the_next_page_is_asked_of_the_same_server(client, script, site):
    script(
        answer({"items": [], "next": "http://127.0.0.2:1/elsewhere/?cursor=abc"}),
        answer({"items": [], "next": None}),
    )

    assert list(client.list_runs()) == []
    assert site.received[1].path == "/api/v1/runs/?cursor=abc"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_cannot_act_twice_is_tried_again(client, script, site, pauses, status):
    script(problem(status), answer(RUN))

    assert client.get_run("r1") == RUN
    assert client.start_run("shop", "release", inputs={}) == RUN
    assert len(site.received) == 3
    assert pauses == [0.2]


def test_a_repeated_start_has_the_same_key(client, script, site):
    script(problem(503), problem(503), answer(RUN, 201))

    client.start_run("shop", "release", inputs={})

    assert len({seen.headers["idempotency-key"] for seen in site.received}) == 1
    assert len(site.received) == 3


def test_what_may_act_twice_is_not_tried_again(client, script, site):
    script(problem(503), answer({"rev": 1}))

    with pytest.raises(ApiError) as caught:
        client.save_version("shop", "x")

    assert caught.value.status == 503
    assert len(site.received) == 1


def test_what_was_refused_by_rate_is_tried_again_when_the_server_says(client, script, pauses):
    script(
        answer({"code": "api.throttled"}, 429, **{"Retry-After": "3"}),
        answer({"code": "api.throttled"}, 429, **{"Retry-After": "3600"}),
        answer({"rev": 1}),
    )

    assert client.save_version("shop", "x") == {"rev": 1}
    assert pauses == [3.0, 10.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 412, 413, 422, 428, 500])
def test_a_refusal_is_not_tried_again(client, script, site, status):
    script(problem(status))

    with pytest.raises(ApiError):
        client.get_run("r1")
    assert len(site.received) == 1


def test_it_gives_up_after_a_few_tries(client, script, site, pauses):
    script(problem(503))

    with pytest.raises(ApiError) as caught:
        client.get_run("r1")

    assert caught.value.status == 503
    assert len(site.received) == 4
    assert pauses == [0.2, 0.4, 0.8]


def test_a_server_that_is_away_is_tried_again_and_then_reported(pauses):
    with (
        Client("http://127.0.0.1:1", "", trust_env=False, sleep=pauses.append) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.save_version("shop", "x")

    assert len(pauses) == 3


def test_a_redirect_is_not_followed_with_the_token(client, script, site):
    script(Answer(status=301, headers={"Location": f"{site.url}/elsewhere"}))

    with pytest.raises(ApiError):
        client.get_run("r1")
    assert len(site.received) == 1


def test_waiting_asks_less_and_less_often(client, script, site, pauses):
    script(*[answer(RUN)] * 12, answer({"id": "r1", "status": "CLOSED"}))

    assert client.wait_run("r1")["status"] == "CLOSED"
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.05
    assert pauses[-1] == 2.0
    assert len(site.received) == 13


def test_waiting_ends_with_its_time(client, script):
    script(answer(RUN))

    with pytest.raises(TimeoutError, match="WAITING"):
        client.wait_run("r1", timeout_seconds=0.0)
    assert client.wait_run("r1", statuses=("WAITING",), timeout_seconds=0.0) == RUN


def test_without_a_token_none_is_sent(site, script):
    script(answer({"token": "cs_new"}))

    with Client(f"{site.url}/", "", trust_env=False) as client:
        assert client.create_token("mara", "secret")["token"] == "cs_new"
    assert "authorization" not in site.received[0].headers
