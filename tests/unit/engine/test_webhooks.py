"""Signatures of webhooks: whose are believed, and which bit of a request they hang on."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from core.kernel import limits
from engine.domain.triggers import Provider
from engine.domain.webhooks import Fault, Signed, check_signature, find_secret_fault, write_secret

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECRET = write_secret(bytes(range(32)))
OTHER = write_secret(bytes(range(1, 33)))
BODY = b'{"type": "order.paid", "data": {"n": 1}}'


def hex_of(secret, content):
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def github(body=BODY, *, secret=SECRET, **headers):
    return {
        "x-hub-signature-256": f"sha256={hex_of(secret, body)}",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-event": "push",
        **headers,
    }


def standard(body=BODY, *, secret=SECRET, at=NOW, message="msg_1"):
    seconds = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.new(key, f"{message}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


def plain(body=BODY, *, secret=SECRET, at=NOW):
    seconds = str(int(at.timestamp()))
    signature = hex_of(secret, f"{seconds}.".encode() + body)
    return {"x-webhook-timestamp": seconds, "x-webhook-signature": f"sha256={signature}"}


MAKERS = {Provider.GITHUB: github, Provider.STANDARD: standard, Provider.HMAC: plain}


def check(provider, headers, body=BODY, *, secrets=(SECRET,), now=NOW):
    return check_signature(provider=provider, headers=headers, body=body, secrets=secrets, now=now)


def test_githubs_documented_value_holds():
    headers = {
        "x-hub-signature-256": "sha256="
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "x-github-delivery": "d1",
        "x-github-event": "ping",
    }
    secrets = ("It's a Secret to Everybody",)

    taken = check(Provider.GITHUB, headers, b"Hello, World!", secrets=secrets)

    assert taken == Signed(secret_index=0, key="d1", id="d1", type="ping")
    assert check(Provider.GITHUB, headers, b"Hello, World?", secrets=secrets) is Fault.FORGED


def test_the_documented_value_of_standard_webhooks_holds():
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    taken = check(
        Provider.STANDARD,
        headers,
        b'{"test": 2432232314}',
        secrets=("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
        now=datetime.fromtimestamp(1614265330, tz=UTC),
    )

    assert isinstance(taken, Signed)
    assert taken.key == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize("provider", Provider)
def test_what_is_signed_is_believed_and_any_other_body_or_secret_is_not(provider):
    headers = MAKERS[provider]()

    assert isinstance(check(provider, headers), Signed)
    assert check(provider, headers, secrets=(OTHER,)) is Fault.FORGED
    assert check(provider, headers, secrets=()) is Fault.FORGED
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert check(provider, headers, changed) is Fault.FORGED


@pytest.mark.parametrize("provider", Provider)
def test_either_of_two_secrets_is_told_apart(provider):
    taken = check(provider, MAKERS[provider](secret=OTHER), secrets=(SECRET, OTHER))

    assert isinstance(taken, Signed)
    assert taken.secret_index == 1


@pytest.mark.parametrize("provider", [Provider.STANDARD, Provider.HMAC])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_signature_of_another_time_is_old(provider, sign):
    headers = MAKERS[provider](at=NOW)

    assert isinstance(check(provider, headers, now=NOW + sign * limits.HOOK_TOLERANCE), Signed)
    late = NOW + sign * (limits.HOOK_TOLERANCE + timedelta(seconds=1))
    assert check(provider, headers, now=late) is Fault.OLD
    assert check(provider, headers, secrets=(OTHER,), now=late) is Fault.FORGED


@pytest.mark.parametrize(
    ("provider", "name", "value"),
    [
        (Provider.GITHUB, "x-hub-signature-256", ""),
        (Provider.GITHUB, "x-hub-signature-256", "sha1=" + "a" * 40),
        (Provider.GITHUB, "x-hub-signature-256", "sha256=" + "é" * 64),
        (Provider.GITHUB, "x-hub-signature-256", "sha256=" + "A" * 64),
        (Provider.GITHUB, "x-github-delivery", ""),
        (Provider.GITHUB, "x-github-delivery", "a" * 201),
        (Provider.GITHUB, "x-github-event", "push\x00"),
        (Provider.STANDARD, "webhook-id", ""),
        (Provider.STANDARD, "webhook-timestamp", "soon"),
        (Provider.STANDARD, "webhook-timestamp", "9" * 12),
        (Provider.STANDARD, "webhook-timestamp", "٣"),
        (Provider.STANDARD, "webhook-signature", "v1"),
        (Provider.STANDARD, "webhook-signature", "v1,not base64"),
        (Provider.STANDARD, "webhook-signature", "v1,\udcff"),
        (Provider.STANDARD, "webhook-signature", "v2," + "A" * 43 + "="),
        (Provider.HMAC, "x-webhook-timestamp", "-1"),
        (Provider.HMAC, "x-webhook-timestamp", "1e9"),
        (Provider.HMAC, "x-webhook-signature", "sha256="),
    ],
)
def test_a_malformed_header_is_a_missing_signature(provider, name, value):
    headers = {**MAKERS[provider](), name: value}

    assert check(provider, headers) is Fault.UNSIGNED


def test_of_several_signatures_one_has_to_hold():
    wrong, right = standard(secret=OTHER), standard()
    both = f"v1a,x {wrong['webhook-signature']} {right['webhook-signature']}"
    headers = {**right, "webhook-signature": both}

    assert isinstance(check(Provider.STANDARD, headers), Signed)


def test_a_secret_that_is_no_key_lets_nothing_through():
    headers = standard()

    assert check(Provider.STANDARD, headers, secrets=("no base64, surely",)) is Fault.FORGED


@pytest.mark.parametrize(
    ("provider", "secret", "is_good"),
    [
        (Provider.GITHUB, "a" * 16, True),
        (Provider.GITHUB, "a" * 15, False),
        (Provider.HMAC, "two\nlines of secret", False),
        (Provider.HMAC, " " * 20, False),
        (Provider.STANDARD, SECRET, True),
        (Provider.STANDARD, "a" * 30, False),
        (Provider.STANDARD, "whsec_" + base64.b64encode(b"a" * 23).decode(), False),
        (Provider.STANDARD, "whsec_" + base64.b64encode(b"a" * 24).decode(), True),
        (Provider.STANDARD, "whsec_" + base64.b64encode(b"a" * 65).decode(), False),
    ],
)
def test_a_secret_is_long_enough_and_what_its_provider_takes(provider, secret, is_good):
    assert (find_secret_fault(secret, provider=provider) is None) is is_good
