"""Signed notes: a text and who signed it. Read `open_note` first.

A note is text that ends in a line feed, an empty line, and one line a signature. Keys travel as
one line of text each. Source: C2SP signed-note (v1), and C2SP tlog-cosignature (v1) for the
signatures of witnesses, which say when they signed.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.domain.errors import NoteInvalidError, NoteUnverifiedError

NOTE_BYTES_MAX: Final = 65_536
SIGNATURE_COUNT_MAX: Final = 32
KEY_NAME_LENGTH_MAX: Final = 255

ED25519: Final = 0x01
COSIGNATURE_V1: Final = 0x04

_KEY_ID_BYTES = 4
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_SECONDS_MAX = 2**63 - 1  # C2SP tlog-cosignature
_SECRET_PREFIX = "PRIVATE+KEY+"  # noqa: S105 - what the format calls it, no key
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^\s+]{1,255}) (?P<blob>[A-Za-z0-9+/]+={0,2})")
_KEY_LINE = re.compile(r"(?P<name>[^\s+]{1,255})\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+=*)")
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f]")  # a note's text holds lines and nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """A signature line: the key's name, its id (4 bytes), and the bytes that follow the id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text, which ends in a line feed, and its signatures: not checked yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with the name it signs under. `algorithm` is the format's signature type."""

    name: str
    algorithm: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key's line, `name+id+base64`.

        Raises:
            NoteInvalidError: if it is not one, its id is not its own, or its type is unknown.
        """
        name, key_id, blob = _parse_key(text)
        key = cls(name=name, algorithm=blob[0], public=blob[1:])
        if key.algorithm not in {ED25519, COSIGNATURE_V1} or len(key.public) != _KEY_BYTES:
            raise NoteInvalidError(f"The key of {name} is of a type that is not known here.")
        if key.key_id != key_id:
            raise NoteInvalidError(
                f"The key of {name} has the id {key.key_id.hex()}, not {key_id.hex()}."
            )
        return key

    @property
    def key_id(self) -> bytes:
        """Its id, 4 bytes, which finds the signature line. Source: C2SP signed-note."""
        named = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return sha256(named).digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """Its line."""
        blob = b64encode(bytes([self.algorithm]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{blob}"

    def check(self, text: str, signature: bytes) -> int | None:
        """Check a signature of this key over a note's text.

        Returns:
            When it was made, in seconds since 1970, if it says so; only a witness's does.

        Raises:
            NoteUnverifiedError: if it does not hold.
        """
        message, at = text.encode(), None
        if self.algorithm == COSIGNATURE_V1:
            at = int.from_bytes(signature[:_TIME_BYTES], "big")
            if at > _SECONDS_MAX:
                raise NoteUnverifiedError(f"The signature of {self.name} is of no time there is.")
            message = f"cosignature/v1\ntime {at}\n".encode() + message
            signature = signature[_TIME_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise NoteUnverifiedError(
                f"The signature of {self.name}+{self.key_id.hex()} does not hold."
            ) from error
        return at


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SigningKey:
    """A private key with the name it signs under. Its `repr` keeps the secret to itself."""

    name: str
    seed: bytes

    @classmethod
    def generate(cls, name: str, *, seed: bytes) -> Self:
        """Make a key of 32 random bytes.

        Raises:
            NoteInvalidError: if the name cannot stand in a note.
        """
        check_key_name(name)
        assert len(seed) == _KEY_BYTES, "an Ed25519 seed has 32 bytes"
        return cls(name=name, seed=seed)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a private key's line.

        Raises:
            NoteInvalidError: if it is not one; never with the line in the message.
        """
        if not text.startswith(_SECRET_PREFIX):
            raise NoteInvalidError("This is not the line of a private key.")
        name, key_id, blob = _parse_key(text.removeprefix(_SECRET_PREFIX))
        if blob[0] != ED25519 or len(blob) != 1 + _KEY_BYTES:
            raise NoteInvalidError(f"The private key of {name} is of a type not known here.")
        key = cls(name=name, seed=blob[1:])
        if key.verifier.key_id != key_id:
            raise NoteInvalidError(f"The private key of {name} does not have the id it says.")
        return key

    @property
    def verifier(self) -> VerifierKey:
        """The public key."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return VerifierKey(name=self.name, algorithm=ED25519, public=public)

    @property
    def text(self) -> str:
        """Its line, which is the secret."""
        blob = b64encode(bytes([ED25519]) + self.seed).decode()
        return f"{_SECRET_PREFIX}{self.name}+{self.verifier.key_id.hex()}+{blob}"

    def sign(self, text: str) -> NoteSignature:
        """Sign a note's text."""
        check_text(text)
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return NoteSignature(name=self.name, key_id=self.verifier.key_id, signature=signature)

    def __repr__(self) -> str:
        return f"SigningKey({self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signature that holds: whose, and when it was made if it says so (seconds since 1970)."""

    key: VerifierKey
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A note's text, and who of the trusted signed it: at least one."""

    text: str
    signed: tuple[Signed, ...]


def open_note(note: str, keys: Iterable[VerifierKey]) -> Opened:
    """Return what a note says, having checked who says so.

    Signatures of other keys are passed over, as the format wants it; one of a trusted key that does
    not hold spoils the note.

    Raises:
        NoteInvalidError: if it is not a note.
        NoteUnverifiedError: if no trusted key signed it, or a trusted key's signature is false.
    """
    parsed = parse_note(note)
    trusted = {(key.name, key.key_id): key for key in keys}
    signed: dict[tuple[str, bytes], Signed] = {}
    for line in parsed.signatures:
        place = (line.name, line.key_id)
        key = trusted.get(place)
        if key is not None and place not in signed:
            signed[place] = Signed(key=key, at=key.check(parsed.text, line.signature))
    if not signed:
        told = ", ".join(f"{line.name}+{line.key_id.hex()}" for line in parsed.signatures)
        raise NoteUnverifiedError(f"None of the trusted keys signed this; it is signed by {told}.")
    return Opened(text=parsed.text, signed=tuple(signed.values()))


def parse_note(note: str) -> Note:
    """Read a note without checking its signatures.

    Raises:
        NoteInvalidError: if it is not one, is too large, or has too many signatures.
    """
    if len(note.encode("utf-8", "surrogatepass")) > NOTE_BYTES_MAX:
        raise NoteInvalidError(f"A note has at most {NOTE_BYTES_MAX} bytes.")
    if _FORBIDDEN.search(note) or not _is_unicode(note):
        raise NoteInvalidError("A note holds no control characters.")
    text, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise NoteInvalidError("A note is text, an empty line, and signature lines.")
    found = lines[:-1].split("\n")
    if len(found) > SIGNATURE_COUNT_MAX:
        raise NoteInvalidError(f"A note has at most {SIGNATURE_COUNT_MAX} signatures.")
    text += "\n"
    check_text(text)
    return Note(text=text, signatures=tuple(_parse_signature(line) for line in found))


def write_note(note: Note) -> str:
    """Return a note as text; what `parse_note` reads.

    Raises:
        NoteInvalidError: if its text cannot stand in a note, or it has too many signatures.
    """
    check_text(note.text)
    if not 1 <= len(note.signatures) <= SIGNATURE_COUNT_MAX:
        raise NoteInvalidError(f"A note has 1 to {SIGNATURE_COUNT_MAX} signatures.")
    lines = [write_signature(line) for line in note.signatures]
    return f"{note.text}\n{''.join(lines)}"


def write_signature(line: NoteSignature) -> str:
    """Return a signature's line, with its line feed."""
    return f"— {line.name} {b64encode(line.key_id + line.signature).decode()}\n"


def check_text(text: str) -> None:
    """Check that a text can stand in a note.

    Raises:
        NoteInvalidError: if it is empty, does not end in a line feed, or holds control characters.
    """
    if len(text) <= 1 or not text.endswith("\n"):
        raise NoteInvalidError("A note's text is not empty and ends in a line feed.")
    if _FORBIDDEN.search(text) or not _is_unicode(text):
        raise NoteInvalidError("A note's text holds no control characters.")


def check_key_name(name: str) -> None:
    """Check that a name can stand in a key and in a signature line.

    Raises:
        NoteInvalidError: if it is empty, too long, or holds spaces or a plus sign.
    """
    is_text = _FORBIDDEN.search(name) is None and _is_unicode(name)
    if not is_text or re.fullmatch(r"[^\s+]{1,255}", name) is None:
        raise NoteInvalidError(
            f"A key's name has 1 to {KEY_NAME_LENGTH_MAX} characters, no space and no plus sign."
        )


def _parse_signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None:
        raise NoteInvalidError(f"{line[:80]!r} is not a signature line.")
    blob = _decode(match["blob"])
    if len(blob) <= _KEY_ID_BYTES:
        raise NoteInvalidError(f"The signature of {match['name']} is too short.")
    key_id, signature = blob[:_KEY_ID_BYTES], blob[_KEY_ID_BYTES:]
    return NoteSignature(name=match["name"], key_id=key_id, signature=signature)


def _parse_key(text: str) -> tuple[str, bytes, bytes]:
    match = _KEY_LINE.fullmatch(text)
    if match is None:
        raise NoteInvalidError("A key is one line: its name, its id, and base64, joined by +.")
    check_key_name(match["name"])
    blob = _decode(match["key"])
    return match["name"], bytes.fromhex(match["id"]), blob


def _decode(text: str) -> bytes:
    """Return what base64 says; there is one way to write it, and no other is taken.

    What it was told may be a private key, so errors do not repeat it.
    """
    try:
        blob = b64decode(text, validate=True)
    except Base64Error:
        raise NoteInvalidError("What should be base64 is not.") from None
    if not blob or b64encode(blob).decode() != text:
        raise NoteInvalidError("What should be base64 is not in its usual form.")
    return blob


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
