"""Syslog messages, and how they travel on a stream. Read `write_message`, then `frame`.

Source: RFC 5424 (the message), RFC 5425 §4.3 (the frame).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.domain.entry import EntryView

FACILITY_AUDIT: Final = 13  # log audit. Source: RFC 5424 table 1
WARNING: Final = 4
INFORMATIONAL: Final = 6
APP_NAME: Final = "countersign"
BOM: Final = b"\xef\xbb\xbf"

_ALARMING: Final = (".refused", ".failed", ".halted", ".disputed", ".stopped", ".redacted")
_MESSAGE_ID_CHARS_MAX: Final = 32
_HOST_CHARS_MAX: Final = 255
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_ESCAPED: Final = re.compile(r'(["\\\]])')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What every message of one sink has in common.

    `bytes_max` is the longest message, without its frame; `enterprise` the number that our
    structured data is named under.
    """

    host: str
    enterprise: int
    bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an entry is: its id in the database, its leaf index, and its leaf in hex."""

    entry_id: int
    leaf_index: int
    leaf_hex: str


def write_message(entry: EntryView, *, place: Place, text: str, sender: Sender) -> bytes:
    """Return an entry as one message.

    A message that would be too long keeps its header and structured data, and says instead of its
    text how long that was: receivers cut or drop long messages without a word, and half a JSON
    document is none.

    Args:
        entry: what its bytes say.
        place: where it is.
        text: what to say about it, such as a JSON document.
        sender: what all messages of the sink have in common.
    """
    head = _write_head(entry, sender=sender) + _write_data(entry, place=place, sender=sender)
    message = head + b" " + _encode(text)
    if len(message) <= sender.bytes_max:
        return message
    short = json.dumps({"left_out_bytes": len(text.encode()), "kind": entry.kind})
    return head + b" " + _encode(short)


def frame(messages: Sequence[bytes]) -> bytes:
    """Return messages as they travel: each with its number of bytes and a space before it."""
    return b"".join(b"%d %b" % (len(message), message) for message in messages)


def escape(value: str) -> str:
    """Return a value as it stands between the quotes of structured data. Source: §6.3.3."""
    return _ESCAPED.sub(r"\\\1", value)


def _write_head(entry: EntryView, *, sender: Sender) -> bytes:
    severity = WARNING if entry.kind.endswith(_ALARMING) else INFORMATIONAL
    at = entry.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = _UNPRINTABLE.sub("", sender.host)[:_HOST_CHARS_MAX] or "-"
    message_id = _UNPRINTABLE.sub("", entry.kind)[:_MESSAGE_ID_CHARS_MAX] or "-"
    line = f"<{FACILITY_AUDIT * 8 + severity}>1 {at} {host} {APP_NAME} - {message_id} "
    return line.encode("ascii")


def _write_data(entry: EntryView, *, place: Place, sender: Sender) -> bytes:
    values = {
        "id": str(place.entry_id),
        "stream": str(entry.stream),
        "seq": str(entry.seq),
        "kind": entry.kind,
        "leafIndex": str(place.leaf_index),
        "leaf": place.leaf_hex,
    }
    written = " ".join(f'{name}="{escape(value)}"' for name, value in values.items())
    return f"[countersign@{sender.enterprise} {written}]".encode()


def _encode(text: str) -> bytes:
    """Return a message's text; the mark says that it is UTF-8, and ASCII needs none. §6.4."""
    return text.encode("ascii") if text.isascii() else BOM + text.encode()
