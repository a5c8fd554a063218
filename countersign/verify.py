#!/usr/bin/env python3
"""Check what a Countersign server exported, without the server. This file is the whole verifier.

    python countersign_verify.py bundle.zip --key 'log.example/ledger+1a2b3c4d+AT…'

It needs Python 3.9 or newer and the package `cryptography`, opens no connection, writes no file and
shares no code with the server: a second implementation, so that a fault in the one is not repeated
in the other. Read it from the top; `verify` in section 8 is the way in.

    1  what may go wrong       DiscrepancyError, UnusableError
    2  signed notes            C2SP signed-note, tlog-checkpoint, tlog-cosignature
    3  the tree                RFC 6962 §2.1, RFC 9162 §2.1
    4  canonical JSON          RFC 8785
    5  entries                 the ledger's own form, their chain and their payloads
    6  the archive             a ZIP of which every byte is determined
    7  bundles                 countersign-bundle/v1
    8  receipts, checkpoints   countersign-receipt/v1, and `verify`
    9  the command line        exit code 0: holds; 1: does not; 2: nothing to judge

What it believes is the keys it is given, SHA-256 and Ed25519. What a result means and does not
mean: docs/how-to/verify-offline.md; the formats: docs/reference/bundle.md.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]  # the stubs leave it out
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BUNDLE_FORMAT = "countersign-bundle/v1"
RECEIPT_FORMAT = "countersign-receipt/v1"

# Bounds, so that no file makes this program slow or large. Each is above anything a server writes.
ENTRY_BYTES_MAX = 65_535  # the ledger's own bound
OPENING_BYTES_MAX = 3 * 1024 * 1024  # a value has 1 MiB, and a byte becomes at most two
NOTE_BYTES_MAX = 64 * 1024  # a checkpoint has some hundred bytes
SIGNATURE_COUNT_MAX = 32  # a log, keys that overlap, and its witnesses
PATH_LENGTH_MAX = 64  # the height of a tree of 2^63 leaves
RECEIPT_BYTES_MAX = 64 * 1024 * 1024  # one entry with its payloads
MANIFEST_BYTES_MAX = 16 * 1024 * 1024  # 65,534 members of about 200 bytes
DEPTH_MAX = 200  # levels of JSON
KEY_FILE_BYTES_MAX = 1024 * 1024  # thousands of keys
PART_LINE_COUNT = 10_000  # entries in one member
BLOCK_BYTES = 256 * 1024  # read at once
SHOWN_CHARS = 300  # of a value in a message


# -- 1. What may go wrong -------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where something is. What is not known is empty, or -1 for the leaf index."""

    member: str = ""  # of a bundle
    stream: str = ""
    seq: int = 0
    leaf: int = -1

    def __str__(self) -> str:
        entry = f"stream {self.stream}, entry {self.seq}" if self.stream else ""
        leaf = f"leaf {self.leaf}" if self.leaf >= 0 else ""
        return ", ".join(part for part in (self.member, entry, leaf) if part)


NOWHERE = Place()


# Every way in which a file is not believed. The codes are stable; docs/how-to has them too.
SENTENCES = {
    "archive.cut": "The archive ends too early.",
    "archive.directory": "The archive does not end with a manifest and its directory.",
    "archive.encrypted": "The member is encrypted.",
    "archive.end": "The file does not end as a bundle does: it was cut short, something was put"
    " behind it, or it is another archive.",
    "archive.header": "The archive is not in the one form that a bundle has.",
    "archive.symlink": "The member is a symbolic link.",
    "archive.zip64": "A bundle is not zip64, and not that large.",
    "chain.closed": "Something follows the closing entry of a run.",
    "chain.prev": "The entry does not link to the one before it as it is here: one of the two was"
    " changed.",
    "chain.seq": "An entry is missing, doubled or out of place.",
    "entry.crlf": "The line ends with a carriage return.",
    "entry.form": "This is not an entry in its one canonical form.",
    "entry.period": "The entry is not of the bundle's period.",
    "entry.too_large": "The entry is too large.",
    "entry.utf8": "The entry is not UTF-8.",
    "entry.version": "The entry is of a version of the format that this program does not know.",
    "file.too_large": "The file is too large for what it should be.",
    "file.unknown": "This is no bundle, no receipt and no checkpoint.",
    "file.unreadable": "The file cannot be read.",
    "key.form": "A key is written <name>+<8 hex digits>+<base64>.",
    "key.id": "The key's id does not fit the key.",
    "key.none": "No key was given, and a key inside the file would prove nothing.",
    "key.private": "This is a PRIVATE key. It belongs to the server alone; give the public one.",
    "leaves.form": "The bundle cannot have these leaves of its tree.",
    "manifest.count": "The bundle has another number than it says.",
    "manifest.digest": "The manifest is not the one that the archive's comment names.",
    "manifest.form": "The manifest says something it cannot say.",
    "manifest.format": "The bundle is of a format that this program does not know.",
    "manifest.members": "The bundle has members that it may not have, or not in their order.",
    "manifest.unsafe_name": "The name of a member leads out of the bundle.",
    "member.deflate": "The packed bytes are damaged.",
    "member.digest": "The member's bytes are not those that the manifest names.",
    "member.line": "The member has a line that is too long.",
    "member.line_feed": "The member's last line has no line feed.",
    "member.too_large": "The member is too large.",
    "note.bad_signature": "The signature does not fit: the checkpoint was changed, or the key is"
    " another one.",
    "note.crlf": "The lines of the signed note end with a carriage return.",
    "note.form": "This is not a signed checkpoint.",
    "note.other_log": "The checkpoint is of another log.",
    "note.too_large": "The signed note is too large.",
    "note.unknown_key": "No given key has signed this checkpoint.",
    "note.utf8": "The signed note is not UTF-8.",
    "older.fork": "Two signed trees of the same size differ: the log shows different records to"
    " different people.",
    "older.inconsistent": "The newer tree does not begin with the older one: the record was"
    " rewritten, or the path is not of these two.",
    "older.larger": "The checkpoint known before is of a larger tree: this one is older than it, or"
    " the log was cut back.",
    "older.no_path": "Nothing shows that the newer tree begins with the older one. Ask for the path"
    " between the two, and give it with --consistency.",
    "payload.commitment": "The payload is not what its entry committed to: value, salt or entry was"
    " changed.",
    "payload.erased_unrecorded": "The payload was erased, and no entry payload.redacted says so.",
    "payload.form": "This is not an opening in its one canonical form.",
    "payload.order": "Openings are in the order of their entries and names, each once.",
    "payload.unknown": "The entry has no such payload.",
    "payload.value": "The value is not canonical JSON.",
    "proof.form": "This is not a hash in hex.",
    "proof.length": "The proof does not fit the tree.",
    "proof.root": "What is here is not what was signed: an entry, its place or the proof was"
    " changed.",
    "receipt.form": "The receipt says something it cannot say.",
    "receipt.format": "The receipt is of a format that this program does not know.",
    "run.missing": "The bundle has no entry of its run.",
    "run.not_closed": "The run ends here without its closing entry: it was still going on when this"
    " was exported, or entries were cut off. --open accepts that.",
}


class ProblemError(Exception):
    """Why a file is not believed: a stable code, where, and what was expected instead of what."""

    exit_code = 1

    def __init__(
        self,
        code: str,
        where: Place = NOWHERE,
        about: str = "",
        expected: object = "",
        found: object = "",
    ) -> None:
        super().__init__(SENTENCES[code])
        self.code = code
        self.where = where
        self.about = about
        self.expected = _printable(expected)
        self.found = _printable(found)

    def __str__(self) -> str:
        place = ", ".join(part for part in (str(self.where), self.about) if part)
        said = _printable(f"{place + ': ' if place else ''}{SENTENCES[self.code]}", limit=2000)
        said += f" Expected: {self.expected}." if self.expected else ""
        return said + (f" Found: {self.found}." if self.found else "")

    def as_json(self) -> dict[str, Any]:
        """Return every part by name."""
        return {
            "code": self.code,
            "message": SENTENCES[self.code],
            "member": self.where.member or None,
            "stream": self.where.stream or None,
            "seq": self.where.seq or None,
            "leaf_index": self.where.leaf if self.where.leaf >= 0 else None,
            "field": self.about or None,
            "expected": self.expected or None,
            "found": self.found or None,
        }


class DiscrepancyError(ProblemError):
    """Something is not what it must be: the file, or what it says, was changed or is incomplete."""


class UnusableError(ProblemError):
    """Nothing can be judged: no file, no key, no proof for what was asked."""

    exit_code = 2


def _printable(value: object, *, limit: int = SHOWN_CHARS) -> str:
    """Return a text that does nothing to a terminal: what a file says may be an attacker's."""
    text = "".join(char if char.isprintable() else "\ufffd" for char in str(value)[: limit + 1])
    return text[:limit] + "…" if len(text) > limit else text


# -- 2. Signed notes ------------------------------------------------------------------------------

ED25519 = 1  # signature types of C2SP signed-note
COSIGNATURE = 4
_HASH_BYTES = 32
_KEY_BYTES = 33  # the type, then the public key
_ID_BYTES = 4
_TIME_BYTES = 8
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: _TIME_BYTES + 64}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - always written as UTC, and Python 3.9 is enough


@dataclass(frozen=True)
class Key:
    """A public key to believe: `<name>+<8 hex digits of its id>+<base64 of type and key>`."""

    name: str
    id: bytes
    kind: int
    public: bytes

    @property
    def label(self) -> str:
        """The name and the id, as people compare them."""
        return f"{self.name}+{self.id.hex()}"


@dataclass(frozen=True)
class Checkpoint:
    """A tree head, with who of the given keys signed it."""

    origin: str
    size: int
    root: bytes
    signers: tuple[str, ...]
    witnesses: tuple[str, ...]  # with the time each says it saw the head
    unknown_count: int  # signatures of keys that were not given, or are another log's


def parse_key(text: str) -> Key:
    """Read a verifier key. Source: C2SP signed-note. Raises: UnusableError."""
    if text.startswith("PRIVATE+KEY+"):
        raise UnusableError("key.private")
    parts = text.split("+", 2)  # the base64 may hold a plus, the name may not
    if len(parts) != 3 or not parts[0] or any(char.isspace() for char in text):  # noqa: PLR2004
        raise UnusableError("key.form")
    name, key_id, encoded = parts
    key = _unbase64(encoded)
    if key is None or len(key) != _KEY_BYTES or key[0] not in _SIGNATURE_BYTES:
        raise UnusableError("key.form", expected="an Ed25519 key", found=name)
    expected = sha256(name.encode() + b"\n" + key).digest()[:_ID_BYTES]
    if key_id != expected.hex():
        raise UnusableError("key.id", expected=expected.hex(), found=key_id)
    return Key(name=name, id=expected, kind=key[0], public=key[1:])


def open_checkpoint(raw: bytes, keys: Sequence[Key], *, member: str) -> Checkpoint:
    """Read a signed checkpoint and check its signatures under the given keys.

    A signature of a key that was not given is counted and passed over, as C2SP signed-note demands;
    one of a given key that does not fit is a discrepancy; at least one must fit. A log's key has
    the log's name, and speaks for no other log.
    """
    where = Place(member=member)
    text, lines = _split_note(raw, where)
    origin, size, root = _read_checkpoint(text, where)
    signers, witnesses, others, unknown_count = [], [], [], 0
    for line in lines:
        name, signature = _read_signature(line, where)
        key = next((k for k in keys if (k.name, k.id) == (name, signature[:_ID_BYTES])), None)
        if key is None:
            unknown_count += 1
            continue
        at = _check_signature(key, text, signature[_ID_BYTES:], where)
        if at:
            witnesses.append(f"{key.label} at {at}")
        elif key.name == origin:
            signers.append(key.label)
        else:
            others.append(key.name)
    if others and not signers:
        # Whoever has the key of one log would else speak for every other.
        raise DiscrepancyError("note.other_log", where, "origin", others[0], origin)
    if not signers and not witnesses:
        names = " ".join(sorted({line.split(" ")[1] for line in lines}))
        raise DiscrepancyError(
            "note.unknown_key", where, "signatures", " or ".join(key.label for key in keys), names
        )
    return Checkpoint(
        origin, size, root, tuple(signers), tuple(witnesses), unknown_count + len(others)
    )


def _split_note(raw: bytes, where: Place) -> tuple[str, list[str]]:
    """Return a note's text and its signature lines. Source: C2SP signed-note."""
    if len(raw) > NOTE_BYTES_MAX:
        raise DiscrepancyError("note.too_large", where)
    if b"\r" in raw:
        raise DiscrepancyError("note.crlf", where)
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        raise DiscrepancyError("note.utf8", where) from None
    text, gap, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not gap or any(char < " " and char != "\n" for char in note) or lines.pop() or not lines:
        raise DiscrepancyError("note.form", where)
    if len(lines) > SIGNATURE_COUNT_MAX:
        raise DiscrepancyError("note.too_large", where, "signatures")
    return text + "\n", lines


def _read_signature(line: str, where: Place) -> tuple[str, bytes]:
    """Return the key's name, and its id with the signature."""
    parts = line.split(" ")
    signature = _unbase64(parts[2]) if len(parts) == 3 and parts[0] == "\u2014" else None  # noqa: PLR2004
    if signature is None or len(signature) <= _ID_BYTES or not parts[1] or "+" in parts[1]:
        raise DiscrepancyError("note.form", where, "signature line")
    return parts[1], signature


def _check_signature(key: Key, text: str, signature: bytes, where: Place) -> str:
    """Check one signature of a given key; return when, for a cosignature."""
    at, signed = "", text.encode()
    is_good = len(signature) == _SIGNATURE_BYTES[key.kind]
    if is_good and key.kind == COSIGNATURE:  # C2SP tlog-cosignature, cosignature/v1
        (seconds,) = struct.unpack(">Q", signature[:_TIME_BYTES])
        signed = f"cosignature/v1\ntime {seconds}\n".encode() + signed
        signature = signature[_TIME_BYTES:]
        at = _write_time(seconds)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, signed)
    except (InvalidSignature, ValueError):
        is_good = False
    if not is_good:
        raise DiscrepancyError("note.bad_signature", where, f"signature of {key.label}")
    return at


def _write_time(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat() + "Z"
    except OverflowError:
        return f"second {seconds}"


def _read_checkpoint(text: str, where: Place) -> tuple[str, int, bytes]:
    """Return origin, size and root. Source: C2SP tlog-checkpoint."""
    lines = text.split("\n")
    size = re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]) if len(lines) > 3 else None  # noqa: PLR2004
    root = _unbase64(lines[2]) if size else None
    if size is None or root is None or len(root) != _HASH_BYTES or not all(lines[:-1]):
        raise DiscrepancyError("note.form", where, "checkpoint")
    if int(size[0]) == 0 and root != EMPTY_ROOT:
        raise DiscrepancyError("note.form", where, "root of an empty tree")
    return lines[0], int(size[0]), root


def _unbase64(text: str) -> bytes | None:
    """Return what a base64 text says, if it is written in the one usual way."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


# -- 3. The tree ----------------------------------------------------------------------------------

EMPTY_ROOT = sha256(b"").digest()  # RFC 6962 §2.1
_BLOCK_LEAVES = 1024  # hashed level by level


def hash_leaf(body: bytes) -> bytes:
    """Return an entry's leaf. Source: RFC 6962 §2.1."""
    return sha256(b"\x00" + body).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees. Source: RFC 6962 §2.1."""
    return sha256(b"\x01" + left + right).digest()


def split_of(size: int) -> int:
    """Return the largest power of two below a size: where RFC 6962 §2.1 splits a tree."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion path gives. Source: RFC 9162 §2.1.3.2."""
    if index >= size:
        return None
    fn, sn, root = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            root = hash_node(sibling, root)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = hash_node(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    return root if sn == 0 else None


def check_consistency(
    older: Checkpoint, newer: Checkpoint, path: Sequence[bytes], where: Place
) -> None:
    """Check that the newer tree begins with the older one. Source: RFC 9162 §2.1.4.2."""
    if older.size in {0, newer.size}:  # nothing to show, or already compared by `compare_heads`
        if path:
            raise DiscrepancyError(
                "older.inconsistent", where, "path", "an empty one", f"{len(path)} hashes"
            )
        return
    roots = _roots_of_consistency(older, newer, path)
    for name, head, root in zip(("older", "newer"), (older, newer), roots):  # noqa: B905 - 3.9
        if root != head.root:
            raise DiscrepancyError(
                "older.inconsistent",
                where,
                f"root of the {name} tree",
                head.root.hex(),
                root.hex() if root else "no root",
            )


def _roots_of_consistency(
    older: Checkpoint, newer: Checkpoint, path: Sequence[bytes]
) -> tuple[bytes | None, bytes | None]:
    nodes = [older.root, *path] if older.size & (older.size - 1) == 0 else list(path)
    if not path:
        return None, None
    fn, sn = older.size - 1, newer.size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = nodes[0]
    for node in nodes[1:]:
        if sn == 0:
            return None, None
        if fn & 1 or fn == sn:
            first, second = hash_node(node, first), hash_node(node, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = hash_node(second, node)
        fn, sn = fn >> 1, sn >> 1
    return (first, second) if sn == 0 else (None, None)


def compare_heads(older: Checkpoint, newer: Checkpoint, where: Place) -> None:
    """Refuse a newer head that is smaller than the older one, or another one of the same size."""
    if older.origin != newer.origin:
        raise DiscrepancyError("note.other_log", where, "origin", newer.origin, older.origin)
    if older.size > newer.size:
        raise DiscrepancyError("older.larger", where, "size", f"at most {newer.size}", older.size)
    if older.size == newer.size and older.root != newer.root:
        raise DiscrepancyError("older.fork", where, "root", older.root.hex(), newer.root.hex())


class Frontier:
    """The root over leaves that come one by one: complete subtrees, the largest first."""

    def __init__(self) -> None:
        self._subtrees: list[tuple[int, bytes]] = []  # height, hash

    def push(self, leaf: bytes) -> None:
        """Add a leaf at the right."""
        height, node = 0, leaf
        while self._subtrees and self._subtrees[-1][0] == height:
            node = hash_node(self._subtrees.pop()[1], node)
            height += 1
        self._subtrees.append((height, node))

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        node = self._subtrees[-1][1]
        for _, left in reversed(self._subtrees[:-1]):
            node = hash_node(left, node)
        return node


class BatchTree:
    """The root over some leaves and the hashes of the rest, walked once from left to right."""

    def __init__(
        self, runs: Iterator[tuple[int, int]], leaves: Iterator[bytes], path: Iterator[bytes]
    ) -> None:
        self._runs = runs
        self._leaves = leaves
        self._path = path
        self._start, self._end = next(runs, (-1, -1))  # leaves of the bundle, not taken yet

    def root(self, size: int) -> bytes:
        """Return the root of the tree of this many leaves."""
        root = self._walk(0, size) if size else EMPTY_ROOT
        if next(self._path, None) is not None:
            raise DiscrepancyError(
                "proof.length", Place(member="proof"), expected="no more hashes", found="one more"
            )
        return root

    def _walk(self, start: int, size: int) -> bytes:
        if not start <= self._start < start + size:
            return self._take_hash()
        if self._start == start and self._end >= start + size:
            if size == 1:
                return self._take_leaves(1)[0]
            if size <= _BLOCK_LEAVES and size & (size - 1) == 0:
                return _root_of_block(self._take_leaves(size))
        split = split_of(size)
        left = self._walk(start, split)
        return hash_node(left, self._walk(start + split, size - split))

    def _take_hash(self) -> bytes:
        node = next(self._path, None)
        if node is None:
            raise DiscrepancyError(
                "proof.length", Place(member="proof"), expected="a hash", found="no more hashes"
            )
        return node

    def _take_leaves(self, count: int) -> list[bytes]:
        leaves = list(islice(self._leaves, count))
        if len(leaves) < count:  # pragma: no cover - the manifest counts both
            raise DiscrepancyError("leaves.count")
        self._start += count
        if self._start == self._end:
            self._start, self._end = next(self._runs, (-1, -1))
        return leaves


def _root_of_block(level: list[bytes]) -> bytes:
    """Return the root over a power of two of leaves."""
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2])  # noqa: B905 - Python 3.9
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return level[0]


# -- 4. Canonical JSON ----------------------------------------------------------------------------

_INTEGER_MAX = 2**53 - 1  # RFC 8785 §3.2.2.3, by way of RFC 7493
_DIGITS_MAX = 16
_LONG_NUMBER = re.compile(r"[0-9]{16}")
_FLAT_CHARS_MAX = 4096  # the pattern keeps a note for each escape

# A string's inside: no raw control characters, the shortest escape of each, nothing else escaped
# (RFC 8785 §3.2.2.2). One character in one way only, so that a match never goes back and forth.
_PLAIN = r'[^"\\\x00-\x1f]*'
_CONTROL = r"u00(?:0[1-7bef]|1[0-9a-f])"
_INSIDE = rf'{_PLAIN}(?:\\(?:["\\bfnrt]|u0000|{_CONTROL}){_PLAIN})*'
_SCALAR = rf'(?:"{_INSIDE}"|0|-?[1-9][0-9]{{0,14}}|null|true|false|\[\]|\{{\}})'
# Keys of few characters, all above a quote and none of those between two texts: else a shorter key
# would come after a longer one, and `","` in `["a",":"]` would look like a key.
_KEY = r'"[0-9A-Za-z_./@#$-]+":'
_ITEM = rf"(?:{_SCALAR}|\[{_SCALAR}(?:,{_SCALAR})*\])"
_FLAT = rf"\{{{_KEY}{_ITEM}(?:,{_KEY}{_ITEM})*\}}"
_match_flat = re.compile(f"{_SCALAR}|{_FLAT}").fullmatch
_find_keys = re.compile(_KEY).findall  # no text is followed by a colon, and a key always is
_dump = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class _UncanonicalError(ValueError):
    """A text is not the one canonical form of its value."""


def load_canonical(text: str, *, floats: bool = False) -> Any:
    """Return the value of a text that is its canonical form. Source: RFC 8785.

    Without `floats`, as in entries and formats of ours: whole numbers up to 2^53-1, and keys of
    printable ASCII.

    Raises:
        ValueError: if it is not.
    """
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth_of(text) > DEPTH_MAX:
        raise _UncanonicalError(f"nested deeper than {DEPTH_MAX} levels")
    value = json.loads(
        text, parse_int=_read_integer, parse_float=_read_float, parse_constant=_refuse_constant
    )
    if write_canonical(value, floats=floats) != text:
        raise _UncanonicalError("not in canonical form (RFC 8785)")
    return value


def write_canonical(value: Any, *, floats: bool) -> str:
    """Return the canonical form of a JSON value. Source: RFC 8785 §3.2."""
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        if not floats:
            raise _UncanonicalError("a number that is not whole, or over 2^53-1")
        return _write_float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(write_canonical(item, floats=floats) for item in value) + "]"
    if not floats and not all(key and key.isascii() and key.isprintable() for key in value):
        raise _UncanonicalError("a key that is not printable ASCII")
    members = [
        f"{encode_basestring(key)}:{write_canonical(value[key], floats=floats)}"
        for key in sorted(value, key=_utf16)  # RFC 8785 §3.2.3
    ]
    return "{" + ",".join(members) + "}"


def check_value(text: str) -> None:
    """Check that a payload's text is canonical. Raises: ValueError."""
    if is_flat(text):
        return
    is_plain = text.isascii() and _LONG_NUMBER.search(text) is None
    if is_plain and text.count("[") + text.count("{") <= DEPTH_MAX:
        try:  # quicker: there Python's encoder writes what RFC 8785 demands
            value = _load_plain(text)
            if _dump(value) == text:
                return
        except _UncanonicalError:
            pass
    load_canonical(text, floats=True)


def is_flat(text: str) -> bool:
    """Tell whether a text is surely canonical: an object of scalars and of lists of them.

    One pattern and the order of the keys, which is what most values are, and four times as fast.
    """
    return len(text) <= _FLAT_CHARS_MAX and _match_flat(text) is not None and _is_sorted(text)


def _is_sorted(flat: str) -> bool:
    keys = _find_keys(flat)
    return len(keys) < 2 or keys == sorted(set(keys))  # noqa: PLR2004 - one is in order


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _read_integer(text: str) -> float:
    if len(text.lstrip("-")) <= _DIGITS_MAX and abs(int(text)) <= _INTEGER_MAX:
        return int(text)
    return float(text)  # a double that RFC 8785 writes without an exponent


def _read_float(text: str) -> float:
    return float(text)


def _refuse_constant(text: str) -> NoReturn:
    raise _UncanonicalError(f"{text[:20]} cannot be written")


_load_plain = json.JSONDecoder(parse_float=_refuse_constant, parse_constant=_refuse_constant).decode


def _write_float(value: float) -> str:
    """Return a number as ECMAScript writes it. Source: RFC 8785 §3.2.2.3."""
    if value in {float("inf"), float("-inf")}:
        raise _UncanonicalError("a number that is too large")
    if value == 0:
        return "0"
    sign, (mantissa, _, exponent) = "-" if value < 0 else "", repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction if fraction != "0" else ""
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)  # digits before the decimal point
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:  # noqa: PLR2004 - where ECMAScript begins to use an exponent
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def _depth_of(text: str) -> int:
    """Return how deep a JSON text is nested, without recursion."""
    depth = deepest = 0
    for sign in re.findall(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest


# -- 5. Entries -----------------------------------------------------------------------------------

ENTRY_VERSION = 1
FIRST_PREV = "0" * 64
SOURCE = "source"  # the payload whose commitment has a key of its own
CLOSING_KIND = "run.closed"  # the last entry of a run, ever
ERASING_KIND = "payload.redacted"
LEDGER_STREAM = "fe14010b-4fe8-3303-852f-0467c919ef9a"  # first 16 bytes of SHA-256("ledger")

_COLUMN = rf'{_PLAIN}(?:\\(?:["\\bfnrt]|{_CONTROL}){_PLAIN})*'  # without NUL
_DIGEST = r"[0-9a-f]{64}"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TEXT = rf'null|"(?!"){_INSIDE}"'
_ACTOR = rf'\{{"id":"(?!"){_COLUMN}","kind":"[a-z][a-z0-9_-]*"\}}'
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.:/#-]{0,199}"
_COMMITMENT = rf'"{_NAME}":"{_DIGEST}"'

# Every key of an entry in its order, with what may stand behind it.
FIELDS = {
    "actor": _ACTOR,
    "at": r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"',
    "auth": _TEXT,
    "data": rf"{_FLAT}|\{{.*\}}",  # canonical JSON of its own, checked by itself
    "from": _TEXT,
    "kind": r'"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*"',
    "on_behalf_of": rf"null|{_ACTOR}",
    "payloads": rf"\{{(?:{_COMMITMENT}(?:,{_COMMITMENT})*)?\}}",
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
    "via": r'"[a-z][a-z0-9_-]*"',
}
_USED = ("at", "data", "kind", "payloads", "prev", "seq", "source", "stream")
# A group for each of those; `data` has two, the first for what is flat.
_UNUSUAL = ("\\", "\x7f", '"":')  # escapes, and keys that an entry may not have
_GROUPS = {key: f"({FIELDS[key]})" for key in _USED} | {"data": rf"(?:({_FLAT})|(\{{.*\}}))"}
_match_entry = re.compile(
    r"\{"
    + ",".join(f'"{key}":{_GROUPS.get(key, f"(?:{form})")}' for key, form in FIELDS.items())
    + r"\}"
).fullmatch


def read_entry(body: bytes) -> tuple[str, ...]:
    """Check that bytes are an entry in its one form; return the literals of the keys in `_USED`.

    What it raises does not say where: the caller knows.
    """
    if len(body) > ENTRY_BYTES_MAX:
        raise DiscrepancyError("entry.too_large")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise DiscrepancyError("entry.utf8") from None
    match = _match_entry(text)
    if match is None:
        raise _describe_fault(text)
    at, flat, data, *others = match.groups()
    payloads = others[1]
    try:
        datetime.fromisoformat(at[1:-2])
    except ValueError:
        raise _field_error("at", "a date that exists", at) from None
    if (flat is None or not _is_sorted(flat)) and data != "{}":
        try:
            _check_data(flat or data)
        except (ValueError, RecursionError) as error:
            raise _field_error("data", "canonical JSON", error) from None
    if "," in payloads:
        names = list(read_commitments(payloads, "null"))
        if payloads.count('":"') != len(names) or names != sorted(names):
            raise _field_error("payloads", "names in order, each once", names)
    return (at, flat or data, *others)


def _check_data(data: str) -> None:
    """Check that `data` is canonical. Raises: ValueError, RecursionError."""
    is_plain = data.isascii() and not any(part in data for part in _UNUSUAL)
    if (
        is_plain
        and _LONG_NUMBER.search(data) is None
        and data.count("[") + data.count("{") < DEPTH_MAX
    ):
        value = _load_plain(data)
        if _dump(value) == data:  # where keys and numbers are plain, RFC 8785 is what Python writes
            return
    load_canonical(data)


def place_of(body: bytes, member: str, leaf: int) -> Place:
    """Return where an entry is, as far as it says so."""
    match = _match_entry(body.decode(errors="replace"))
    if match is None:
        return Place(member, leaf=leaf)
    seq, _, stream = match.groups()[6:]
    return Place(member, stream[1:-1], int(seq), leaf)


def read_commitments(payloads: str, source: str) -> dict[str, str]:
    """Return the commitments of an entry in hex, by name. No name holds a quote or a comma."""
    members = payloads[2:-2].split('","') if payloads != "{}" else []
    commitments = dict(member.split('":"') for member in members)
    if source != "null":
        commitments[SOURCE] = source[1:-1]
    return commitments


def hash_payload(place: tuple[str, int, str], salt: str, value: str) -> str:
    """Return what an entry says about a payload: docs/design/ledger.md §1."""
    stream, seq, name = place
    committed = f'["{stream}",{seq},"{name}",{value}]'.encode()
    return sha256(b"countersign/commit/v1\n" + bytes.fromhex(salt) + committed).hexdigest()


def _describe_fault(text: str) -> DiscrepancyError:
    """Name the first key of an entry that is not as it must be."""
    at = 1 if text.startswith("{") else 0
    for number, (key, form) in enumerate(FIELDS.items()):
        start = f'{"," if number else ""}"{key}":'
        if not at or not text.startswith(start, at):
            return _field_error(key, f"{start}… at byte {at}", text[at : at + 80])
        at += len(start)
        end = _end_of_field(key, form, text, at)
        if end < 0 and key == "v" and (other := re.compile("[0-9]+").match(text, at)):
            return DiscrepancyError("entry.version", NOWHERE, "v", ENTRY_VERSION, other[0])
        if end < 0:
            return _field_error(key, "a value this key may have", text[at : at + 80])
        at = end
    if text.endswith("\r"):
        return DiscrepancyError("entry.crlf")
    return _field_error("end", "} and nothing behind it", text[at : at + 80])


def _end_of_field(key: str, form: str, text: str, at: int) -> int:
    """Return where the value of a key ends, or -1 if it may not have that value."""
    if key == "data":
        try:
            return json.JSONDecoder().raw_decode(text, at)[1]
        except (ValueError, RecursionError):
            return -1
    match = re.compile(f"(?:{form})(?=[,}}])").match(text, at)
    return match.end() if match else -1


def _field_error(key: str, expected: object, found: object) -> DiscrepancyError:
    return DiscrepancyError("entry.form", NOWHERE, key, expected, found)


_CLOSING_LITERAL = f'"{CLOSING_KIND}"'
_ERASING_LITERAL = f'"{ERASING_KIND}"'
_NO_END = (0, FIRST_PREV, False)


class Chains:
    """Where each stream ends, as its entries come: numbers, links, and nothing after the end.

    Memory: some 200 bytes a stream, whatever the number of entries.
    """

    def __init__(self, *, may_have_gaps: bool) -> None:
        self._may_have_gaps = may_have_gaps
        self._ends: dict[str, tuple[int, str, bool]] = {}  # seq, leaf in hex, whether closed

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, literals: tuple[str, ...], leaf: bytes) -> None:
        """Add the next entry of its stream. What it raises does not say where."""
        _, _, kind, _, prev, seq_literal, _, stream = literals
        seq = int(seq_literal)
        last, head, is_closed = self._ends.get(stream, _NO_END)
        if seq != last + 1 and (seq <= last or not self._may_have_gaps):
            expected = f"over {last}" if self._may_have_gaps else last + 1
            raise DiscrepancyError("chain.seq", NOWHERE, "seq", expected, seq)
        if seq == last + 1 and prev[1:-1] != head:
            raise DiscrepancyError("chain.prev", NOWHERE, "prev", head, prev[1:-1])
        if is_closed:
            raise DiscrepancyError("chain.closed")
        self._ends[stream] = (seq, leaf.hex(), kind == _CLOSING_LITERAL)

    def end_of(self, stream: str) -> tuple[int, bool]:
        """Return the number of a stream's last entry, 0 if it has none, and whether it closes."""
        seq, _, is_closed = self._ends.get(f'"{stream}"', _NO_END)
        return seq, is_closed


# -- 6. The archive -------------------------------------------------------------------------------

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_PARTS = (
    *("signature", "version needed", "flags", "method", "time", "date"),
    *("CRC-32", "packed size", "size", "length of the name", "length of the extra field"),
)
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_CENTRAL_PARTS = (
    *("signature", "version made by", *_LOCAL_PARTS[1:], "length of the comment", "disk"),
    *("internal attributes", "external attributes", "offset"),
)
_END = struct.Struct("<4sHHHHIIH")
_END_PARTS = (
    *("signature", "disk", "disk of the directory", "members on this disk", "members"),
    *("size of the directory", "offset of the directory", "length of the comment"),
)
_METHODS = {"stored": 0, "deflated": 8}
_VERSION = 20
_DATE = 33  # 1980-01-01
_COMMENT_BYTES = 71  # sha256: and 64 digits
_ZIP64 = 0xFFFFFFFF
_LINK_MODE = 0o120000
_MANIFEST = "manifest.json"
_MEMBER_KEYS = ["bytes", "method", "name", "packed", "sha256"]
_HASH_LINE_BYTES = 65


@dataclass(frozen=True)
class Member:
    """One member, as the manifest and the archive describe it. `offset` is where its bytes are."""

    name: str
    method: int
    size: int
    packed: int
    digest: str
    offset: int
    crc: int


class Archive:
    """A bundle's archive, believed in nothing: all its bytes but the members' are recomputed.

    Making one checks the end, the manifest's digest, each header, each member's digest and the
    directory. Members are then read in pieces.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        count, directory_at, digest = self._read_end()
        manifest_at, text = self._find_manifest(directory_at, digest)
        self.manifest = _load_manifest(text)
        described = self.manifest["members"]
        directory = [self._check_member(*item) for item in _lay_out(described)]
        end = directory[-1].offset + directory[-1].packed if directory else 0
        _expect(_MANIFEST, "offset", end, manifest_at)
        last = self._check_local(_MANIFEST, 0, len(text), len(text), end)
        _expect(_MANIFEST, "CRC-32", zlib.crc32(text), last)
        crc = Member(
            _MANIFEST, 0, len(text), len(text), "", end + _LOCAL.size + len(_MANIFEST), last
        )
        self._check_directory([*directory, crc], directory_at)
        _expect("end record", "members", len(directory) + 1, count)
        self.members = {member.name: member for member in directory}

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield a member's unpacked bytes, never more of them than the manifest says."""
        member = self.members[name]
        unpacked = crc = 0
        pieces = self._inflate(member) if member.method else self._packed(member)
        for block in pieces:
            unpacked += len(block)
            crc = zlib.crc32(block, crc)
            if unpacked > member.size:
                break
            yield block
        found = unpacked if unpacked <= member.size else f"over {member.size}"
        _expect(name, "size", member.size, found)
        _expect(name, "CRC-32", member.crc, crc)

    def lines(self, name: str, longest: int) -> Iterator[list[bytes]]:
        """Yield a member's lines in lists, without their line feeds."""
        rest = b""
        for block in self.blocks(name):
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if len(rest) > longest:
                raise DiscrepancyError(
                    "member.line",
                    Place(member=name),
                    expected=f"at most {longest} bytes",
                    found="a longer line",
                )
            yield lines
        if rest:
            raise DiscrepancyError("member.line_feed", Place(member=name))

    def read(self, name: str, longest: int) -> bytes:
        """Return the whole of a small member."""
        if self.members[name].size > longest:
            raise DiscrepancyError(
                "member.too_large",
                Place(member=name),
                expected=f"at most {longest} bytes",
                found=self.members[name].size,
            )
        return b"".join(self.blocks(name))

    def hashes(self, name: str) -> Iterator[bytes]:
        """Yield the hashes of a member that holds one a line."""
        for lines in self.lines(name, _HASH_LINE_BYTES):
            for line in lines:
                yield _read_hash(line.decode("latin-1"), Place(member=name))

    def _read_at(self, offset: int, count: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(count)

    def _read_end(self) -> tuple[int, int, str]:
        """Return the number of members, where the directory begins, and the manifest's digest."""
        at = self._size - _END.size - _COMMENT_BYTES
        raw = self._read_at(at, _END.size + _COMMENT_BYTES) if at > 0 else b""
        comment = re.fullmatch(rb"sha256:([0-9a-f]{64})", raw[_END.size :])
        if comment is None or not raw.startswith(b"PK\x05\x06"):
            raise DiscrepancyError("archive.end", about="end record")
        if self._size >= _ZIP64:
            raise DiscrepancyError("archive.zip64", about="size of the file")
        found = _END.unpack(raw[: _END.size])
        count, size, offset = found[4], found[5], found[6]
        if _ZIP64 in {size, offset} or count == _ZIP64 >> 16:
            raise DiscrepancyError("archive.zip64", about="end record")
        expected = _END.pack(
            *(b"PK\x05\x06", 0, 0, count, count, max(0, at - offset), offset, _COMMENT_BYTES)
        )
        _compare(_END, _END_PARTS, "end record", raw[: _END.size], expected)
        return count, offset, comment[1].decode()

    def _find_manifest(self, directory_at: int, digest: str) -> tuple[int, bytes]:
        """Return where the manifest's header is, and its bytes."""
        record = _CENTRAL.size + len(_MANIFEST)
        at = self._size - _END.size - _COMMENT_BYTES - record
        raw = self._read_at(at, record) if at >= directory_at else b""
        if raw[_CENTRAL.size :] != _MANIFEST.encode():
            raise DiscrepancyError(
                "archive.directory", Place(member=_MANIFEST), "central directory, name"
            )
        header_at = _CENTRAL.unpack(raw[: _CENTRAL.size])[-1]
        start = header_at + _LOCAL.size + len(_MANIFEST)
        if not 0 < directory_at - start <= MANIFEST_BYTES_MAX:
            raise DiscrepancyError(
                "archive.directory", Place(member=_MANIFEST), "central directory, offset"
            )
        text = self._read_at(start, directory_at - start)
        found = sha256(text).hexdigest()
        if found != digest:
            raise DiscrepancyError(
                "manifest.digest", Place(member=_MANIFEST), "sha256", digest, found
            )
        return header_at, text

    def _check_member(self, item: dict[str, Any], offset: int) -> Member:
        """Check a member's header and the digest of its packed bytes."""
        name, method = item["name"], _METHODS[item["method"]]
        crc = self._check_local(name, method, item["packed"], item["bytes"], offset)
        start = offset + _LOCAL.size + len(name)
        member = Member(name, method, item["bytes"], item["packed"], item["sha256"], start, crc)
        digest = sha256()
        for block in self._packed(member):
            digest.update(block)
        if digest.hexdigest() != member.digest:
            raise DiscrepancyError(
                "member.digest", Place(member=name), "sha256", member.digest, digest.hexdigest()
            )
        return member

    def _check_local(self, name: str, method: int, packed: int, size: int, offset: int) -> int:
        """Check a local header; return the CRC-32 it claims, checked when the bytes are read."""
        raw = self._read_at(offset, _LOCAL.size + len(name))
        crc = int.from_bytes(raw[14:18], "little")
        expected = _LOCAL.pack(
            *(b"PK\x03\x04", _VERSION, 0, method, 0, _DATE, crc, packed, size, len(name), 0)
        )
        where = f"local header of {name}"
        _compare(_LOCAL, _LOCAL_PARTS, where, raw[: _LOCAL.size], expected)
        _expect(name, "local header, name", name, raw[_LOCAL.size :].decode("latin-1"))
        return crc

    def _check_directory(self, members: Sequence[Member], offset: int) -> None:
        for member in members:
            name = member.name
            raw = self._read_at(offset, _CENTRAL.size + len(name))
            header = member.offset - _LOCAL.size - len(name)
            expected = _CENTRAL.pack(
                *(b"PK\x01\x02", _VERSION, _VERSION, 0, member.method, 0, _DATE, member.crc),
                *(member.packed, member.size, len(name), 0, 0, 0, 0, 0, header),
            )
            where = f"central directory, {name}"
            _compare(_CENTRAL, _CENTRAL_PARTS, where, raw[: _CENTRAL.size], expected)
            _expect(name, "central directory, name", name, raw[_CENTRAL.size :].decode("latin-1"))
            offset += len(raw)
        _expect("central directory", "end", self._size - _END.size - _COMMENT_BYTES, offset)

    def _packed(self, member: Member) -> Iterator[bytes]:
        for at in range(0, member.packed, BLOCK_BYTES):
            yield self._read_at(member.offset + at, min(BLOCK_BYTES, member.packed - at))

    def _inflate(self, member: Member) -> Iterator[bytes]:
        """Yield what raw DEFLATE (RFC 1951) unpacks to, a block at a time."""
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        is_late = False
        try:
            for packed in self._packed(member):
                is_late = stream.eof
                left = packed
                while left and not is_late:
                    yield stream.decompress(left, BLOCK_BYTES)
                    left = stream.unconsumed_tail
            while more := stream.decompress(b"", BLOCK_BYTES):
                yield more
        except zlib.error as error:
            raise DiscrepancyError(
                "member.deflate", Place(member=member.name), found=error
            ) from None
        if is_late or stream.unused_data or not stream.eof:
            found = "an end that is too early" if not stream.eof else "bytes behind the end"
            raise DiscrepancyError("member.deflate", Place(member=member.name), found=found)


def _lay_out(members: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each member with where its header must be: there are no gaps."""
    offset = 0
    for item in members:
        yield item, offset
        offset += _LOCAL.size + len(item["name"]) + item["packed"]


def _compare(
    layout: struct.Struct, parts: Sequence[str], where: str, found: bytes, expected: bytes
) -> None:
    """Compare a header with what it must be, and name the first part that differs."""
    if found == expected:
        return
    if len(found) < layout.size:
        raise DiscrepancyError("archive.cut", about=where)
    values = zip(parts, layout.unpack(expected), layout.unpack(found))  # noqa: B905 - Python 3.9
    part, wanted, got = next(item for item in values if item[1] != item[2])
    code = "archive.header"
    if part == "flags" and got & 1:
        code = "archive.encrypted"
    elif part.endswith("size") and got == _ZIP64:
        code = "archive.zip64"
    elif part == "external attributes" and got >> 16 & 0o170000 == _LINK_MODE:
        code = "archive.symlink"
    raise DiscrepancyError(code, NOWHERE, f"{where}, {part}", wanted, got)


def _expect(name: str, about: str, expected: object, found: object) -> None:
    if expected != found:
        raise DiscrepancyError("archive.header", Place(member=name), about, expected, found)


def _read_hash(text: str, where: Place) -> bytes:
    if re.fullmatch(_DIGEST, text) is None:
        raise DiscrepancyError("proof.form", where, expected="64 digits", found=text)
    return bytes.fromhex(text)


# -- 7. Bundles -----------------------------------------------------------------------------------

_MANIFEST_KEYS = [
    *("entries", "format", "kind", "members", "payloads", "since", "size", "subject", "unsealed"),
    "until",
]
_UNNAMED = frozenset({"period", "whole"})  # kinds that are about nothing in particular
_COUNTS = ("entries", "payloads", "size", "unsealed")
_SUBJECT = re.compile(rf"(?:run|project):({_UUID})")
_RUN_LINE = re.compile(r"(0|[1-9][0-9]{0,15}) ([1-9][0-9]{0,15})")
_RUN_LINE_BYTES = 40
_OPENING = re.compile(
    rf'\{{"leaf":(0|[1-9][0-9]{{0,15}}),"name":"({_NAME})","salt":"({_DIGEST})","value":"'
)
_ERASED = re.compile(rf'\{{"erased":true,"leaf":(0|[1-9][0-9]{{0,15}}),"name":"({_NAME})"\}}')
_NO_LEAF = 1 << 63  # after every leaf


def _load_manifest(text: bytes) -> dict[str, Any]:
    """Return a manifest that names the members a bundle has, in their order."""
    where = Place(member=_MANIFEST)
    try:
        manifest = load_canonical(text.decode())
    except (ValueError, RecursionError) as error:
        raise DiscrepancyError("manifest.form", where, "form", "canonical JSON", error) from None
    if not isinstance(manifest, dict) or manifest.get("format") != BUNDLE_FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else "no object"
        raise DiscrepancyError("manifest.format", where, "format", BUNDLE_FORMAT, found)
    fault = _find_manifest_fault(manifest)
    if fault:
        raise DiscrepancyError("manifest.form", where, fault)
    _check_names([item["name"] for item in manifest["members"]], manifest["entries"])
    return manifest


def _find_manifest_fault(manifest: dict[str, Any]) -> str:
    """Return the first key whose value cannot be, or ""."""
    if sorted(manifest) != _MANIFEST_KEYS:
        return "keys"
    for key in _COUNTS:
        if not _is_count(manifest[key]):
            return key
    kind, subject = manifest["kind"], manifest["subject"]
    if kind not in ("run", "period", "project", "whole"):
        return "kind"
    has_subject = isinstance(subject, str) and _SUBJECT.fullmatch(subject) is not None
    if not ((has_subject and subject.startswith(kind)) or (subject is None and kind in _UNNAMED)):
        return "subject"
    times = [manifest[key] for key in ("since", "until")]
    are_set = [
        isinstance(at, str) and re.fullmatch(FIELDS["at"], f'"{at}"') is not None for at in times
    ]
    is_open = times == [None, None]
    if not (all(are_set) or is_open) or (
        is_open if kind == "period" else not is_open and kind != "project"
    ):
        return "since and until"
    members = manifest["members"]
    return "" if isinstance(members, list) and all(map(_is_member, members)) else "members"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _INTEGER_MAX


def _is_member(item: object) -> bool:
    return (
        isinstance(item, dict)
        and sorted(item) == _MEMBER_KEYS
        and _is_count(item["bytes"])
        and _is_count(item["packed"])
        and max(item["packed"], item["bytes"]) < _ZIP64
        and isinstance(item["name"], str)
        and isinstance(item["sha256"], str)
        and re.fullmatch(_DIGEST, item["sha256"]) is not None
        and item["method"] in list(_METHODS)  # it may be a list itself
        and (item["method"] == "deflated" or item["bytes"] == item["packed"])
    )


def _check_names(names: list[str], entry_count: int) -> None:
    """Check that the members are those of a bundle, in order, each once."""
    parts = min(-(-entry_count // PART_LINE_COUNT), len(names))  # never more than there can be
    payloads = [name for name in names if re.fullmatch(r"payloads/[0-9]{6,}\.jsonl", name)]
    possible = [f"payloads/{number:06}.jsonl" for number in range(parts)]
    expected = ["checkpoint", *(f"entries/{number:06}.jsonl" for number in range(parts))]
    expected += sorted(set(payloads) & set(possible))
    expected += ["leaves", "proof"]
    expected += ["older", "consistency"] if "older" in names else []
    if names == expected:
        return
    place = next(at for at in range(len(names) + 1) if names[: at + 1] != expected[: at + 1])
    name, wanted = ((*found, "no more members")[place] for found in (names, expected))
    is_unsafe = name.startswith("/") or ".." in name or "\\" in name or ":" in name
    code = "manifest.unsafe_name" if is_unsafe else "manifest.members"
    raise DiscrepancyError(code, Place(member=_MANIFEST), f"member {place}", wanted, name)


class Bundle:
    """A bundle that is read once, from its first entry to its last."""

    def __init__(self, archive: Archive, checkpoint: Checkpoint, older: Checkpoint | None) -> None:
        self.archive = archive
        self.checkpoint = checkpoint
        self.manifest = archive.manifest
        kind = self.manifest["kind"]
        self.chains = Chains(may_have_gaps=kind in {"period", "project"})
        self.entry_count = self.opened_count = self.erased_count = self.hidden_count = 0
        # Erased payloads of which no record was seen so far, with their leaf and their commitment.
        self.unrecorded: dict[tuple[Any, ...], tuple[int, str]] = {}
        self.first_at, self.last_at = "~", ""  # nothing yet: after and before every instant
        since, until = self.manifest["since"], self.manifest["until"]
        self._since, self._until = f'"{since}"' if since else "", f'"{until}"'
        # A whole bundle has every leaf, so the root of any smaller tree follows from it.
        self._frontier = Frontier() if older and kind == "whole" else None
        self._frontier_size = older.size if older else 0

    def check(self) -> None:
        """Check everything in the bundle. Raises: DiscrepancyError."""
        leaves = self._read_leaves()
        tree = BatchTree(self._read_runs(), leaves, self.archive.hashes("proof"))
        root = tree.root(self.checkpoint.size)
        for _ in leaves:  # to its end, where what is left over is found
            pass
        if root != self.checkpoint.root:
            where, signed = Place(member="checkpoint"), self.checkpoint.root.hex()
            raise DiscrepancyError("proof.root", where, "root", signed, root.hex())
        lines = self.opened_count + self.erased_count
        _count("payloads", self.manifest["payloads"], lines)
        self._check_erased()

    def root_of_older(self) -> bytes | None:
        """Return the root of the older tree, if the bundle has all of its leaves."""
        return self._frontier.root() if self._frontier else None

    def check_run(self, *, may_be_open: bool) -> bool:
        """Check that a run is there from its first to its closing entry; return whether it is."""
        stream = self.manifest["subject"].partition(":")[2]
        seq, is_closed = self.chains.end_of(stream)
        if not seq:
            raise DiscrepancyError("run.missing")
        if not is_closed and not may_be_open:
            raise DiscrepancyError(
                "run.not_closed",
                Place(stream=stream, seq=seq),
                "kind",
                CLOSING_KIND,
                "another kind",
            )
        return is_closed

    def _read_runs(self) -> Iterator[tuple[int, int]]:
        """Yield which leaves are in the bundle: first, and the one behind the last."""
        where, end, size = Place(member="leaves"), -1, self.checkpoint.size
        is_whole = self.manifest["kind"] == "whole"
        for lines in self.archive.lines("leaves", _RUN_LINE_BYTES):
            for line in lines:
                match = _RUN_LINE.fullmatch(line.decode("latin-1"))
                start = int(match[1]) if match else -1
                is_good = start == 0 and end < 0 if is_whole else start > end
                end = start + int(match[2]) if match else -1
                if not is_good or end > size or (is_whole and end != size):
                    expected = f"0 {size}" if is_whole else "runs that ascend and do not touch"
                    raise DiscrepancyError(
                        "leaves.form", where, expected=expected, found=line.decode("latin-1")
                    )
                yield start, end
        if is_whole and end != size and size:
            raise DiscrepancyError("leaves.form", where, "last leaf", size, end)

    def _read_leaves(self) -> Iterator[bytes]:
        """Yield the leaf of each entry, having checked the entry and its payloads."""
        indexes = (index for run in self._read_runs() for index in range(*run))
        expected = self.manifest["entries"]
        for part in range(-(-expected // PART_LINE_COUNT)):
            name, before = f"entries/{part:06}.jsonl", self.entry_count
            openings = Openings(self.archive, part)
            for lines in self.archive.lines(name, ENTRY_BYTES_MAX):
                for body in lines:
                    index = next(indexes, -1)
                    if index < 0:
                        _count("leaves", self.entry_count, "more entries")
                    try:
                        leaf = self._check_entry(body, index, openings)
                    except DiscrepancyError as problem:
                        if problem.where == NOWHERE:
                            problem.where = place_of(body, name, index)
                        raise
                    yield leaf
            openings.finish()
            _count(name, min(expected - before, PART_LINE_COUNT), self.entry_count - before)
        if next(indexes, None) is not None:
            _count("leaves", self.entry_count, "more leaves")

    def _check_entry(self, body: bytes, index: int, openings: Openings) -> bytes:
        literals = read_entry(body)
        at, data, kind, payloads, _, seq, source, stream = literals
        leaf = sha256(b"\x00" + body).digest()  # hash_leaf, without the call
        self.chains.add(literals, leaf)
        if self._since and not self._since <= at < self._until:
            period = f"{self._since} to {self._until}"
            raise DiscrepancyError("entry.period", NOWHERE, "at", period, at)
        if not self.first_at <= at:
            self.first_at = at
        self.last_at = max(self.last_at, at)
        if payloads != "{}" or source != "null" or openings.leaf <= index:
            commitments = read_commitments(payloads, source)
            self._check_payloads(commitments, (stream[1:-1], int(seq)), index, openings)
        if kind == _ERASING_LITERAL and self.unrecorded and stream[1:-1] == LEDGER_STREAM:
            self._strike_erased(data)
        if self._frontier and self.entry_count < self._frontier_size:
            self._frontier.push(leaf)
        self.entry_count += 1
        return leaf

    def _check_payloads(
        self,
        commitments: dict[str, str],
        entry: tuple[str, int],
        index: int,
        openings: Openings,
    ) -> None:
        self.hidden_count += len(commitments)
        previous = ""
        while openings.leaf <= index:
            leaf, name, salt, value = openings.take()
            if leaf < index or name <= previous:
                raise DiscrepancyError("payload.order", NOWHERE, f"payload {name}")
            previous = name
            committed = commitments.get(name)
            if committed is None:
                raise DiscrepancyError("payload.unknown", NOWHERE, f"payload {name}")
            place = (*entry, name)
            self.hidden_count -= 1
            if salt:
                check_opening(place, salt, value, committed)
                self.opened_count += 1
            else:
                self.unrecorded[place] = (index, committed)
                self.erased_count += 1

    def _strike_erased(self, data: str) -> None:
        """Note which erasures an entry `payload.redacted` records, for these commitments."""
        said = json.loads(data)
        places = said.get("places")
        for place in places if isinstance(places, list) else ():
            named = (said.get("stream"), *place[:2]) if isinstance(place, list) else ()
            if _is_payload(named) and self.unrecorded.get(named, (0, ""))[1] == place[-1]:
                del self.unrecorded[named]

    def _check_erased(self) -> None:
        if self.unrecorded and self.manifest["kind"] == "whole" and not self.manifest["unsealed"]:
            (stream, seq, name), (leaf, _) = next(iter(self.unrecorded.items()))
            where = Place(stream=stream, seq=seq, leaf=leaf)
            raise DiscrepancyError("payload.erased_unrecorded", where, f"payload {name}")


class Openings:
    """The payloads a reader may see, of one part, walked in step with its entries."""

    def __init__(self, archive: Archive, part: int) -> None:
        self._name = f"payloads/{part:06}.jsonl"
        lists = (
            archive.lines(self._name, OPENING_BYTES_MAX) if self._name in archive.members else ()
        )
        self._lines = (line for lines in lists for line in lines)
        self.leaf = _NO_LEAF  # of the next opening
        self._next: tuple[str, str, str] = ("", "", "")
        self._read()

    def take(self) -> tuple[int, str, str, str]:
        """Return leaf, name, salt and value of the next opening; an erased one has no salt."""
        taken = (self.leaf, *self._next)
        self._read()
        return taken

    def finish(self) -> None:
        """Refuse openings of no entry of the part."""
        if self.leaf != _NO_LEAF:
            raise DiscrepancyError("payload.order", Place(member=self._name, leaf=self.leaf))

    def _read(self) -> None:
        line = next(self._lines, None)
        if line is None:
            self.leaf = _NO_LEAF
            return
        value: str | None = ""
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = ""
        match = _ERASED.fullmatch(text)
        if match is None:
            match = _OPENING.match(text)
            value = _read_last_text(text, match.end()) if match else None
        if match is None or value is None:
            where = Place(member=self._name)
            raise DiscrepancyError("payload.form", where, found=line[:80].decode("latin-1"))
        salt = match[3] if match.re is _OPENING else ""
        self.leaf, self._next = int(match[1]), (match[2], salt, value)


def _read_last_text(text: str, start: int) -> str | None:
    """Return the canonical JSON text that begins before `start`, if an object ends behind it."""
    try:
        value, end = scanstring(text, start)
    except ValueError:
        return None
    is_good = text[end:] == "}" and encode_basestring(value) == text[start - 1 : end]
    return value if is_good else None


def check_opening(place: tuple[str, int, str], salt: str, value: str, committed: str) -> None:
    """Check that a salt and a value open what an entry committed to."""
    found = hash_payload(place, salt, value)
    if found != committed:
        about = f"payload {place[2]}"
        raise DiscrepancyError("payload.commitment", NOWHERE, about, committed, found)
    try:
        check_value(value)
    except (ValueError, RecursionError) as error:
        raise DiscrepancyError(
            "payload.value", NOWHERE, f"payload {place[2]}", found=error
        ) from None


def _is_payload(named: tuple[Any, ...]) -> bool:
    return len(named) == 3 and all(isinstance(part, (str, int)) for part in named)  # noqa: PLR2004


def _count(name: str, expected: object, found: object) -> None:
    if expected != found:
        raise DiscrepancyError("manifest.count", Place(member=name), "count", expected, found)


# -- 8. Receipts, checkpoints, and the way in ------------------------------------------------------

_RECEIPT_KEYS = ["checkpoint", "entry", "format", "index", "path", "payloads"]


@dataclass(frozen=True)
class Request:
    """What to check a file against.

    `older` is a signed checkpoint that the reader kept, `consistency` the path from it, one hash in
    hex a line; `origin` the log's name; `may_be_open` accepts a run without its closing entry.
    """

    keys: Sequence[Key]
    origin: str = ""
    older: bytes | None = None
    consistency: bytes | None = None
    may_be_open: bool = False


@dataclass
class Report:
    """What was checked and holds, in plain sentences, and what does not follow from it."""

    what: str
    checkpoint: Checkpoint
    counts: dict[str, int] = field(default_factory=dict)
    scope: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    not_shown: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return every part by name."""
        head = self.checkpoint
        return {
            "holds": True,
            "what": self.what,
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "signed_by": list(head.signers),
            "witnessed_by": list(head.witnesses),
            "unknown_signatures": head.unknown_count,
            **self.scope,
            "checked": self.counts,
            "said": self.said,
            "not_shown": self.not_shown,
            "discrepancy": None,
        }

    def __str__(self) -> str:
        lines = [f"It holds: this {self.what} is what was signed.", ""]
        lines += [f"  {line}" for line in self.said]
        if self.not_shown:
            lines += ["", "What this does not show:", *(f"  {line}" for line in self.not_shown)]
        return "\n".join(_printable(line, limit=2000) for line in lines)


def verify(file: BinaryIO, request: Request) -> Report:
    """Check a bundle, a receipt or a checkpoint.

    Args:
        file: open for reading bytes, at any place; it must be able to seek.
        request: the keys to believe, and what else is known.

    Raises:
        DiscrepancyError: it does not hold; the first thing that is wrong.
        UnusableError: nothing can be judged.
    """
    if not request.keys:
        raise UnusableError("key.none")
    file.seek(0)
    begins = file.read(4)
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _COMMENT_BYTES))
    if begins[:2] == b"PK" or file.read(4) == b"PK\x05\x06":
        return _verify_bundle(file, request)
    limit = RECEIPT_BYTES_MAX if begins[:1] == b"{" else NOTE_BYTES_MAX
    if size > limit:
        raise UnusableError("file.unknown")
    file.seek(0)
    raw = file.read()
    if begins[:1] != b"{":
        return _verify_note(raw, request)
    if b"\n{" in raw:  # JSON Lines; a receipt is one line
        raise UnusableError("file.unknown")
    return _verify_receipt(raw, request)


def _verify_bundle(file: BinaryIO, request: Request) -> Report:
    archive = Archive(file)
    checkpoint = _open_head(archive.read("checkpoint", NOTE_BYTES_MAX), request, "checkpoint")
    if checkpoint.size != archive.manifest["size"]:
        _count("checkpoint", archive.manifest["size"], checkpoint.size)
    kept = _open_kept(request, checkpoint)
    inner = _check_inner(archive, checkpoint, request)
    bundle = Bundle(archive, checkpoint, kept)
    bundle.check()
    report = Report("bundle", checkpoint)
    is_closed = False
    if bundle.manifest["kind"] == "run":
        is_closed = bundle.check_run(may_be_open=request.may_be_open)
    if kept is not None:
        _link_kept(kept, checkpoint, inner, bundle.root_of_older(), request)
    _describe_bundle(report, bundle, is_closed=is_closed)
    _describe_head(report, kept, inner)
    return report


def _verify_receipt(raw: bytes, request: Request) -> Report:
    try:
        receipt = load_canonical(raw.decode())
    except (ValueError, RecursionError) as error:
        raise DiscrepancyError("receipt.form", NOWHERE, "form", "canonical JSON", error) from None
    found = receipt.get("format")
    if found != RECEIPT_FORMAT:
        raise DiscrepancyError("receipt.format", NOWHERE, "format", RECEIPT_FORMAT, found)
    fault = _find_receipt_fault(receipt)
    if fault:
        raise DiscrepancyError("receipt.form", about=fault)
    try:
        return _judge_receipt(receipt, request)
    except DiscrepancyError as problem:
        if problem.where == NOWHERE:
            problem.where = place_of(receipt["entry"].encode(), "", receipt["index"])
        raise


def _judge_receipt(receipt: dict[str, Any], request: Request) -> Report:
    """Check a receipt of the right form. What it raises may not say where."""
    body, index = receipt["entry"].encode(), receipt["index"]
    at, _, kind, payloads, _, seq_literal, source, stream_literal = read_entry(body)
    stream, seq = stream_literal[1:-1], int(seq_literal)
    checkpoint = _open_head(receipt["checkpoint"].encode(), request, "checkpoint")
    path = [_read_hash(item, NOWHERE) for item in receipt["path"]]
    root = root_of_inclusion(hash_leaf(body), index, checkpoint.size, path)
    if root != checkpoint.root:
        found = root.hex() if root else "no root: the path does not fit the index"
        raise DiscrepancyError("proof.root", NOWHERE, "root", checkpoint.root.hex(), found)
    commitments = read_commitments(payloads, source)
    _check_receipt_payloads(receipt["payloads"], commitments, (stream, seq))
    kept = _open_kept(request, checkpoint)
    if kept is not None:
        _link_kept(kept, checkpoint, None, None, request)
    report = Report("receipt", checkpoint)
    count = len(receipt["payloads"])
    report.counts = {"entries": 1, "payloads": count, "hidden": len(commitments) - count}
    report.scope = {"stream": stream, "seq": seq, "leaf_index": index}
    report.said.append(
        f"Entry {seq} of stream {stream}, {kind[1:-1]} at {at[1:-1]}, is leaf {index};"
        f" {count} of its {len(commitments)} payloads are opened."
    )
    report.not_shown.append("What came before and after this entry.")
    _describe_head(report, kept, None)
    return report


def _verify_note(raw: bytes, request: Request) -> Report:
    checkpoint = _open_head(raw, request, "checkpoint")
    kept = _open_kept(request, checkpoint)
    if kept is not None:
        _link_kept(kept, checkpoint, None, None, request)
    report = Report("checkpoint", checkpoint)
    report.not_shown.append("Any entry: a checkpoint only says what the entries must add up to.")
    _describe_head(report, kept, None)
    return report


def _find_receipt_fault(receipt: dict[str, Any]) -> str:
    """Return the first key whose value cannot be, or ""."""
    if sorted(receipt) != _RECEIPT_KEYS:
        return "keys"
    if not isinstance(receipt["entry"], str):
        return "entry"
    if not _is_count(receipt["index"]):
        return "index"
    path, payloads = receipt["path"], receipt["payloads"]
    if not _is_texts(path) or len(path) > PATH_LENGTH_MAX:
        return "path"
    if not isinstance(receipt["checkpoint"], str):
        return "checkpoint"
    is_good = isinstance(payloads, list) and all(
        isinstance(item, dict)
        and sorted(item) == ["name", "salt", "value"]
        and _is_texts(list(item.values()))
        for item in payloads
    )
    return "" if is_good else "payloads"


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _check_receipt_payloads(
    openings: list[dict[str, str]], commitments: dict[str, str], entry: tuple[str, int]
) -> None:
    names = [opening["name"] for opening in openings]
    if names != sorted(set(names)):
        raise DiscrepancyError("payload.order", about="payloads")
    for opening in openings:
        name, salt = opening["name"], opening["salt"]
        if name not in commitments:
            raise DiscrepancyError("payload.unknown", NOWHERE, f"payload {name}")
        if re.fullmatch(_DIGEST, salt) is None:
            raise DiscrepancyError("payload.form", NOWHERE, f"salt of payload {name}")
        check_opening((*entry, name), salt, opening["value"], commitments[name])


def _open_head(raw: bytes, request: Request, member: str) -> Checkpoint:
    checkpoint = open_checkpoint(raw, request.keys, member=member)
    if not checkpoint.signers and not request.origin:
        # A witness signs for many logs, and does not say which of them is meant.
        raise DiscrepancyError(
            "note.unknown_key",
            Place(member=member),
            "signatures",
            "a key of the log, or its name with --origin",
            f"witnesses of {checkpoint.origin}",
        )
    if request.origin and checkpoint.origin != request.origin:
        raise DiscrepancyError(
            "note.other_log", Place(member=member), "origin", request.origin, checkpoint.origin
        )
    return checkpoint


def _open_kept(request: Request, checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the checkpoint that the reader kept, if it is not at odds with the newer one."""
    if request.older is None:
        return None
    kept = _open_head(request.older, request, "the older checkpoint")
    compare_heads(kept, checkpoint, Place(member="the older checkpoint"))
    return kept


def _check_inner(archive: Archive, checkpoint: Checkpoint, request: Request) -> Checkpoint | None:
    """Check the older checkpoint inside a bundle and the path from it."""
    if "older" not in archive.members:
        return None
    inner = _open_head(archive.read("older", NOTE_BYTES_MAX), request, "older")
    compare_heads(inner, checkpoint, Place(member="older"))
    path = list(islice(archive.hashes("consistency"), PATH_LENGTH_MAX + 2))
    check_consistency(inner, checkpoint, path, Place(member="consistency"))
    return inner


def _link_kept(
    kept: Checkpoint,
    checkpoint: Checkpoint,
    inner: Checkpoint | None,
    computed: bytes | None,
    request: Request,
) -> None:
    """Check that the newer tree begins with the one that was kept, by whatever shows it."""
    where = Place(member="the older checkpoint")
    if kept.size in {0, checkpoint.size}:
        return  # compared already
    if request.consistency is not None:
        path = _read_path(request.consistency)
        check_consistency(kept, checkpoint, path, where)
        return
    if inner is not None and inner.size == kept.size:
        compare_heads(kept, inner, where)
    elif computed is None:
        raise UnusableError(
            "older.no_path", expected=f"a path from {kept.size} to {checkpoint.size}", found="none"
        )
    elif computed != kept.root:
        raise DiscrepancyError(
            "older.inconsistent",
            where,
            f"root of the first {kept.size} entries",
            kept.root.hex(),
            computed.hex(),
        )


def _read_path(raw: bytes) -> list[bytes]:
    """Return the hashes of a consistency path: one a line, or as the server's API answers."""
    text = raw.decode("latin-1")
    try:
        answer = json.loads(text) if text.lstrip().startswith("{") else None
        lines = text.split() if answer is None else [str(line) for line in answer["path"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnusableError("older.no_path", about="the given path") from None
    return [_read_hash(line, Place(member="the given path")) for line in lines]


def _describe_head(report: Report, kept: Checkpoint | None, inner: Checkpoint | None) -> None:
    head = report.checkpoint
    names = " and ".join(head.signers) or "no key of the log that was given"
    report.said.append(
        f"The log {head.origin} had {head.size} entries, with the root {head.root.hex()},"
        f" signed by {names}."
    )
    report.said.extend(f"Witnessed by {witness}." for witness in head.witnesses)
    for older, name in ((inner, "of the bundle"), (kept, "that you kept")):
        if older is not None:
            report.said.append(
                f"It begins with the {older.size} entries of the older checkpoint {name}:"
                " none of those was changed, moved or taken out."
            )
    if kept is None:
        report.not_shown.append(
            "That the log shows the same to everybody, and has not been rewritten since you last"
            " looked: --older with a checkpoint you kept shows that."
        )
    if head.unknown_count:
        report.not_shown.append(
            f"Anything by {head.unknown_count} more signatures, of keys that were not given or are"
            " another log's."
        )


def _describe_bundle(report: Report, bundle: Bundle, *, is_closed: bool) -> None:
    manifest = bundle.manifest
    kind, subject = manifest["kind"], manifest["subject"]
    scope = subject or ("the whole log" if kind == "whole" else "a period")
    report.scope = {key: manifest[key] for key in ("kind", "subject", "since", "until")}
    report.scope["complete"] = is_closed if kind == "run" else kind == "whole"
    report.counts = {
        "entries": bundle.entry_count,
        "streams": len(bundle.chains),
        "payloads": bundle.opened_count,
        "erased": bundle.erased_count,
        "hidden": bundle.hidden_count,
        "unsealed": manifest["unsealed"],
    }
    during = (
        f", from {bundle.first_at[1:-1]} to {bundle.last_at[1:-1]}" if bundle.entry_count else ""
    )
    report.said.append(
        f"{bundle.entry_count} entries of {len(bundle.chains)} streams ({scope}){during}, are in"
        " the signed tree, unchanged, each at its place."
    )
    report.said.append(
        f"{bundle.opened_count} payloads are what their entries committed to;"
        f" {bundle.erased_count} were erased, {bundle.hidden_count} are not in this file."
    )
    if kind == "whole":
        report.said.append("Nothing is left out: these are all entries of the signed tree.")
    elif kind == "run" and is_closed:
        report.said.append("The run is complete, from its first entry to its closing one.")
    elif kind == "run":
        report.not_shown.append("How the run went on: it has no closing entry here.")
    if kind == "run":
        report.not_shown.append(
            "That the other streams here are all of the run's, are its only, or are whole to their"
            " ends: each is unbroken from its first entry to the last that is here."
        )
    elif kind != "whole":
        report.not_shown.append("That no entry was left out: only a run or the whole log can.")
    if manifest["unsealed"]:
        report.not_shown.append(f"{manifest['unsealed']} entries that were not sealed yet.")
    if bundle.unrecorded:
        report.not_shown.append(
            f"Who had {len(bundle.unrecorded)} of the erased payloads erased: that record is not in"
            " this file."
        )


# -- 9. The command line --------------------------------------------------------------------------


def read_keys(texts: Iterable[str], files: Iterable[Path]) -> list[Key]:
    """Return the keys that were given, one a line in files. Raises: UnusableError."""
    lines = [text.strip() for text in texts]
    for path in files:
        text = read_file(path, KEY_FILE_BYTES_MAX).decode(errors="replace")
        lines += [line.strip() for line in text.splitlines() if not line.startswith("#")]
    return [parse_key(line) for line in lines if line]


def read_file(path: Path, longest: int) -> bytes:
    """Return a file's bytes. Raises: UnusableError."""
    try:
        with path.open("rb") as file:
            raw = file.read(longest + 1)
    except OSError as error:
        raise UnusableError("file.unreadable", about=str(path), found=error.strerror) from None
    if len(raw) > longest:
        raise UnusableError(
            "file.too_large", about=str(path), expected=f"at most {longest} bytes", found="more"
        )
    return raw


def read_given(path: Path | None) -> bytes | None:
    """Return the bytes of a small file that may be given. Raises: UnusableError."""
    return None if path is None else read_file(path, NOTE_BYTES_MAX)


def verify_path(path: Path, request: Request) -> Report:
    """Check a file. Raises: DiscrepancyError, UnusableError."""
    try:
        with path.open("rb") as file:
            return verify(file, request)
    except OSError as error:
        raise UnusableError("file.unreadable", about=str(path), found=error.strerror) from None


def as_json(problem: ProblemError) -> dict[str, Any]:
    """Return what `--json` prints of a problem."""
    return {"holds": False, "judged": problem.exit_code == 1, "discrepancy": problem.as_json()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names; return the exit code."""
    given = _parse(arguments)
    try:
        request = Request(
            keys=read_keys(given.key, given.key_file),
            origin=given.origin,
            older=read_given(given.older),
            consistency=read_given(given.consistency),
            may_be_open=given.open,
        )
        report = verify_path(given.file, request)
    except ProblemError as problem:
        said = "It does NOT hold. " if problem.exit_code == 1 else "It cannot be judged. "
        text = (
            json.dumps(as_json(problem), indent=2)
            if given.json
            else f"{said}{problem} [{problem.code}]"
        )
        (sys.stdout if given.json else sys.stderr).write(text + "\n")
        return problem.exit_code
    sys.stdout.write((json.dumps(report.as_json(), indent=2) if given.json else str(report)) + "\n")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Check a bundle, a receipt or a checkpoint of a Countersign ledger, offline.",
        epilog="Exit code 0: it holds. 1: it does not. 2: there is nothing to judge.",
    )
    parser.add_argument("file", type=Path, help="the bundle, receipt or checkpoint")
    parser.add_argument(
        "--key", action="append", default=[], metavar="VKEY", help="a key to believe"
    )
    parser.add_argument(
        "--key-file",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="keys, one a line",
    )
    parser.add_argument("--origin", default="", help="the log's name, if it must be this one")
    parser.add_argument("--older", type=Path, metavar="FILE", help="a checkpoint you kept")
    parser.add_argument(
        "--consistency", type=Path, metavar="FILE", help="the path from it, one hash a line"
    )
    parser.add_argument("--open", action="store_true", help="accept a run that still goes on")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
