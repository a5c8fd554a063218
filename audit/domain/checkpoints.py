"""Tree heads as text: which log, how many entries, which root. Read `Checkpoint`.

Source: C2SP tlog-checkpoint (v1).
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass

from audit.domain.errors import NoteInvalidError
from audit.domain.merkle import HASH_BYTES

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")  # no leading zeros
_SIZE_MAX = 2**63 - 1  # what a database counts to
_LINE_COUNT_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a tree head says: the log's name, its number of entries, its root (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def write_checkpoint(checkpoint: Checkpoint) -> str:
    """Return a checkpoint as the text of a note."""
    root = b64encode(checkpoint.root).decode()
    lines = [checkpoint.origin, str(checkpoint.size), root, *checkpoint.extensions]
    assert all(line and "\n" not in line for line in lines), "each is one line"
    return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a note's text as a checkpoint.

    Raises:
        NoteInvalidError: if it is none.
    """
    *lines, rest = text.split("\n")
    if rest or len(lines) < _LINE_COUNT_MIN or not all(lines):
        raise NoteInvalidError("A checkpoint has at least three lines, none of them empty.")
    origin, size, root, *extensions = lines
    if _SIZE.fullmatch(size) is None or int(size) > _SIZE_MAX:
        raise NoteInvalidError(f"{size[:40]!r} is not the size of a tree.")
    return Checkpoint(
        origin=origin, size=int(size), root=_read_root(root), extensions=tuple(extensions)
    )


def _read_root(text: str) -> bytes:
    try:
        root = b64decode(text, validate=True)
    except Base64Error as error:
        raise NoteInvalidError(f"{text[:80]!r} is not base64.") from error
    if len(root) != HASH_BYTES or b64encode(root).decode() != text:
        raise NoteInvalidError("A root is the base64 of 32 bytes.")
    return root
