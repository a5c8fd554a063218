"""Receipts: one entry with the proof that it is in the log. Read `write_receipt`.

A receipt is checked with nothing but the file, a public key and the offline verifier. The format is
`docs/reference/bundle.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.kernel.canonical import canonical_bytes

FORMAT: Final = "countersign-receipt/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What opens one commitment of an entry: the value's JCS bytes and its salt (32 bytes)."""

    name: str
    salt: bytes
    value: bytes


def write_receipt(
    *, body: bytes, index: int, path: Sequence[bytes], note: str, openings: Sequence[Opening]
) -> bytes:
    """Return a receipt.

    Args:
        body: the entry's canonical bytes.
        index: its leaf index.
        path: its inclusion path, lowest first.
        note: the signed checkpoint of the tree the path is for.
        openings: what the reader may see of what the entry commits to.
    """
    return canonical_bytes(
        {
            "format": FORMAT,
            "entry": body.decode(),
            "index": index,
            "path": [item.hex() for item in path],
            "checkpoint": note,
            "payloads": [
                {"name": item.name, "salt": item.salt.hex(), "value": item.value.decode()}
                for item in sorted(openings, key=lambda item: item.name)
            ],
        }
    )
