"""Writes bundles and receipts as docs/reference/bundle.md says. Read `write_bundle` first.

A reference for tests: plain and slow, whole values in memory, no code shared with the server's
exporter or with the verifier. What the exporter writes must be equal byte for byte.
"""

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PART_LINE_COUNT = 10_000
DOS_DATE = 33  # 1980-01-01
STORED = 0
DEFLATED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key of a log, from a seed of 32 bytes."""

    name: str
    seed: bytes

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    @property
    def vkey(self) -> str:
        """The text that readers are given. Source: C2SP signed-note."""
        return vkey_text(self.name, b"\x01" + self.public)

    def sign_line(self, text: str) -> str:
        """Return the signature line of a note's text."""
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return _line(self.name, key_id(self.name, b"\x01" + self.public) + signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness that cosigns checkpoints. Source: C2SP tlog-cosignature."""

    name: str
    seed: bytes

    @property
    def vkey(self) -> str:
        """The text that readers are given."""
        return vkey_text(self.name, b"\x04" + self._key.public_key().public_bytes_raw())

    def sign_line(self, text: str, *, at: int) -> str:
        """Return the cosignature of a note's text at a POSIX time."""
        signature = self._key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        own = key_id(self.name, b"\x04" + self._key.public_key().public_bytes_raw())
        return _line(self.name, own + struct.pack(">Q", at) + signature)

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a reader sees of a payload. `value` is its JCS text; `salt` None says it was erased."""

    name: str
    salt: bytes | None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """One entry with its place in the tree."""

    index: int
    body: bytes
    openings: Sequence[Opening] = ()


@dataclass(slots=True, kw_only=True)
class Contents:
    """What a bundle says, before it is an archive. `leaves` are all of the tree, 32 bytes each."""

    note: str
    leaves: Sequence[bytes]
    entries: Sequence[Sealed]
    kind: str = "whole"
    subject: str | None = None
    since: str | None = None
    until: str | None = None
    unsealed: int = 0
    older: str | None = None
    older_size: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the manifest, for tests


@dataclass(slots=True, kw_only=True)
class Member:
    """One member of the archive, unpacked."""

    name: str
    content: bytes
    method: int = DEFLATED


def leaf_hash(body: bytes) -> bytes:
    """Return the leaf of an entry. Source: RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + body).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaves. Source: RFC 6962 §2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return _node(tree_root(leaves[:split]), tree_root(leaves[split:]))


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the path of a leaf. Source: RFC 9162 §2.1.3.1."""
    if len(leaves) <= 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_path(leaves[:split], index), tree_root(leaves[split:])]
    return [*inclusion_path(leaves[split:], index - split), tree_root(leaves[:split])]


def consistency_path(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return the path from the tree of the first leaves. Source: RFC 9162 §2.1.4.1."""
    return _subproof(leaves, first, is_known=True) if 0 < first < len(leaves) else []


def batch_path(leaves: Sequence[bytes], known: Iterable[int]) -> list[bytes]:
    """Return the batch path of the leaves with these indexes."""
    if not leaves:
        return []
    return _batch(leaves, 0, set(known))


def checkpoint_text(*, origin: str, size: int, root: bytes) -> str:
    """Return what is signed. Source: C2SP tlog-checkpoint."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def sign_checkpoint(signers: Sequence[Signer], *, leaves: Sequence[bytes], origin: str = "") -> str:
    """Return the signed checkpoint of a tree; its origin is the first key's name."""
    text = checkpoint_text(
        origin=origin or signers[0].name, size=len(leaves), root=tree_root(leaves)
    )
    return text + "\n" + "".join(signer.sign_line(text) for signer in signers)


def make_members(contents: Contents) -> list[Member]:
    """Return the members of a bundle but its manifest, in order."""
    entries = contents.entries
    parts = [entries[at : at + PART_LINE_COUNT] for at in range(0, len(entries), PART_LINE_COUNT)]
    members = [Member(name="checkpoint", content=contents.note.encode(), method=STORED)]
    for number, part in enumerate(parts):
        lines = b"".join(entry.body + b"\n" for entry in part)
        members.append(Member(name=f"entries/{number:06}.jsonl", content=lines))
    for number, part in enumerate(parts):
        shown = "".join(_opening_line(entry.index, it) for entry in part for it in entry.openings)
        if shown:
            members.append(Member(name=f"payloads/{number:06}.jsonl", content=shown.encode()))
    known = [entry.index for entry in entries]
    runs = "".join(f"{start} {count}\n" for start, count in _runs(known))
    members.append(Member(name="leaves", content=runs.encode()))
    proof = _hex_lines(batch_path(contents.leaves, known))
    members.append(Member(name="proof", content=proof))
    if contents.older is not None:
        path = consistency_path(contents.leaves, contents.older_size)
        members.append(Member(name="older", content=contents.older.encode(), method=STORED))
        members.append(Member(name="consistency", content=_hex_lines(path), method=STORED))
    return members


def make_manifest(contents: Contents, members: Sequence[Member]) -> dict[str, Any]:
    """Return what `manifest.json` says about these members."""
    return {
        "format": "countersign-bundle/v1",
        "kind": contents.kind,
        "subject": contents.subject,
        "since": contents.since,
        "until": contents.until,
        "entries": len(contents.entries),
        "payloads": sum(len(entry.openings) for entry in contents.entries),
        "size": len(contents.leaves),
        "unsealed": contents.unsealed,
        "members": [_describe(member) for member in members],
        **contents.changes,
    }


def write_bundle(contents: Contents) -> bytes:
    """Return the bytes of a bundle."""
    members = make_members(contents)
    return write_archive(members, make_manifest(contents, members))


def write_archive(members: Sequence[Member], manifest: Mapping[str, Any]) -> bytes:
    """Return the archive of these members and this manifest."""
    text = canonical(manifest).encode()
    last = Member(name="manifest.json", content=text, method=STORED)
    body, directory = b"", b""
    for member in [*members, last]:
        packed = pack(member)
        offset = len(body)
        values = struct.pack(
            "<HHHHHIIIHH",
            *(20, 0, member.method, 0, DOS_DATE),
            *(zlib.crc32(member.content), len(packed), len(member.content)),
            *(len(member.name), 0),
        )
        body += b"PK\x03\x04" + values + member.name.encode() + packed
        tail = struct.pack("<HHHII", 0, 0, 0, 0, offset)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + values + tail + member.name.encode()
    comment = b"sha256:" + hashlib.sha256(text).hexdigest().encode()
    count = len(members) + 1
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), len(comment))
    return body + directory + b"PK\x05\x06" + end + comment


def write_receipt(*, leaves: Sequence[bytes], entry: Sealed, note: str, **changes: Any) -> bytes:
    """Return the bytes of a receipt."""
    openings = [
        {"name": it.name, "salt": it.salt.hex(), "value": it.value}
        for it in entry.openings
        if it.salt is not None
    ]
    document = {
        "format": "countersign-receipt/v1",
        "entry": entry.body.decode(),
        "index": entry.index,
        "path": [item.hex() for item in inclusion_path(leaves, entry.index)],
        "checkpoint": note,
        "payloads": openings,
        **changes,
    }
    return canonical(document).encode()


def canonical(value: Any) -> str:
    """Return JCS of values with ASCII keys and no floats. Source: RFC 8785."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def pack(member: Member) -> bytes:
    """Return a member's bytes as they are stored."""
    if member.method == STORED:
        return member.content
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(member.content) + packer.flush()


def vkey_text(name: str, key: bytes) -> str:
    """Return a verifier key. Source: C2SP signed-note."""
    return f"{name}+{key_id(name, key).hex()}+{base64.b64encode(key).decode()}"


def key_id(name: str, key: bytes) -> bytes:
    """Return the 4 bytes that say which key signed. Source: C2SP signed-note."""
    return hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]


def _line(name: str, signature: bytes) -> str:
    return f"\u2014 {name} {base64.b64encode(signature).decode()}\n"


def _opening_line(index: int, opening: Opening) -> str:
    if opening.salt is None:
        return canonical({"erased": True, "leaf": index, "name": opening.name}) + "\n"
    line = {
        "leaf": index,
        "name": opening.name,
        "salt": opening.salt.hex(),
        "value": opening.value,
    }
    return canonical(line) + "\n"


def _describe(member: Member) -> dict[str, Any]:
    packed = pack(member)
    return {
        "name": member.name,
        "method": "stored" if member.method == STORED else "deflated",
        "bytes": len(member.content),
        "packed": len(packed),
        "sha256": hashlib.sha256(packed).hexdigest(),
    }


def _hex_lines(hashes: Iterable[bytes]) -> bytes:
    return "".join(f"{item.hex()}\n" for item in hashes).encode()


def _runs(indexes: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in indexes:
        if runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def _subproof(leaves: Sequence[bytes], first: int, *, is_known: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if is_known else [tree_root(leaves)]
    split = _split(len(leaves))
    if first <= split:
        path = _subproof(leaves[:split], first, is_known=is_known)
        return [*path, tree_root(leaves[split:])]
    path = _subproof(leaves[split:], first - split, is_known=False)
    return [*path, tree_root(leaves[:split])]


def _batch(leaves: Sequence[bytes], start: int, known: set[int]) -> list[bytes]:
    if known.isdisjoint(range(start, start + len(leaves))):
        return [tree_root(leaves)]
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    return [
        *_batch(leaves[:split], start, known),
        *_batch(leaves[split:], start + split, known),
    ]
