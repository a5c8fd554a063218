"""Entries as CloudEvents, OCSF events and lines: what each format requires."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from audit.domain import document
from audit.domain.entry import StreamHead, extend, leaf_hash, read_entry
from audit.domain.mapping import OCSF_VERSION, to_cloud_event, to_ocsf
from audit.domain.tabular import CSV_COLUMNS, defuse, to_csv_row, to_json_line, write_csv
from core.kernel.record import Actor, ActorKind, Origin, Via
from tests.fakes.drafts import AT, ORIGIN, PERSON, SCOPE, STREAM, counting_salts, draft

SOURCE = "https://countersign.example.org"
USER = "0198c0de-0000-7000-8000-0000000000cc"

# What each class of OCSF 1.3.0 requires beside the base event's attributes.
REQUIRED = {
    3001: {"user"},
    3002: {"user", "service"},
    3004: {"entity"},
    3005: {"user", "privileges"},
    3006: {"group"},
    6003: {"actor", "api", "src_endpoint"},
}
ACTIVITIES = {
    3001: {*range(12), 99},
    3002: {*range(7), 99},
    3004: {*range(5), 99},
    3005: {0, 1, 2, 99},
    3006: {*range(7), 99},
    6003: {0, 1, 2, 3, 4, 99},
}


def view(**changes):
    body = body_of(**changes)
    return read_entry(body)


def body_of(**changes):
    (entry,) = extend(
        head=StreamHead(stream=STREAM), drafts=[draft(**changes)], salts=counting_salts()
    )[1]
    return entry.body


KINDS = {
    "user.created": (3001, 1, {}),
    "user.activated": (3001, 2, {}),
    "user.deactivated": (3001, 5, {}),
    "user.changed": (3001, 99, {"fields": ["title"]}),
    "session.begun": (3002, 1, {}),
    "session.ended": (3002, 2, {}),
    "sessions.ended": (3002, 2, {}),
    "team.created": (3006, 6, {"team": 7}),
    "member.added": (3006, 3, {"team": 7}),
    "member.removed": (3006, 4, {"team": 7}),
    "token.created": (3004, 1, {}),
    "token.revoked": (3004, 4, {}),
    "secret.changed": (3004, 3, {}),
    "setting.changed": (3004, 3, {}),
    "version.published": (3004, 3, {}),
    "run.started": (6003, 1, {}),
    "run.closed": (6003, 3, {}),
    "vote.cast": (6003, 1, {}),
    "export.downloaded": (6003, 2, {}),
    "access.refused": (6003, 3, {"permission": "view_audit"}),
    "noun.never-seen": (6003, 3, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_ocsf_event_has_its_class_and_what_that_requires(kind):
    class_uid, activity_id, data = KINDS[kind]

    event = to_ocsf(
        view(kind=kind, subject=USER, data=data), leaf_index=5, source=SOURCE, leaf_hex="ab" * 32
    )

    assert (event["class_uid"], event["activity_id"]) == (class_uid, activity_id)
    check_ocsf(event)


@pytest.mark.parametrize(
    ("kind", "data", "class_uid", "holder"),
    [
        ("role.assigned", {"role": "auditor", "user": USER, "team": None}, 3005, "user"),
        ("role.revoked", {"role": "auditor", "user": None, "team": 7}, 3006, "group"),
        (
            "project.shared",
            {"permission": "view_project", "user": USER, "team": None},
            3005,
            "user",
        ),
        (
            "project.unshared",
            {"permission": "view_project", "user": None, "team": 7},
            3006,
            "group",
        ),
    ],
)
def test_what_was_given_names_who_got_it(kind, data, class_uid, holder):
    event: Any = to_ocsf(view(kind=kind, subject="x", data=data), leaf_index=0, source=SOURCE)

    assert event["class_uid"] == class_uid
    assert event["privileges"] == [data.get("role") or data["permission"]]
    assert event[holder]["uid"] == (USER if holder == "user" else "7")
    check_ocsf(event)


@pytest.mark.parametrize("kind", ["role.assigned", "member.added", "project.shared"])
def test_an_entry_without_the_expected_data_still_maps(kind):
    event: Any = to_ocsf(view(kind=kind), leaf_index=None, source=SOURCE)

    assert event["class_uid"] == 6003
    assert "sequence" not in event["metadata"]
    check_ocsf(event)


def test_a_refusal_is_a_failure_that_somebody_should_look_at():
    refused: Any = to_ocsf(
        view(kind="access.refused", policy="no role", reason="roles"), leaf_index=1, source=SOURCE
    )
    done: Any = to_ocsf(view(policy="role approver"), leaf_index=1, source=SOURCE)

    assert (refused["status_id"], refused["severity_id"]) == (2, 3)
    assert refused["status_code"] == "roles"
    assert refused["actor"]["authorizations"][0]["decision"] == "denied"
    assert (done["status_id"], done["severity_id"]) == (1, 1)
    assert done["actor"]["authorizations"][0]["decision"] == "allowed"


@pytest.mark.parametrize("kind", ActorKind)
def test_every_kind_of_actor_is_a_user_of_some_type(kind):
    origin = Origin(actor=Actor(id="x", kind=kind), via=Via.API)

    event: Any = to_ocsf(view(origin=origin), leaf_index=0, source=SOURCE)

    assert event["actor"]["user"]["type_id"] in {1, 3, 99}
    check_ocsf(event)


def test_a_cloud_event_names_its_entry_and_holds_all_of_it():
    entry = full()
    body = json.loads(body_of(**FULL))

    event = to_cloud_event(entry, leaf_index=2**40, source=SOURCE, leaf_hex="cd" * 32)

    check_cloud_event(event)
    assert event["id"] == f"{STREAM}/1"
    assert event["type"] == "countersign.vote.cast"
    assert event["time"] == "2026-01-02T03:04:05.000678Z"
    assert event["leafindex"] == str(2**40)
    assert event["leafhash"] == "cd" * 32
    assert event["data"] == body
    assert event["subject"] == "request:1"


def test_a_cloud_event_of_an_entry_that_says_little_has_no_empty_attributes():
    event = to_cloud_event(view(), leaf_index=None, source=SOURCE)

    check_cloud_event(event)
    assert not {"subject", "leafindex", "leafhash"} & event.keys()


def test_a_json_line_holds_the_exact_bytes():
    body = body_of(**FULL)

    line = to_json_line(body, leaf_index=9, leaf=leaf_hash(body))

    assert line.endswith(b"\n")
    assert body in line
    read = json.loads(line)
    assert read == {
        "entry": json.loads(body),
        "leaf": leaf_hash(body).hex(),
        "leaf_index": 9,
    }
    assert list(read) == sorted(read)


def test_a_csv_row_has_every_column_and_no_formula():
    origin = Origin(actor=PERSON, via=Via.API, request_id="=cmd|' /C calc'!A0")
    entry = view(origin=origin, subject="@SUM(1,2)", reason='a "b"\r\nc', data={"a": [1, "é"]})
    leaf = b"\x01" * 32

    text = write_csv([CSV_COLUMNS, to_csv_row(entry, leaf_index=3, leaf=leaf)]).decode()

    header, row = csv.reader(io.StringIO(text, newline=""))
    cells = dict(zip(header, row, strict=True))
    assert cells["request_id"] == "'=cmd|' /C calc'!A0"
    assert cells["subject"] == "'@SUM(1,2)"
    assert cells["reason"] == 'a "b"\r\nc'
    assert json.loads(cells["data"]) == {"a": [1, "é"]}
    assert (cells["leaf_index"], cells["seq"], cells["actor"]) == ("3", "1", PERSON.id)
    assert cells["on_behalf_of"] == ""
    assert set(document.KEYS) - {"v"} <= set(header)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_what_begins_a_formula_begins_with_an_apostrophe(start):
    assert defuse(f"{start}1") == f"'{start}1"
    assert defuse(f"1{start}") == f"1{start}"


FULL = {
    "origin": Origin(
        actor=PERSON,
        via=Via.API,
        auth="token",
        request_id="req-1",
        on_behalf_of=ORIGIN.actor,
        source_address="192.0.2.1",
    ),
    "subject": "request:1",
    "data": {"n": 1, "texts": ["é", None]},
    "payloads": {"comment": "x"},
    "version": "ab" * 32,
    "state_from": "OPEN",
    "state_to": "CLOSED",
    "shown": "cd" * 32,
    "policy": "role approver",
    "reason": "fine",
    "scope": SCOPE,
}


def full():
    return view(**FULL)


def check_cloud_event(event):
    for name in ("specversion", "id", "source", "type"):
        assert isinstance(event[name], str)
        assert event[name]
    assert event["specversion"] == "1.0"
    for name, value in event.items():
        assert re.fullmatch(r"[a-z0-9]{1,20}", name), name
        assert name == "data" or (isinstance(value, str) and value), name
    assert datetime.fromisoformat(event["time"]).tzinfo == UTC


def check_ocsf(event):
    for name in ("category_uid", "class_uid", "activity_id", "type_uid", "severity_id", "time"):
        assert isinstance(event[name], int), name
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["category_uid"] == event["class_uid"] // 1000
    assert event["activity_id"] in ACTIVITIES[event["class_uid"]]
    assert event["time"] == int(AT.timestamp() * 1000)
    assert event["severity_id"] in range(1, 7)
    assert event["metadata"]["version"] == OCSF_VERSION
    assert event["metadata"]["product"]["vendor_name"]
    assert event["metadata"]["uid"] == f"{STREAM}/1"
    assert event["actor"]["user"]["uid"]
    assert event["api"]["operation"]
    missing = REQUIRED[event["class_uid"]] - event.keys()
    assert not missing, missing
    json.dumps(event, allow_nan=False)
