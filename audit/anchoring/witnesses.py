"""Witnesses: others who sign that our log only ever grows. Read `ask_witness`.

Source: C2SP tlog-witness (`add-checkpoint`), C2SP tlog-cosignature.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from audit.anchoring.rows import NewestHead
from audit.domain.errors import NoteInvalidError, NoteUnverifiedError
from audit.domain.merkle import HASH_BYTES
from audit.domain.notes import (
    COSIGNATURE_V1,
    VerifierKey,
    open_note,
    parse_note,
    write_signature,
)
from audit.outward.posting import Failure, judge_answer, post
from audit.outward.targets import WitnessAnchor
from core.kernel import limits
from core.toolkit.outbound import OutboundAnswer

PATH: Final = "/add-checkpoint"
SIZE_MEDIA_TYPE: Final = "text/x.tlog.size"
# No root is 32 zeros; it stands for one that the witness knows, we do not, and is not ours.
UNKNOWN_ROOT: Final = bytes(HASH_BYTES)
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")
_HASH_COUNT_MAX: Final = 63  # Source: tlog-witness, "add-checkpoint"

FindPath = Callable[[int], Sequence[bytes]]


def ask_witness(
    anchor: WitnessAnchor, head: NewestHead, *, known_size: int, find_path: FindPath
) -> str | Failure:
    """Have a witness cosign a tree head; return its cosignature lines, or why it did not.

    Args:
        anchor: the witness.
        head: the tree head.
        known_size: the size it has cosigned last, as far as we know; it corrects us.
        find_path: gives the consistency proof from a size to the head.
    """
    key = read_key(anchor)
    if isinstance(key, Failure):
        return key
    old = known_size
    for _ in range(limits.ANCHOR_STEP_COUNT_MAX):
        answer = post(
            anchor.endpoint,
            path=PATH,
            body=write_request(old, find_path(old), head.note),
            media_type="text/plain; charset=utf-8",
            timeout_seconds=limits.ANCHOR_TIMEOUT_SECONDS,
        )
        if isinstance(answer, Failure):
            return answer
        if answer.status == HTTPStatus.OK:
            return _read_cosignatures(answer, head, key=key, anchor=anchor)
        told = _read_size(answer)
        if told is None or told == old:
            return _explain(answer, anchor, head, old=old)
        if told > head.size:
            return Failure(
                reason=f"The witness {anchor.name} has cosigned a tree of {told} entries; the "
                f"database has {head.size}.",
                told=(told, None),
            )
        old = told
    return Failure(reason=f"The witness {anchor.name} says another size each time.")


def read_key(anchor: WitnessAnchor) -> VerifierKey | Failure:
    """Return a witness's key, or why what the settings say is none."""
    try:
        key = VerifierKey.parse(anchor.vkey)
    except NoteInvalidError as error:
        return Failure(reason=f"The vkey of {anchor.name} is wrong: {error.message}")
    if key.algorithm != COSIGNATURE_V1:
        return Failure(reason=f"The vkey of {anchor.name} is of another type than a witness's (4).")
    return key


def write_request(old: int, path: Sequence[bytes], note: str) -> bytes:
    """Return the body of `add-checkpoint`."""
    assert len(path) <= _HASH_COUNT_MAX, "a proof of a tree below 2**63 is shorter"
    lines = [f"old {old}", *(b64encode(item).decode("ascii") for item in path), "", note]
    return "\n".join(lines).encode()


def _read_size(answer: OutboundAnswer) -> int | None:
    """Return the size a witness says it is at, with 409."""
    if answer.status != HTTPStatus.CONFLICT:
        return None
    if not answer.headers.get("content-type", "").startswith(SIZE_MEDIA_TYPE):
        return None
    match = _SIZE.fullmatch(answer.body)
    return None if match is None else int(match[1])


def _explain(
    answer: OutboundAnswer, anchor: WitnessAnchor, head: NewestHead, *, old: int
) -> Failure:
    """Return what an answer means that is neither a cosignature nor a size to go on from."""
    if answer.status == HTTPStatus.CONFLICT and old == head.size:
        return Failure(
            reason=f"The witness {anchor.name} knows another tree of {head.size} entries.",
            told=(head.size, UNKNOWN_ROOT),
        )
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return Failure(
            reason=f"To the witness {anchor.name} our log does not continue the tree of {old} "
            "entries that it knows.",
            told=(old, UNKNOWN_ROOT),
        )
    if answer.status == HTTPStatus.NOT_FOUND:
        return Failure(reason=f"The witness {anchor.name} does not know the log {head.origin}.")
    if answer.status == HTTPStatus.FORBIDDEN:
        return Failure(reason=f"The witness {anchor.name} does not know the key that signed.")
    found = judge_answer(answer, label=f"The witness {anchor.name}")
    reason = f"The witness {anchor.name} answered {answer.status}."
    return Failure(
        reason=reason if found is None else found.reason,
        retry_after=None if found is None else found.retry_after,
    )


def _read_cosignatures(
    answer: OutboundAnswer, head: NewestHead, *, key: VerifierKey, anchor: WitnessAnchor
) -> str | Failure:
    """Return the witness's lines, checked; lines of other keys are passed over."""
    text = parse_note(head.note).text
    try:
        note = f"{text}\n{answer.body.decode()}"
        open_note(note, (key,))
        lines = [
            write_signature(line)
            for line in parse_note(note).signatures
            if (line.name, line.key_id) == (key.name, key.key_id)
        ]
    except (NoteInvalidError, NoteUnverifiedError) as error:
        return Failure(
            reason=f"What the witness {anchor.name} answered does not hold: {error.message}"
        )
    except UnicodeDecodeError:
        return Failure(reason=f"What the witness {anchor.name} answered is no text.")
    return lines[0]
