"""How a deployment names where the ledger goes: anchors and sinks. Read `read_list`.

Shapes only; what a URL or a key says is read where it is used. A secret never stands here: an item
names the environment variable or the file that has it.
"""

import json
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

Item: TypeAlias = dict[str, Any]

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PREFIX: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]*)?")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_VERIFIER: Final = re.compile(r"[^\s+]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}")
_PORT_MAX: Final = 65_535
_MESSAGE_BYTES_MIN: Final = 2_048  # what every receiver must take. Source: RFC 5425 §4.3.1
_MESSAGE_BYTES_MAX: Final = 200_000  # an entry has 65,535 at most, and a mapping says it anew
_ENTERPRISE_MAX: Final = 2**31 - 1
_NAME_COUNT_MAX: Final = 32


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= 2_000  # noqa: PLR2004


def _is_path(value: object) -> bool:
    return isinstance(value, str) and _is_text(value) and PurePath(value).is_absolute()


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or not _is_text(value):
        return False
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        return False
    if "@" in parts.netloc or not host:
        return False
    # A collector on the machine itself needs no TLS.
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _one_of(*values: str) -> Callable[[object], bool]:
    return lambda value: value in values


def _number(least: int, most: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _is_prefixes(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) and _PREFIX.fullmatch(item) for item in value
    )


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_ENDPOINT: Final = {
    "url": (_is_url, "an https:// address"),
    "private": (_is_flag, "true or false"),
    "ca_file": (_is_path, "an absolute path"),
}
_SECRET: Final = {
    "secret_env": (_matches(_VARIABLE), "the name of an environment variable"),
    "secret_file": (_is_path, "an absolute path"),
}
_FILTER: Final = {
    "format": (_one_of("entry", "cloudevents", "ocsf"), "entry, cloudevents or ocsf"),
    "kinds": (_is_prefixes, 'a list of beginnings of kinds, such as ["access.", "vote."]'),
    "start": (_one_of("beginning", "now"), "beginning or now"),
}
_Fields: TypeAlias = Mapping[str, tuple[Callable[[object], bool], str]]
Kinds: TypeAlias = Mapping[str, tuple[_Fields, frozenset[str]]]

# Kind → what an item of it may have; the names in the second part it must have.
ANCHOR_KINDS: Final[Kinds] = MappingProxyType(
    {
        "file": ({"folder": (_is_path, "an absolute path")}, frozenset({"folder"})),
        "webhook": ({**_ENDPOINT, **_SECRET}, frozenset({"url"})),
        "witness": (
            {**_ENDPOINT, "vkey": (_matches(_VERIFIER), "a verifier key, name+id+base64")},
            frozenset({"url", "vkey"}),
        ),
    }
)
SINK_KINDS: Final[Kinds] = MappingProxyType(
    {
        "syslog": (
            {
                **_FILTER,
                "host": (_is_text, "a host name or address"),
                "port": (_number(1, _PORT_MAX), "a port"),
                "private": _ENDPOINT["private"],
                "ca_file": _ENDPOINT["ca_file"],
                "certificate_file": (_is_path, "an absolute path"),
                "key_file": (_is_path, "an absolute path"),
                "message_bytes_max": (
                    _number(_MESSAGE_BYTES_MIN, _MESSAGE_BYTES_MAX),
                    f"a number from {_MESSAGE_BYTES_MIN} to {_MESSAGE_BYTES_MAX}",
                ),
                "enterprise": (_number(1, _ENTERPRISE_MAX), "a private enterprise number"),
                "confirm": (_one_of("notify", "close"), "notify or close"),
            },
            frozenset({"host"}),
        ),
        "https": ({**_ENDPOINT, **_SECRET, **_FILTER}, frozenset({"url"})),
    }
)
_SECRET_KINDS: Final = frozenset({"webhook", "https"})


def read_list(
    text: str,
    *,
    kinds: Kinds,
    secret_of: Callable[[str], str],
) -> list[Item]:
    """Return the items of a JSON list, checked, each with a `secret` where its variable is set.

    Args:
        text: the variable's text.
        kinds: what may be in it: `ANCHOR_KINDS` or `SINK_KINDS`.
        secret_of: gives the text of an environment variable, "" if it is not set.

    Raises:
        ValueError: for what cannot be, in words that complete "LEDGER_SINKS …".
    """
    try:
        items = json.loads(text)
    except ValueError as error:
        raise ValueError("is not JSON") from error
    if not isinstance(items, list) or len(items) > _NAME_COUNT_MAX:
        raise ValueError(f"is not a JSON list of at most {_NAME_COUNT_MAX} objects")
    found = [_read_item(item, kinds=kinds, place=n) for n, item in enumerate(items, start=1)]
    names = [item["name"] for item in found]
    if len(set(names)) < len(names):
        raise ValueError("has two items of one name")
    for item in found:
        if "secret_env" in item:
            item["secret"] = secret_of(item["secret_env"])
    return found


def _read_item(item: object, *, kinds: Kinds, place: int) -> Item:
    if not isinstance(item, dict):
        raise ValueError(f"has an item, number {place}, that is no object")  # noqa: TRY004
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(
            f"has an item, number {place}, whose kind is {kind!r}, not one of {', '.join(kinds)}"
        )
    if not isinstance(item.get("name"), str) or not _NAME.fullmatch(item["name"]):
        raise ValueError(
            f"has an item, number {place}, without a name of lower-case letters, digits and hyphens"
        )
    _check(item, kind=kind, given=kinds[kind], about=f"has {item['name']!r}")
    return dict(item)


def _check(
    item: Mapping[str, object], *, kind: str, given: tuple[_Fields, frozenset[str]], about: str
) -> None:
    fields, needed = given
    for key, value in item.items():
        if key in {"kind", "name"}:
            continue
        if key not in fields:
            raise ValueError(f"{about}, whose {key!r} means nothing for {kind!r}")
        is_sound, shape = fields[key]
        if not is_sound(value):
            raise ValueError(f"{about}, whose {key} is not {shape}")
    for key in sorted(needed - set(item)):
        raise ValueError(f"{about}, which says no {key}")
    if kind in _SECRET_KINDS and ("secret_env" in item) == ("secret_file" in item):
        raise ValueError(f"{about}, which needs one of secret_env and secret_file")
    if ("certificate_file" in item) != ("key_file" in item):
        raise ValueError(f"{about}, which needs certificate_file and key_file, or neither")
