"""Reading CloudEvents 1.0. Read `CloudEvent`, then `read_structured` and `read_binary`.

Source: CloudEvents 1.0.2 with its JSON event format and HTTP protocol binding. Of `data` only JSON
maps are taken, because what waits for an event tells it apart by the fields of its data.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.types import Json

_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype")
_REQUIRED = ("specversion", "id", "source", "type")
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json(?:\s*;.*)?", re.IGNORECASE)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """An event as its sender describes it. `source` and `id` together name it."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    data: Mapping[str, Json]

    def context(self) -> dict[str, str]:
        """Return what expressions see of it beside its type and data."""
        return {"id": self.id, "source": self.source, "subject": self.subject, "time": self.time}


def read_structured(value: Json, *, path: str = "") -> CloudEvent | list[Problem]:
    """Read an event in the JSON event format; or return what is wrong, below `path`.

    Extension attributes are accepted and not kept.
    """
    if not isinstance(value, dict):
        return [Problem(path=path, message="An event is a JSON map.")]
    problems = [
        Problem(path=f"{path}/{name}", message="It must be a text.")
        for name in _ATTRIBUTES
        if name in value and not isinstance(value[name], str)
    ]
    if "data_base64" in value:
        message = "Binary data is not taken; send a JSON map as `data`."
        problems.append(Problem(path=f"{path}/data_base64", message=message))
    if problems:
        return problems
    attributes = {name: str(value[name]) for name in _ATTRIBUTES if name in value}
    return _read(attributes, value.get("data", {}), path=path)


def read_binary(headers: Mapping[str, str], data: Json) -> CloudEvent | list[Problem]:
    """Read an event whose attributes are in `ce-…` headers, whose names are lower-case.

    Values are percent-encoded. Source: HTTP protocol binding §3.1.3.
    """
    attributes = {
        name: unquote(headers[f"ce-{name}"]) for name in _ATTRIBUTES if f"ce-{name}" in headers
    }
    return _read(attributes, data, path="")


def _read(attributes: Mapping[str, str], data: Json, *, path: str) -> CloudEvent | list[Problem]:
    problems = [
        Problem(path=f"{path}/{name}", message="It is required.")
        for name in _REQUIRED
        if not attributes.get(name)
    ]
    problems += [
        Problem(path=f"{path}/{name}", message=message)
        for name, message in _faults(attributes).items()
    ]
    if not isinstance(data, dict):
        problems.append(Problem(path=f"{path}/data", message="The data must be a JSON map."))
        return problems
    if problems:
        return problems
    return CloudEvent(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes.get("subject", ""),
        time=attributes.get("time", ""),
        data=data,
    )


def _faults(attributes: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if attributes.get("specversion", "1.0") != "1.0":
        found["specversion"] = "Only version 1.0 is read."
    for name in ("id", "source", "subject"):
        text = attributes.get(name, "")
        if len(text) > limits.EVENT_SOURCE_CHARS_MAX or not text.isprintable():
            most = limits.EVENT_SOURCE_CHARS_MAX
            found[name] = f"It has at most {most} characters, all of them printable."
    content_type = attributes.get("datacontenttype", "application/json")
    if not _JSON_TYPE.fullmatch(content_type):
        found["datacontenttype"] = "Only JSON is read."
    if not _is_instant(attributes.get("time", "")):
        found["time"] = "It is not an RFC 3339 instant such as `2026-01-31T12:00:00Z`."
    return found


def _is_instant(text: str) -> bool:
    if not text:
        return True
    if not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True
