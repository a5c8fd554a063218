"""Log lines carry no secrets."""

import pytest

from core.settings.logs import hide_secrets


@pytest.mark.parametrize(
    "name", ["password", "new_password", "api_key", "Authorization", "cookie", "session_key"]
)
def test_a_value_with_a_secret_name_is_hidden(name):
    assert hide_secrets(None, "info", {"event": "x", name: "v"})[name] == "[hidden]"


@pytest.mark.parametrize(
    "text",
    [
        "token cs_0123456789abcdef leaked",
        "Authorization: Token 0123456789",
        "Authorization: Bearer 0123456789",
        "postgresql://owner:0123456789@db/x",
    ],
)
def test_a_secret_inside_a_text_is_hidden(text):
    event = hide_secrets(None, "info", {"event": text, "detail": text})

    assert "0123456789" not in event["event"]
    assert "0123456789" not in event["detail"]
    assert "[hidden]" in event["event"]


def test_other_values_stay_as_they_are():
    event = {"event": "request", "path": "/api/v1/runs/", "status": 200, "css_class": "x"}

    assert hide_secrets(None, "info", dict(event)) == event
