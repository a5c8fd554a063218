"""Checkpoints with what witnesses said of them. Read `add_cosignatures`."""

from audit.anchoring import rows
from audit.domain.notes import SIGNATURE_COUNT_MAX, parse_note


def add_cosignatures(note: str, *, origin: str, tree_size: int) -> str:
    """Return a signed checkpoint with the lines of the witnesses that cosigned it. One query.

    Each was checked when it came. A note has its bound of signatures, which no list of witnesses
    may fill at the cost of our own.
    """
    lines = [
        receipt.answer
        for receipt in rows.list_receipts(origin=origin, tree_size=tree_size)
        if receipt.kind == "witness"
    ]
    room = SIGNATURE_COUNT_MAX - len(parse_note(note).signatures)
    return note + "".join(lines[:room])
