"""LEDGER_ANCHORS and LEDGER_SINKS: what they may say, and how they say what is wrong."""

import json

import pytest

from core.settings.env import Profile, SettingsError, load

VKEY = "witness.example/w1+773a6c12+BMhTrQ8M0rYZrqks7sT9VqJNZJnVhM55JX5Fz9gTm2Cn"
FILE = {"name": "vault", "kind": "file", "folder": "/mnt/locked"}
HOOK = {"name": "hook", "kind": "webhook", "url": "https://a.example/h", "secret_env": "HOOK_KEY"}
WITNESS = {"name": "w", "kind": "witness", "url": "https://w.example/w1", "vkey": VKEY}
SYSLOG = {"name": "siem", "kind": "syslog", "host": "siem.example"}
HTTPS = {"name": "lake", "kind": "https", "url": "https://a.example", "secret_file": "/run/s"}


def _load(**variables):
    texts = {
        key: item if isinstance(item, str) else json.dumps(item) for key, item in variables.items()
    }
    return load(profile=Profile.TEST, variables=texts)


def test_nothing_goes_anywhere_by_default():
    environment = _load()

    assert list(environment.ledger_anchors) == list(environment.ledger_sinks) == []
    assert environment.ledger_anchor_seconds == 300


def test_every_kind_is_read_with_its_secret():
    environment = _load(
        LEDGER_ANCHORS=[FILE, HOOK, WITNESS], LEDGER_SINKS=[SYSLOG, HTTPS], HOOK_KEY=" whsec_x "
    )

    assert [item["name"] for item in environment.ledger_anchors] == ["vault", "hook", "w"]
    assert environment.ledger_anchors[1]["secret"] == "whsec_x"
    assert [item["kind"] for item in environment.ledger_sinks] == ["syslog", "https"]


def test_a_process_that_needs_no_secret_starts_without_it():
    assert _load(LEDGER_ANCHORS=[HOOK]).ledger_anchors[0]["secret"] == ""


@pytest.mark.parametrize(
    ("anchors", "reason"),
    [
        ("{", "is not JSON"),
        ({}, "is not a JSON list"),
        ([1], "number 1, that is no object"),
        ([{"name": "a"}], "whose kind is None, not one of file, webhook, witness"),
        ([SYSLOG], "whose kind is 'syslog'"),
        ([{**FILE, "name": "A b"}], "without a name of lower-case letters"),
        ([FILE, FILE], "two items of one name"),
        ([{**FILE, "folder": "relative"}], "'vault', whose folder is not an absolute path"),
        ([{**FILE, "url": "https://a"}], "'vault', whose 'url' means nothing for 'file'"),
        ([{"name": "x", "kind": "file"}], "'x', which says no folder"),
        ([{**HOOK, "url": "http://a.example"}], "whose url is not an https:// address"),
        ([{**HOOK, "url": "http://127.evil.example"}], "whose url is not an https:// address"),
        ([{**HOOK, "url": "http://localhost.evil.example"}], "whose url is not an https://"),
        ([{**HOOK, "url": "https://["}], "whose url is not an https:// address"),
        ([{**HOOK, "url": "https://u:p@a.example"}], "whose url is not an https:// address"),
        ([{**HOOK, "secret": "whsec_x"}], "whose 'secret' means nothing"),
        ([{**HOOK, "secret_file": "/x"}], "needs one of secret_env and secret_file"),
        ([{**HOOK, "secret_env": "lower"}], "secret_env is not the name of an environment"),
        ([{**HOOK, "private": "yes"}], "private is not true or false"),
        ([{**WITNESS, "vkey": "nothing"}], "vkey is not a verifier key"),
        ([{**WITNESS, "secret_env": "X"}], "'secret_env' means nothing for 'witness'"),
    ],
)
def test_what_cannot_be_an_anchor_is_named(anchors, reason):
    with pytest.raises(SettingsError, match="LEDGER_ANCHORS") as caught:
        _load(LEDGER_ANCHORS=anchors)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"port": 0}, "port is not a port"),
        ({"port": True}, "port is not a port"),
        ({"format": "cef"}, "format is not entry, cloudevents or ocsf"),
        ({"kinds": "vote."}, "kinds is not a list of beginnings"),
        ({"kinds": ["Vote"]}, "kinds is not a list of beginnings"),
        ({"start": "later"}, "start is not beginning or now"),
        ({"message_bytes_max": 480}, "message_bytes_max is not a number from 2048"),
        ({"certificate_file": "/c"}, "needs certificate_file and key_file, or neither"),
        ({"confirm": "never"}, "confirm is not notify or close"),
        ({"host": ""}, "host is not a host name"),
    ],
)
def test_what_cannot_be_a_sink_is_named(change, reason):
    with pytest.raises(SettingsError, match="LEDGER_SINKS") as caught:
        _load(LEDGER_SINKS=[{**SYSLOG, **change}])

    assert reason in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]/x"])
def test_only_the_machine_itself_is_spoken_to_in_the_clear(url):
    assert _load(LEDGER_SINKS=[{**HTTPS, "url": url}]).ledger_sinks[0]["url"] == url
