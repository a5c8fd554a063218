"""What must hold before a tree head is signed. Read `check` first.

A signature is a promise for ever: this log had these entries. Two promises that contradict each
other destroy the log's worth, and a database that was set back to an earlier moment is how an
honest operator comes to make them. So the sealer compares what it finds with what was signed here
(`last-signed`), and with whoever outside remembers (anchors, witnesses), and rather stops.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from audit.domain.checkpoints import Checkpoint
from audit.domain.entry import read_entry
from audit.domain.errors import (
    NoteInvalidError,
    NoteUnverifiedError,
    SealRefusal,
    SealRefusedError,
)
from audit.domain.merkle import EMPTY_ROOT
from audit.domain.notes import SigningKey, VerifierKey
from audit.domain.tree_verification import is_continued, read_signed
from audit.sealing import rows
from audit.sealing.keys import KeyFolder
from audit.sealing.rows import StoredHead

RESTORED_KIND = "log.restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHead:
    """A head of a log that somebody outside this database remembers. `where` says who, in words."""

    origin: str
    size: int
    root: bytes | None  # `None` if only the size is known
    where: str


# Asked with the log's name, tells the heads it knows of it: one is enough, the largest. Whoever
# cannot be asked now says nothing; what it raises ends the sealer.
WitnessOfSize: TypeAlias = Callable[[str], Iterable[KnownHead]]

_witnesses: list[WitnessOfSize] = []


def register_witness_of_size(witness: WitnessOfSize) -> None:
    """Have somebody asked, before the sealer signs, how large the log was seen outside.

    Asked when a sealer starts and every few minutes, not for each batch; outside any transaction.
    Registering the same function twice is harmless.
    """
    if witness not in _witnesses:
        _witnesses.append(witness)


def ask_witnesses(*, origin: str) -> tuple[KnownHead, ...]:
    """Return every head that somebody outside remembers of a log."""
    return tuple(known for witness in _witnesses for known in witness(origin))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the sealer stands on: who signs, the newest head, and what was signed here last."""

    keys: tuple[SigningKey, ...]
    head: StoredHead | None
    last: Checkpoint

    @property
    def size(self) -> int:
        """The number of leaves that are sealed."""
        return 0 if self.head is None else self.head.size

    @property
    def root(self) -> bytes:
        """Their root."""
        return EMPTY_ROOT if self.head is None else self.head.root


def check(*, folder: KeyFolder, origin: str, known: Iterable[KnownHead] = ()) -> Ground:
    """Return what may be built on, having compared it with everything that remembers.

    Args:
        folder: of the private keys.
        origin: the log's name now.
        known: heads that somebody outside remembers.

    Raises:
        SealRefusedError: if anything contradicts anything; `reason` says what.

    Transaction: needs the sealer's, locked, so that what it reads is the newest there is. Two
    statements, more only after a restore.
    """
    own = folder.list_keys()
    keys = _select_signing(own, folder=folder, origin=origin)
    registered = tuple(VerifierKey.parse(key.vkey) for key in rows.list_keys())
    _require_registered(keys, registered=registered)
    # What was signed here was signed with keys that are here, on record or, after a restore, not.
    last = read_last(folder, trusted=merge_keys(registered, own))
    outside = tuple(known)
    sizes = {last.size, *(item.size for item in outside)}
    head, stored = rows.read_heads(sizes=sorted(sizes))
    head_origin = origin if head is None else _verify_head(head, trusted=registered)
    _check_names(origin, head_origin=head_origin, last_origin=last.origin)
    _check_memory(last, origin=origin, head=head, head_origin=head_origin, stored=stored)
    for item in outside:
        _check_outside(item, origin=origin, head=head, head_origin=head_origin, stored=stored)
    return Ground(keys=keys, head=head, last=last)


def read_last(folder: KeyFolder, *, trusted: tuple[VerifierKey, ...]) -> Checkpoint:
    """Return what was signed here last.

    Raises:
        SealRefusedError: if the folder does not remember, or not in our own hand.
    """
    note = folder.read_last_signed()
    if note is None:
        raise SealRefusedError(
            f"{folder.path} holds keys but no `last-signed`: copy the whole folder, or see "
            "`ledger doctor --adopt-head`.",
            reason=SealRefusal.LAST_SIGNED_MISSING,
        )
    try:
        return read_signed(note, keys=trusted)
    except (NoteInvalidError, NoteUnverifiedError) as error:
        raise SealRefusedError(
            f"`last-signed` in {folder.path} is not what a sealer wrote: {error.message}",
            reason=SealRefusal.LAST_SIGNED_INVALID,
        ) from error


def list_restored() -> dict[str, str]:
    """Return which log was continued under which other name, by the entries of accepted restores.

    One statement; asked only where names differ.
    """
    found: dict[str, str] = {}
    for body in rows.list_recorded(kind=RESTORED_KIND):
        data = read_entry(body).data
        found[str(data["from"])] = str(data["to"])
    return found


def merge_keys(
    registered: Iterable[VerifierKey], own: Iterable[SigningKey]
) -> tuple[VerifierKey, ...]:
    """Return the keys on record and those of a folder, each once."""
    both = (*registered, *(key.verifier for key in own))
    return tuple({key.text: key for key in both}.values())


def _select_signing(
    own: tuple[SigningKey, ...], *, folder: KeyFolder, origin: str
) -> tuple[SigningKey, ...]:
    keys = tuple(key for key in own if key.name == origin)
    if not keys:
        raise SealRefusedError(
            f"There is no signing key of {origin} in {folder.path}; make one with `ledger keygen`.",
            reason=SealRefusal.NO_KEY,
        )
    return keys


def _require_registered(
    keys: tuple[SigningKey, ...], *, registered: tuple[VerifierKey, ...]
) -> None:
    missing = [key for key in keys if key.verifier not in registered]
    if missing:
        names = ", ".join(key.verifier.key_id.hex() for key in missing)
        raise SealRefusedError(
            f"Nobody could check what {names} signs: it is not on record. Run `ledger keygen`.",
            reason=SealRefusal.KEY_UNREGISTERED,
        )


def _verify_head(head: StoredHead, *, trusted: tuple[VerifierKey, ...]) -> str:
    """Return the log's name in the newest head, having checked that it is a head of ours."""
    try:
        checkpoint = read_signed(head.note, keys=trusted)
    except (NoteInvalidError, NoteUnverifiedError) as error:
        raise SealRefusedError(
            f"The newest tree head, of {head.size} entries, is not ours: {error.message}",
            reason=SealRefusal.HEAD_UNVERIFIED,
        ) from error
    if (checkpoint.size, checkpoint.root) != (head.size, head.root):
        raise SealRefusedError(
            f"The newest tree head, of {head.size} entries, says otherwise than its columns.",
            reason=SealRefusal.HEAD_UNVERIFIED,
        )
    return checkpoint.origin


def _check_names(origin: str, *, head_origin: str, last_origin: str) -> None:
    others = {head_origin, last_origin} - {origin}
    if not others:
        return
    restored = list_restored()
    for other in sorted(others):
        if not is_continued(before=other, now=origin, restored=restored):
            raise SealRefusedError(
                f"The log was {other} and is {origin} now, and no accepted restore says so. Set "
                "LEDGER_ORIGIN back.",
                reason=SealRefusal.ORIGIN_CHANGED,
            )


def _check_memory(
    last: Checkpoint,
    *,
    origin: str,
    head: StoredHead | None,
    head_origin: str,
    stored: dict[int, StoredHead],
) -> None:
    if last.origin != origin or last.size == 0:
        return  # of a log that ended with an accepted restore, or of nothing
    size = 0 if head is None or head_origin != origin else head.size
    if size < last.size:
        raise SealRefusedError(
            f"A tree of {last.size} entries was signed here; the database has {size}. It was set "
            "back. Restore the newest state, or see `ledger doctor --accept-restore`.",
            reason=SealRefusal.BEHIND_LAST_SIGNED,
            signed=last.size,
            found=size,
        )
    row = stored.get(last.size)
    if row is None or row.root != last.root:
        raise SealRefusedError(
            f"The tree of {last.size} entries that was signed here is not the database's.",
            reason=SealRefusal.DIFFERS_FROM_LAST_SIGNED,
            signed=last.size,
        )


def _check_outside(
    item: KnownHead,
    *,
    origin: str,
    head: StoredHead | None,
    head_origin: str,
    stored: dict[int, StoredHead],
) -> None:
    if item.origin != origin or item.size == 0:
        return
    size = 0 if head is None or head_origin != origin else head.size
    if size < item.size:
        raise SealRefusedError(
            f"{item.where} knows a tree of {item.size} entries; the database has {size}.",
            reason=SealRefusal.BEHIND_ANCHOR,
            signed=item.size,
            found=size,
        )
    row = stored.get(item.size)
    if item.root is not None and (row is None or row.root != item.root):
        raise SealRefusedError(
            f"{item.where} knows another tree of {item.size} entries than the database.",
            reason=SealRefusal.DIFFERS_FROM_ANCHOR,
            signed=item.size,
        )
