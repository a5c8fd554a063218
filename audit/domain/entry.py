"""Ledger entries: from drafts to canonical bytes and back. Read `extend` first, then `read_entry`.

An entry is its canonical bytes `E`; its leaf and its query columns are derived from them. Content
that may be personal or large stays outside `E`, which only commits to it with a salt, so that it
can be erased later without breaking the chain. Source: the ledger's specification §1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from audit.domain import document
from audit.domain.errors import (
    EntryInvalidError,
    EntryTooLargeError,
    PayloadTooLargeError,
    StreamNameError,
)
from core.kernel.canonical import canonical_bytes
from core.kernel.limits import ENTRY_BYTES_MAX, PAYLOAD_BYTES_MAX
from core.kernel.record import Actor, ActorKind, Draft, Via
from core.kernel.types import Json, JsonLike

EMPTY_HEAD = bytes(32)  # the head of a stream without entries, and `prev` of the first one
SOURCE_PAYLOAD = "source"  # the payload that holds the caller's address

_COMMITMENT_PREFIX = b"countersign/commit/v1\n"
_LEAF_PREFIX = b"\x00"
_VERSION_LITERAL = str(document.ENTRY_VERSION)
_STREAM_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}(?::(?P<row_id>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """Where a stream ends: the number of its last entry, from 1, and its leaf (32 bytes)."""

    stream: UUID
    seq: int = 0
    head: bytes = EMPTY_HEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPayload:
    """One value an entry commits to: its JCS bytes and the 32 random bytes that hide it."""

    name: str
    salt: bytes
    value_bytes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltEntry:
    """An entry ready to be stored: canonical bytes, leaf (32 bytes), and what is derived."""

    stream: UUID
    seq: int
    kind: str
    at: datetime
    actor_id: str
    subject: str
    scope: UUID | None
    leaf: bytes
    body: bytes
    payloads: tuple[BuiltPayload, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """What an entry says, decoded when asked.

    Texts are "" where the entry says nothing, as in `Draft`. `literals` is the JSON text of each
    key.
    """

    literals: Mapping[str, str]

    @property
    def stream(self) -> UUID:
        """The stream's id."""
        return UUID(self._text("stream"))

    @property
    def seq(self) -> int:
        """The entry's number in its stream, from 1."""
        return int(self.literals["seq"])

    @property
    def prev(self) -> bytes:
        """The leaf of the entry before, 32 bytes."""
        return bytes.fromhex(self._text("prev"))

    @property
    def kind(self) -> str:
        """What happened, `noun.verbed`."""
        return self._text("kind")

    @property
    def at(self) -> datetime:
        """When, in UTC."""
        return document.read_instant(self.literals["at"])

    @property
    def actor(self) -> Actor:
        """Who acted."""
        return _read_actor(self.literals["actor"])

    @property
    def on_behalf_of(self) -> Actor | None:
        """For whom, if not for themselves."""
        literal = self.literals["on_behalf_of"]
        return None if literal == "null" else _read_actor(literal)

    @property
    def via(self) -> Via:
        """The channel the act came through."""
        return Via(self._text("via"))

    @property
    def auth(self) -> str:
        """How the actor proved who they are."""
        return self._text("auth")

    @property
    def request_id(self) -> str:
        """The id of the request that caused this, as in the logs."""
        return self._text("request_id")

    @property
    def subject(self) -> str:
        """What the entry is about."""
        return self._text("subject")

    @property
    def version(self) -> str:
        """The digest of the workflow version concerned, hex."""
        return self._text("version")

    @property
    def scope(self) -> UUID | None:
        """The identity scope whose readers may see the entry."""
        text = self._text("scope")
        return UUID(text) if text else None

    @property
    def state_from(self) -> str:
        """The state before."""
        return self._text("from")

    @property
    def state_to(self) -> str:
        """The state after."""
        return self._text("to")

    @property
    def shown(self) -> str:
        """The digest of what was shown to the actor, hex."""
        return self._text("shown")

    @property
    def policy(self) -> str:
        """What the authority check said."""
        return self._text("policy")

    @property
    def reason(self) -> str:
        """The reason code."""
        return self._text("reason")

    @property
    def data(self) -> Mapping[str, Json]:
        """Small facts that are part of the hashed bytes."""
        return document.read_data(self.literals["data"])

    @property
    def commitments(self) -> Mapping[str, bytes]:
        """Every payload's commitment (32 bytes) by name, the source address included."""
        commitments = document.read_commitments(self.literals["payloads"])
        source = self._text("source")
        if source:
            commitments[SOURCE_PAYLOAD] = source
        return {name: bytes.fromhex(value) for name, value in commitments.items()}

    def _text(self, key: str) -> str:
        return document.read_text(self.literals[key])


def stream_id_of(name: str) -> UUID:
    """Return the id of a stream from its name.

    `run:<uuid>` has the row's UUID; a name alone, such as `access`, the first 16 bytes of its
    SHA-256.

    Raises:
        StreamNameError: if the name is neither, or the UUID is not in its usual form.
    """
    match = _STREAM_NAME.fullmatch(name)
    if match is None:
        raise StreamNameError(f"{name[:80]!r} is not the name of a stream.")
    row_id = match["row_id"]
    if row_id is None:
        return UUID(bytes=sha256(name.encode()).digest()[:16])
    try:
        stream = UUID(row_id)
    except ValueError as error:
        raise StreamNameError(f"{name[:80]!r} does not end in a UUID.") from error
    if str(stream) != row_id:
        raise StreamNameError(f"{name[:80]!r}: write the UUID as {stream}.")
    return stream


def leaf_hash(body: bytes) -> bytes:
    """Return the leaf of an entry's bytes, 32 bytes. Source: RFC 6962 §2.1."""
    return sha256(_LEAF_PREFIX + body).digest()


def commitment(
    *, stream: UUID | str, seq: int, name: str, value_bytes: bytes, salt: bytes
) -> bytes:
    """Return what an entry says about a payload, 32 bytes.

    SHA-256 of the prefix `countersign/commit/v1` with a line feed, the salt, and the JCS bytes of
    `[stream, seq, name, value]`; the value comes as its own JCS bytes, so the array is put together
    around them.
    """
    return _commitment(place=_place(str(stream), seq), name=name, value=value_bytes, salt=salt)


def extend(
    *, head: StreamHead, drafts: Sequence[Draft], salts: Callable[[], bytes]
) -> tuple[StreamHead, tuple[BuiltEntry, ...]]:
    """Chain drafts to the end of a stream.

    Args:
        head: where the stream ends now.
        drafts: what happened, in order.
        salts: gives 32 fresh random bytes at each call.

    Returns:
        The new head and one entry a draft, in order.

    Raises:
        EntryInvalidError: for a malformed kind, digest, payload name or instant, or NUL in a text.
        UncanonicalError: if data or a payload has no canonical form in its profile.
        EntryTooLargeError: if an entry is over 65,535 bytes.
        PayloadTooLargeError: if a payload is over its bound.
    """
    stream = str(head.stream)
    seq, prev = head.seq, head.head
    entries = []
    for draft in drafts:
        seq += 1
        at = document.in_utc(draft.at)
        payloads, commitments = _commit(draft, place=_place(stream, seq), salts=salts)
        literals = _literals(draft, at=at, commitments=commitments)
        literals["stream"] = f'"{stream}"'
        literals["seq"] = str(seq)
        literals["prev"] = f'"{prev.hex()}"'
        body = document.write(literals)
        if len(body) > ENTRY_BYTES_MAX:
            raise EntryTooLargeError(
                f"The entry {draft.kind} has {len(body)} bytes, over {ENTRY_BYTES_MAX}."
            )
        prev = leaf_hash(body)
        entries.append(
            BuiltEntry(
                stream=head.stream,
                seq=seq,
                kind=draft.kind,
                at=at,
                actor_id=draft.origin.actor.id,
                subject=draft.subject,
                scope=draft.scope,
                leaf=prev,
                body=body,
                payloads=payloads,
            )
        )
    return StreamHead(stream=head.stream, seq=seq, head=prev), tuple(entries)


def read_entry(body: bytes) -> EntryView:
    """Read an entry's canonical bytes, strictly: there is one form of each entry.

    Raises:
        EntryInvalidError: if the bytes are not an entry in that form.
    """
    return EntryView(literals=document.parse(body))


def _literals(draft: Draft, *, at: datetime, commitments: dict[str, str]) -> dict[str, str]:
    """Return the literals that do not depend on the entry's place."""
    origin, scope = draft.origin, draft.scope
    on_behalf_of = origin.on_behalf_of
    return {
        "v": _VERSION_LITERAL,
        "kind": document.write_text(draft.kind),
        "at": document.write_instant(at),
        "actor": _write_actor(origin.actor),
        "on_behalf_of": "null" if on_behalf_of is None else _write_actor(on_behalf_of),
        "via": document.write_text(origin.via),
        "auth": document.write_text(origin.auth),
        "request_id": document.write_text(origin.request_id),
        "source": document.write_text(commitments.pop(SOURCE_PAYLOAD, "")),
        "subject": document.write_text(draft.subject),
        "version": document.write_text(draft.version),
        "scope": "null" if scope is None else f'"{scope}"',
        "from": document.write_text(draft.state_from),
        "to": document.write_text(draft.state_to),
        "shown": document.write_text(draft.shown),
        "policy": document.write_text(draft.policy),
        "reason": document.write_text(draft.reason),
        "data": document.write_data(dict(draft.data)),
        "payloads": document.write_commitments(commitments),
    }


def _commit(
    draft: Draft, *, place: str, salts: Callable[[], bytes]
) -> tuple[tuple[BuiltPayload, ...], dict[str, str]]:
    """Return a draft's payloads, and their commitments (hex) by name."""
    values: dict[str, JsonLike] = dict(draft.payloads)
    if SOURCE_PAYLOAD in values:
        raise EntryInvalidError("payloads: 'source' is the origin's.", field="payloads")
    if draft.origin.source_address:
        values[SOURCE_PAYLOAD] = draft.origin.source_address
    payloads = []
    commitments = {}
    for name, value in values.items():
        value_bytes = canonical_bytes(value)
        if len(value_bytes) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLargeError(
                f"The payload {name} has {len(value_bytes)} bytes, over {PAYLOAD_BYTES_MAX}."
            )
        salt = salts()
        payloads.append(BuiltPayload(name=name, salt=salt, value_bytes=value_bytes))
        commitments[name] = _commitment(place=place, name=name, value=value_bytes, salt=salt).hex()
    return tuple(payloads), commitments


def _place(stream: str, seq: int) -> str:
    return f'["{stream}",{seq},'


def _commitment(*, place: str, name: str, value: bytes, salt: bytes) -> bytes:
    # The grammar keeps names free of quotes and backslashes, so a name is its own JCS.
    opening = f'{place}"{name}",'.encode()
    return sha256(b"".join((_COMMITMENT_PREFIX, salt, opening, value, b"]"))).digest()


def _write_actor(actor: Actor) -> str:
    return document.write_actor(actor_id=actor.id, kind=actor.kind)


def _read_actor(literal: str) -> Actor:
    actor = document.read_data(literal)
    return Actor(id=str(actor["id"]), kind=ActorKind(str(actor["kind"])))
