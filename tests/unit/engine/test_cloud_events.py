"""Reading CloudEvents."""

from typing import Any

import pytest

from engine.domain.cloud_events import CloudEvent, read_binary, read_structured

EVENT = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "/cloudevents/spec/pull",
    "type": "com.github.pull.create",
}
FULL = CloudEvent(
    id="A234-1234-1234",
    source="/cloudevents/spec/pull",
    type="com.github.pull.create",
    subject="123",
    time="2018-04-05T17:31:00Z",
    data={"much": "wow"},
)


def test_both_modes_read_the_same_event():
    structured: dict[str, Any] = {
        **EVENT,
        "subject": "123",
        "time": "2018-04-05T17:31:00Z",
        "data": {"much": "wow"},
    }
    headers = {f"ce-{name}": str(value) for name, value in structured.items() if name != "data"}

    assert read_structured(structured) == FULL
    assert read_binary(headers, {"much": "wow"}) == FULL


def test_header_values_are_percent_encoded():
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {
        "ce-subject": "Gr%C3%BC%C3%9Fe"
    }

    found = read_binary(headers, {})

    assert isinstance(found, CloudEvent)
    assert found.subject == "Grüße"


def test_an_event_may_have_no_data_and_extensions_are_taken():
    found = read_structured({**EVENT, "traceparent": "00-0af7-b7ad-01", "comexampleextension1": 5})

    assert isinstance(found, CloudEvent)
    assert found.data == {}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": None}, "/specversion"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "a\nb"}, "/id"),
        ({"source": "x" * 501}, "/source"),
        ({"type": ""}, "/type"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2018-02-30T00:00:00Z"}, "/time"),
        ({"time": "2018-04-05T17:31:00"}, "/time"),
        ({"datacontenttype": "application/xml"}, "/datacontenttype"),
        ({"data": [1]}, "/data"),
        ({"data": "text"}, "/data"),
        ({"data_base64": "AA=="}, "/data_base64"),
    ],
)
def test_what_is_wrong_is_named(change, path):
    found = read_structured({**EVENT, **change}, path="/3")

    assert isinstance(found, list)
    assert [problem.path for problem in found] == [f"/3{path}"]


@pytest.mark.parametrize("value", [[], "x", None, 1])
def test_an_event_is_a_map(value):
    found = read_structured(value)

    assert isinstance(found, list)
    assert found[0].path == ""


def test_everything_missing_is_named_at_once():
    found = read_binary({}, {})

    assert isinstance(found, list)
    assert [problem.path for problem in found] == ["/specversion", "/id", "/source", "/type"]
