"""The one written form of an entry: which keys, which values, which bytes.

Read `_FIELDS` first: one pattern a key, and together the grammar of an entry. `write` puts the
literals in their canonical order and checks them against the grammar, so nothing is written that
could not be read; `parse` accepts nothing else, so an entry with doubled, missing, unknown or
reordered keys, or another spelling of the same value, does not pass. The bytes are those of
RFC 8785 (held by `tests/properties/audit/test_entry.py`); the grammar is three times as fast as
a JSON parser and an encoder, and every transition of every run waits for it.
Source: the ledger's specification §1; RFC 8785 §3.2.2.2 for strings.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring

from audit.domain.errors import EntryInvalidError
from core.kernel.canonical import UncanonicalError, entry_bytes
from core.kernel.record import ActorKind, Via
from core.kernel.types import Json, JsonLike

ENTRY_VERSION = 1

# A string's inside: no raw control characters, the shortest escape of each, nothing else escaped.
_PLAIN = r'[^"\\\x00-\x1f]*+'
_CONTROL = r"u00(?:0[1-7bef]|1[0-9a-f])"  # without NUL: PostgreSQL's text columns hold none
_COLUMN = rf'{_PLAIN}(?:\\(?:["\\bfnrt]|{_CONTROL}){_PLAIN})*+'
_INSIDE = rf'{_PLAIN}(?:\\(?:["\\bfnrt]|u0000|{_CONTROL}){_PLAIN})*+'
_DIGEST = r"[0-9a-f]{64}"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TEXT = rf'null|"(?!"){_INSIDE}"'
_ACTOR = rf'\{{"id":"(?!"){_COLUMN}","kind":"(?:{"|".join(ActorKind)})"\}}'
_COMMITMENT = rf'"[A-Za-z0-9][A-Za-z0-9_.:/#-]{{0,199}}":"{_DIGEST}"'

# Every key of an entry with the pattern of its literal, in canonical order.
_FIELDS: Mapping[str, str] = {
    "actor": _ACTOR,
    "at": r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"',
    "auth": _TEXT,
    "data": r"\{.*\}",  # canonical JSON of its own, checked by `parse`
    "from": _TEXT,
    "kind": r'"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*"',
    "on_behalf_of": rf"null|{_ACTOR}",
    "payloads": rf"\{{(?:{_COMMITMENT}(?:,{_COMMITMENT})*+)?\}}",
    "policy": _TEXT,
    "prev": rf'"{_DIGEST}"',
    "reason": _TEXT,
    "request_id": _TEXT,
    "scope": rf'null|"{_UUID}"',
    "seq": r"[1-9][0-9]{0,15}",
    "shown": rf'null|"{_DIGEST}"',
    "source": rf'null|"{_DIGEST}"',
    "stream": rf'"{_UUID}"',
    "subject": rf'null|"(?!"){_COLUMN}"',
    "to": _TEXT,
    "v": str(ENTRY_VERSION),
    "version": rf'null|"{_DIGEST}"',
    "via": rf'"(?:{"|".join(Via)})"',
}
KEYS = tuple(_FIELDS)

_GRAMMAR = re.compile(
    r"\{" + ",".join(f'"{key}":(?P<{key}>{pattern})' for key, pattern in _FIELDS.items()) + r"\}"
)
_TEMPLATE = "{" + ",".join(f'"{key}":%({key})s' for key in _FIELDS) + "}"


def write(literals: Mapping[str, str]) -> bytes:
    """Write an entry's canonical bytes.

    Args:
        literals: the JSON text of every key of an entry.

    Raises:
        EntryInvalidError: if a literal cannot stand in an entry; `details["field"]` names it.
    """
    text = _TEMPLATE % literals
    if _GRAMMAR.fullmatch(text) is None:
        raise _describe(literals)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise EntryInvalidError(f"A text of the entry is not Unicode: {error}.") from error


def parse(body: bytes) -> Mapping[str, str]:
    """Read an entry's canonical bytes into the literal of each key.

    Raises:
        EntryInvalidError: if the bytes are not an entry in its one form.
    """
    try:
        match = _GRAMMAR.fullmatch(body.decode())
        if match is None:
            raise EntryInvalidError("Not a ledger entry in canonical form.")
        literals = match.groupdict()
        read_instant(literals["at"])
        if write_data(read_data(literals["data"])) != literals["data"]:
            raise EntryInvalidError("data: not in canonical form.", field="data")
        if write_commitments(read_commitments(literals["payloads"])) != literals["payloads"]:
            raise EntryInvalidError("payloads: not in canonical order.", field="payloads")
    except (ValueError, RecursionError, UncanonicalError) as error:
        raise EntryInvalidError(f"Not a ledger entry: {error}.") from error
    return literals


def write_text(value: str) -> str:
    """Return the literal of a text; nothing is always null, so that there is one way to say it."""
    return encode_basestring(value) if value else "null"


def write_actor(*, actor_id: str, kind: str) -> str:
    """Return the literal of an actor."""
    return f'{{"id":{encode_basestring(actor_id)},"kind":{encode_basestring(kind)}}}'


def read_text(literal: str) -> str:
    """Return what `write_text` was given."""
    if literal == "null":
        return ""
    if "\\" in literal:
        text: str = json.loads(literal)
        return text
    return literal[1:-1]


def read_actor_id(literal: str) -> str:
    """Return the id in what `write_actor` returned."""
    return read_text(literal.rpartition(',"kind":')[0].removeprefix('{"id":'))


def write_data(value: Mapping[str, JsonLike]) -> str:
    """Return the literal of an object in the restricted profile.

    Raises:
        UncanonicalError: if it is outside the profile.
    """
    return entry_bytes(value).decode() if value else "{}"


def write_commitments(commitments: Mapping[str, str]) -> str:
    """Return the literal of commitments (hex) by name. The grammar checks both afterwards."""
    members = [f'{encode_basestring(name)}:"{commitments[name]}"' for name in sorted(commitments)]
    return f"{{{','.join(members)}}}"


def read_commitments(literal: str) -> dict[str, str]:
    """Return what `write_commitments` was given. No name holds a quote or a backslash."""
    if literal == "{}":
        return {}
    members = [member.split('":"') for member in literal[2:-2].split('","')]
    return dict(members)


def read_data(literal: str) -> Mapping[str, Json]:
    """Return what `write_data` was given."""
    value: dict[str, Json] = json.loads(literal) if literal != "{}" else {}
    return value


def write_instant(at: datetime) -> str:
    """Return the literal of an instant in UTC, with microseconds and `Z`."""
    return f'"{at.isoformat(timespec="microseconds")[:-6]}Z"'


def read_instant(literal: str) -> datetime:
    """Return what `write_instant` was given.

    Raises:
        ValueError: if there is no such instant.
    """
    return datetime.fromisoformat(literal[1:-1])


def in_utc(at: datetime) -> datetime:
    """Return the same instant in UTC.

    Raises:
        EntryInvalidError: if it has no time zone.
    """
    if at.tzinfo is UTC:
        return at
    if at.utcoffset() is None:
        raise EntryInvalidError(f"The instant {at.isoformat()} has no time zone.", field="at")
    return at.astimezone(UTC)


def _describe(literals: Mapping[str, str]) -> EntryInvalidError:
    """Name the field that breaks the grammar; only called when one does."""
    field = next(
        key for key, pattern in _FIELDS.items() if re.fullmatch(pattern, literals[key]) is None
    )
    message = f"{field}: {literals[field][:200]} cannot stand in an entry."
    return EntryInvalidError(message, field=field)
