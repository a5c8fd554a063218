"""The action `http/request@1` against real servers."""

import json

import pytest

from core.kernel.egress import EgressPolicy, parse_policy
from core.toolkit.outbound import GuardedClient
from engine.actions.contract import ActionCall, ActionError
from engine.actions.http_request import SPEC, send_with
from tests.loopback import Answer

CLIENT = GuardedClient(policy=parse_policy(["127.0.0.1"]))


@pytest.fixture
def call(attempt, site):
    """Execute the action against the site; `path` is joined to its address."""

    def execute(*, path="/", client=CLIENT, **arguments):
        arguments.setdefault("method", "GET")
        arguments.setdefault("url", f"{site.url}{path}")
        return send_with(ActionCall(arguments=arguments, attempt=attempt), client=client)

    return execute


@pytest.fixture
def failure(call):
    """Execute the action and return how it failed."""

    def execute(**arguments):
        with pytest.raises(ActionError) as caught:
            call(**arguments)
        return caught.value

    return execute


def test_a_json_answer_is_read(call, site):
    site.answer = lambda _: Answer(
        headers={"Content-Type": "application/json; charset=utf-8", "Set-Cookie": "a=b"},
        body=b'{"previous": "1.0.0", "big": 1.0}',
    )

    result = call()

    assert result["status"] == 200
    assert result["json"] == {"previous": "1.0.0", "big": 1}
    assert result["headers"]["content-type"] == "application/json; charset=utf-8"
    assert set(result["headers"]) == {"content-type", "date"}
    assert "text" not in result


@pytest.mark.parametrize("kind", ["application/problem+json", "APPLICATION/JSON"])
def test_every_kind_of_json_is_read(call, site, kind):
    site.answer = lambda _: Answer(headers={"Content-Type": kind}, body=b"[1]")

    assert call()["json"] == [1]


def test_any_other_answer_is_text(call, site):
    site.answer = lambda _: Answer(
        headers={"Content-Type": "text/plain; charset=latin-1"}, body=b"gr\xfc\xdfe"
    )

    assert call()["text"] == "grüße"


def test_an_empty_answer_is_empty_text(call, site):
    site.answer = lambda _: Answer(status=204, headers={"Content-Type": "application/json"})

    assert (call()["status"], call()["text"]) == (204, "")


def test_a_write_carries_the_key_of_its_attempt_and_a_read_does_not(call, site):
    for method in ("POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"):
        call(method=method)

    keys = {seen.method: seen.headers.get("idempotency-key") for seen in site.received}
    assert keys == dict.fromkeys(
        ("POST", "PUT", "PATCH", "DELETE"), "run:deploy:1"
    ) | dict.fromkeys(("GET", "HEAD", "OPTIONS"))


def test_a_definition_may_choose_its_own_key_and_type(call, site):
    call(
        method="POST",
        json={"b": 1, "a": [2]},
        headers={"Idempotency-Key": "mine", "content-type": "application/vnd.x+json"},
    )

    seen = site.received[0]
    assert seen.headers["idempotency-key"] == "mine"
    assert seen.headers["content-type"] == "application/vnd.x+json"
    assert seen.body == b'{"a":[2],"b":1}'


def test_bodies_say_what_they_are(call, site):
    call(method="POST", json={"a": 1})
    call(method="POST", text="grüße")
    call(method="POST")

    kinds = [seen.headers.get("content-type") for seen in site.received]
    assert kinds == ["application/json", "text/plain; charset=utf-8", None]
    assert [seen.body for seen in site.received] == [b'{"a":1}', "grüße".encode(), b""]
    assert json.loads(site.received[0].body) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, "transient"),
        (503, "transient"),
        (429, "transient"),
        (404, "permanent"),
        (409, "permanent"),
        (302, "permanent"),
        (300, "permanent"),
    ],
)
def test_an_unexpected_status_fails(failure, site, status, kind):
    site.answer = lambda _: Answer(status=status, body=b"no\nway")

    error = failure()

    assert error.kind == kind
    assert f"answered {status}" in error.message
    assert "no way" in error.message


def test_an_expected_status_is_a_result(call, failure, site):
    site.answer = lambda received: Answer(status=int(received.path[1:]))

    assert call(path="/404", expect={"status": 404})["status"] == 404
    assert call(path="/500", expect={"status": [200, 500]})["status"] == 500
    assert failure(path="/200", expect={"status": 201}).kind == "permanent"
    assert failure(path="/503", expect={"status": [200, 500]}).kind == "transient"


def test_a_redirect_says_that_it_is_not_followed(failure, site):
    site.answer = lambda _: Answer(status=301, headers={"Location": "/elsewhere"})

    assert "redirects are not followed" in failure().message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "BREW"}, "with/method"),
        ({"url": ""}, "with/url"),
        ({"url": "ftp://a.example"}, "must start with http"),
        ({"uri": "x"}, "'uri' was unexpected"),
        ({"headers": {"Host": "x"}}, "Host is set by the platform"),
        ({"headers": {"transfer-encoding": "chunked"}}, "is set by the platform"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "with/headers/X-A"),
        ({"headers": {"X-A": "b\n"}}, "with/headers/X-A"),
        ({"headers": {"X A": "b"}}, "with/headers"),
        ({"headers": {"X-A": "ü"}}, "with/headers/X-A"),
        ({"json": 1, "text": "x"}, "either json or text"),
        ({"text": 1}, "with/text"),
        ({"method": "POST", "json": float("nan")}, "with/json"),
        ({"expect": {"status": "200"}}, "with/expect/status"),
        ({"expect": {"status": []}}, "with/expect/status"),
        ({"expect": {"stats": 200}}, "with/expect"),
        ({"timeout": "10s"}, "with/timeout"),
        ({"timeout": "PT0S"}, "with/timeout"),
        ({"timeout": "PT2H"}, "with/timeout"),
        ({"method": "POST", "text": "x" * 1_048_577}, "over 1048576 bytes"),
    ],
)
def test_wrong_arguments_are_invalid_and_nothing_is_sent(failure, site, arguments, said):
    error = failure(**arguments)

    assert error.kind == "invalid"
    assert said in error.message
    assert site.received == []


def test_an_address_that_is_not_allowed_is_permanent(failure, site):
    error = failure(client=GuardedClient(policy=EgressPolicy()))

    assert error.kind == "permanent"
    assert "HTTP_PRIVATE_ALLOWED" in error.message
    assert site.received == []


def test_the_settings_list_what_is_allowed(attempt, site, settings):
    call = ActionCall(arguments={"method": "GET", "url": site.url}, attempt=attempt)

    settings.HTTP_PRIVATE_ALLOWED = [f"127.0.0.1:{site.port}"]
    result = SPEC.execute(call)
    assert isinstance(result, dict)
    assert result["status"] == 200
    settings.HTTP_PRIVATE_ALLOWED = []
    with pytest.raises(ActionError) as caught:
        SPEC.execute(call)
    assert caught.value.kind == "permanent"
    assert len(site.received) == 1


def test_nobody_listening_is_transient(failure, free_port):
    assert failure(url=f"http://127.0.0.1:{free_port}/").kind == "transient"


def test_silence_is_a_timeout_of_the_request_or_of_the_attempt(failure, raw_site):
    url = raw_site(lambda _connection, stop: stop.wait(10))

    assert failure(url=url, timeout="PT0.1S").kind == "timeout"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[" * 100000),
        ("text/plain", b"\xff"),
        ("text/plain; charset=nonsense", b"x"),
    ],
)
def test_an_answer_that_is_not_what_it_says_is_permanent(failure, site, kind, body):
    site.answer = lambda _: Answer(headers={"Content-Type": kind}, body=body)

    error = failure()

    assert error.kind == "permanent"
    assert "not what its Content-Type says" in error.message


def test_a_json_answer_that_cannot_be_recorded_is_permanent(failure, site):
    site.answer = lambda _: Answer(headers={"Content-Type": "application/json"}, body=b'{"a": NaN}')

    assert (failure().kind, failure().message) == ("permanent", "result/json/a: nan is not JSON.")


def test_an_answer_over_the_bound_is_permanent(failure, site):
    site.answer = lambda _: Answer(body=b"x" * 1_048_577)

    assert failure().kind == "permanent"


def test_the_definition_names_the_action_and_its_version():
    assert SPEC.reference == "http/request@1"
