"""Signing what is posted to others. Source: Standard Webhooks 1.0.0."""

import base64
from datetime import UTC, datetime

import pytest

from audit.domain.webhook_signing import find_key, sign


def test_the_published_example_is_signed_as_published():
    # Source: Standard Webhooks, the example of its reference libraries.
    key = find_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert key is not None

    headers = dict(
        sign(
            key=key,
            message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
            at=datetime.fromtimestamp(1_614_265_330, tz=UTC),
            body=b'{"test": 2432232314}',
        )
    )

    assert headers == {
        "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": "1614265330",
        "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("count", [24, 64])
def test_a_key_may_come_with_its_prefix_or_without(count):
    text = base64.b64encode(b"k" * count).decode()

    assert find_key(text) == find_key(f"whsec_{text}") == b"k" * count


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "no base64!",
        base64.b64encode(b"k" * 23).decode(),
        base64.b64encode(b"k" * 65).decode(),
    ],
)
def test_anything_else_is_no_key(secret):
    assert find_key(secret) is None
