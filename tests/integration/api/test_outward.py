"""Where the ledger goes, over the API: for those who may read all of it, and nobody else."""

import pytest

from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role


@pytest.fixture
def configured(settings):
    settings.LEDGER_ANCHORS = [{"name": "vault", "kind": "file", "folder": "/nowhere"}]
    settings.LEDGER_SINKS = [
        {"name": "siem", "kind": "syslog", "host": "siem.example"},
        {
            "name": "lake",
            "kind": "https",
            "url": "https://a.example",
            "secret": "whsec_hush",
            "secret_env": "X",
        },
    ]


def test_a_reader_of_the_whole_ledger_sees_every_way_out_and_no_secret(town, configured):
    user_id = town.user("ada").user_id
    assign_role(principal=town.system, role="auditor", scope_id=GLOBAL_SCOPE_ID, user_id=user_id)

    answer = town.as_("ada").get("ledger/outward/")

    assert answer.status_code == 200
    body = answer.json()
    assert [(item["name"], item["kind"]) for item in body["anchors"]] == [("vault", "file")]
    assert [(item["name"], item["kind"]) for item in body["sinks"]] == [
        ("siem", "syslog"),
        ("lake", "https"),
    ]
    assert body["sinks"][0] == {
        "name": "siem",
        "kind": "syslog",
        "position": 0,
        "lag": body["sinks"][0]["lag"],
        "state": "going",
        "moved_at": None,
        "attempt_count": 0,
        "next_at": None,
        "last_error": "",
        "error_at": None,
        "told_size": None,
    }
    assert "hush" not in answer.content.decode()


def test_an_auditor_of_one_project_finds_nothing(town, configured):
    user_id = town.user("aud").user_id
    assign_role(
        principal=town.system, role="auditor", scope_id=town.project.scope_id, user_id=user_id
    )

    assert town.as_("aud").get("ledger/outward/").status_code == 404
