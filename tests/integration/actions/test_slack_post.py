"""Messages to Slack, through a server that stands in for it."""

import json

import pytest

from core.kernel.egress import EgressPolicy, parse_policy
from core.toolkit.outbound import GuardedClient
from engine.actions.contract import ActionCall, ActionError
from engine.actions.slack_post import SPEC, post_with
from tests.loopback import Answer, serve

SECRET = "T000/B000/do-not-tell"


@pytest.fixture
def slack(settings):
    for site in serve("127.0.0.1"):
        settings.SLACK_WEBHOOKS = {"ops": f"{site.url}/services/{SECRET}"}
        site.answer = lambda _: Answer(body=b"ok")
        yield site


@pytest.fixture
def post(attempt):
    def post(*, policy=None, **arguments):
        arguments = {"webhook": "ops", "text": "Hello", **arguments}
        client = GuardedClient(policy=policy or parse_policy(["127.0.0.1"]))
        return post_with(ActionCall(arguments=arguments, attempt=attempt), client=client)

    return post


@pytest.fixture
def refused(post):
    def refused(**arguments):
        with pytest.raises(ActionError) as caught:
            post(**arguments)
        return caught.value

    return refused


def test_a_message_is_posted_to_the_webhook_of_a_name(post, slack):
    blocks = [{"type": "divider"}]

    made = post(text="Late: a & <!channel>", blocks=blocks)

    (seen,) = slack.received
    assert made == {"status": 200}
    assert (seen.method, seen.path) == ("POST", f"/services/{SECRET}")
    assert json.loads(seen.body) == {"text": "Late: a &amp; &lt;!channel&gt;", "blocks": blocks}


def test_markup_is_sent_as_it_is_when_the_definition_says_so(post, slack):
    post(text="<https://example.org|here>", markup=True)

    assert json.loads(slack.received[0].body) == {"text": "<https://example.org|here>"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"rate_limited", "transient"),
        (500, b"server_error", "transient"),
        (400, b"invalid_payload", "permanent"),
        (404, b"channel_not_found", "permanent"),
        (302, b"", "permanent"),
    ],
)
def test_what_slack_answers_decides_whether_to_try_again(refused, slack, status, body, kind):
    slack.answer = lambda _: Answer(status=status, body=body)

    failed = refused()

    assert (failed.kind, body.decode() in failed.message) == (kind, True), failed


def test_no_failure_tells_the_address_of_a_webhook(refused, slack, settings):
    settings.SLACK_WEBHOOKS |= {
        "gone": f"http://127.0.0.1:1/{SECRET}",
        "odd": f"http://user@127.0.0.1/{SECRET}",
        "nowhere": f"https://no.such.host.invalid/{SECRET}",
    }
    slack.answer = lambda _: Answer(status=403, body=b"invalid_token")

    failures = [refused(webhook=name) for name in ("ops", "gone", "odd", "nowhere")]
    failures.append(refused(policy=EgressPolicy()))

    assert not any(SECRET in failed.message for failed in failures), failures


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"webhook": "nobody"}, "There is no webhook 'nobody'"),
        ({"text": ""}, "with/text"),
        ({"blocks": []}, "with/blocks"),
        ({"blocks": [{}]}, "with/blocks/0"),
        ({"channel": "#ops"}, "with:"),
    ],
)
def test_wrong_arguments_are_refused(refused, slack, arguments, words):
    failed = refused(**arguments)

    assert (failed.kind, words in failed.message) == ("invalid", True), failed
    assert slack.received == []


def test_it_is_there():
    assert SPEC.reference == "slack/post@1"
