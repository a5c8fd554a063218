"""The archive of a bundle: a ZIP file in one form only. Read `Member`, then `write_directory`.

Source: docs/reference/bundle.md; APPNOTE.TXT 6.3.10 §4.3 for the records. Content is packed
elsewhere, as a stream; here are only the records around it.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from core.kernel.canonical import canonical_bytes
from core.kernel.types import Json

FORMAT: Final = "countersign-bundle/v1"
MANIFEST: Final = "manifest.json"
STORED: Final = 0
DEFLATED: Final = 8
DEFLATE_LEVEL: Final = 6

_VERSION = 20
_DOS_DATE = 33  # 1980-01-01: a bundle says when in its entries
_METHODS: Final = {STORED: "stored", DEFLATED: "deflated"}
_LOCAL = b"PK\x03\x04"
_CENTRAL = b"PK\x01\x02"
_END = b"PK\x05\x06"
_VALUES = struct.Struct("<HHHHHIIIHH")
_CENTRAL_TAIL = struct.Struct("<HHHII")
_END_VALUES = struct.Struct("<HHHHIIH")
_COMMENT_PREFIX = b"sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What the records say about a member. `sha256_hex` is of its bytes as they are stored."""

    name: str
    method: int
    size: int
    packed_size: int
    crc: int
    sha256_hex: str

    def as_json(self) -> Json:
        """Return what the manifest says of it."""
        return {
            "name": self.name,
            "method": _METHODS[self.method],
            "bytes": self.size,
            "packed": self.packed_size,
            "sha256": self.sha256_hex,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a bundle is about. `since` and `until` are instants as an entry writes them, or null."""

    kind: str
    subject: str | None
    since: str | None
    until: str | None
    entry_count: int
    payload_count: int
    tree_size: int
    unsealed_count: int


def write_manifest(contents: Contents, members: Sequence[Member]) -> bytes:
    """Return the bytes of `manifest.json`."""
    return canonical_bytes(
        {
            "format": FORMAT,
            "kind": contents.kind,
            "subject": contents.subject,
            "since": contents.since,
            "until": contents.until,
            "entries": contents.entry_count,
            "payloads": contents.payload_count,
            "size": contents.tree_size,
            "unsealed": contents.unsealed_count,
            "members": [member.as_json() for member in members],
        }
    )


def local_header(member: Member) -> bytes:
    """Return what stands before a member's bytes."""
    return _LOCAL + _values(member) + member.name.encode("ascii")


def write_directory(members: Iterable[Member], *, manifest: bytes) -> bytes:
    """Return what follows the last member: the central directory and the end record.

    Args:
        members: all of them in order, the manifest as the last.
        manifest: its bytes, whose digest is the archive's comment.
    """
    directory = []
    offset = count = 0
    for member in members:
        tail = _CENTRAL_TAIL.pack(0, 0, 0, 0, offset)
        version = struct.pack("<H", _VERSION)
        directory.append(_CENTRAL + version + _values(member) + tail + member.name.encode("ascii"))
        offset += archived_size(member)
        count += 1
    records = b"".join(directory)
    comment = _COMMENT_PREFIX + sha256(manifest).hexdigest().encode()
    end = _END_VALUES.pack(0, 0, count, count, len(records), offset, len(comment))
    return b"".join((records, _END, end, comment))


def archived_size(member: Member) -> int:
    """Return the bytes a member takes before the directory: its header, name and content."""
    return len(_LOCAL) + _VALUES.size + len(member.name) + member.packed_size


def directory_size(member: Member) -> int:
    """Return the bytes a member takes in the directory."""
    return len(_CENTRAL) + 2 + _VALUES.size + _CENTRAL_TAIL.size + len(member.name)


def _values(member: Member) -> bytes:
    return _VALUES.pack(
        *(_VERSION, 0, member.method, 0, _DOS_DATE),
        *(member.crc, member.packed_size, member.size),
        *(len(member.name), 0),
    )
