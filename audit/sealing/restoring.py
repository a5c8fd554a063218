"""Going on after a database was set back, and where memory was lost. Read `accept_restore` first.

Nothing can make a log continue below what was signed: whoever holds a larger head would be shown
two histories. So the old log ends, for ever, and a new one begins under a new name with the entries
that are left. Its first head holds the entry that says so: what was signed, what is left, who
accepted the loss, and why.
"""

from dataclasses import dataclass

from django.db import transaction

from audit.domain.checkpoints import Checkpoint
from audit.domain.errors import RestoreRefusedError, SealRefusedError
from audit.domain.notes import VerifierKey
from audit.domain.tree_verification import read_signed
from audit.sealing import guarding, rows
from audit.sealing.guarding import KnownHead, ask_witnesses
from audit.sealing.keys import KeyFolder
from audit.sealing.recording import record_act
from audit.sealing.registering import ensure_key
from core.kernel.record import Origin
from core.kernel.types import JsonLike

ADOPTED_KIND = "head.adopted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A restore that was accepted: the log that ended, and the one that begins."""

    before: str
    now: str
    signed_size: int  # the largest tree of the old log that anybody is known to have seen
    kept_size: int  # what of it is left


def accept_restore(*, folder: KeyFolder, name: str, origin: Origin, why: str) -> Restored:
    """End the log that was signed, and begin one under a new name with what is left.

    Args:
        folder: of the private keys, with what was signed last.
        name: the new log's, from LEDGER_ORIGIN, never used before.
        origin: whose doing it is.
        why: what happened, for whoever reads the record in years.

    Raises:
        RestoreRefusedError: if the name is the old one or was used before, or nothing is wrong.
        SealRefusedError: if the folder cannot be read.

    Transaction: opens one.
    """
    trusted = _trusted(folder)
    last = _read_last(folder, trusted=trusted)
    newest, _ = rows.read_heads(sizes=())
    kept = None if newest is None else read_signed(newest.note, keys=trusted)
    before = (kept or last).origin
    known = _largest_known(last, origins={before, last.origin})
    if name in {before, last.origin} or _was_used(name):
        raise RestoreRefusedError(
            f"{name} was used already. Set LEDGER_ORIGIN to a name no log ever had, such as the "
            "old one with -2 behind it."
        )
    kept_size = 0 if kept is None else kept.size
    _require_loss(known, kept=kept)
    facts: dict[str, JsonLike] = {
        "to": name,
        "signed": known.size,
        "signed_root": "" if known.root is None else known.root.hex(),
        "known_by": known.where,
        "kept": kept_size,
        "kept_root": "" if kept is None else kept.root.hex(),
    }
    with transaction.atomic():
        # Two end where the database was set back to before an earlier restore was accepted.
        for ended in sorted({before, last.origin}):
            data = {"from": ended, **facts}
            record_act(
                kind=guarding.RESTORED_KIND, origin=origin, subject="log", data=data, why=why
            )
    ensure_key(folder=folder, name=name, origin=origin)
    return Restored(before=before, now=name, signed_size=known.size, kept_size=kept_size)


def adopt_head(*, folder: KeyFolder, name: str, origin: Origin, why: str) -> Checkpoint:
    """Have a folder that lost its memory, or is new, go on from the database's newest head.

    Only for a database that was not set back: nothing here can tell. Anchors are asked, and what
    they know must be in it.

    Raises:
        RestoreRefusedError: if the folder remembers, there is no head, or an anchor knows more.
        SealRefusedError: if the head is not ours.

    Transaction: opens one, and writes `last-signed` after it.
    """
    trusted = _trusted(folder)
    if folder.read_last_signed() is not None:
        raise RestoreRefusedError(f"{folder.path} remembers what it signed; nothing to adopt.")
    newest, _ = rows.read_heads(sizes=())
    if newest is None:
        raise RestoreRefusedError("There is no tree head; `ledger keygen` begins a log.")
    head = read_signed(newest.note, keys=trusted)
    for item in ask_witnesses(origin=head.origin):
        if item.size > head.size:
            raise RestoreRefusedError(
                f"{item.where} knows a tree of {item.size} entries; the database has {head.size}. "
                "It was set back."
            )
    ensure_key(folder=folder, name=name, origin=origin)
    with transaction.atomic():
        record_act(
            kind=ADOPTED_KIND,
            origin=origin,
            subject="log",
            data={"origin": head.origin, "size": head.size, "root": head.root.hex()},
            why=why,
        )
    folder.write_last_signed(newest.note)
    return head


def _trusted(folder: KeyFolder) -> tuple[VerifierKey, ...]:
    registered = (VerifierKey.parse(key.vkey) for key in rows.list_keys())
    return guarding.merge_keys(registered, folder.list_keys())


def _read_last(folder: KeyFolder, *, trusted: tuple[VerifierKey, ...]) -> Checkpoint:
    try:
        return guarding.read_last(folder, trusted=trusted)
    except SealRefusedError as error:
        raise RestoreRefusedError(
            f"What was signed last is not known, so nothing can be accepted: {error.message}"
        ) from error


def _largest_known(last: Checkpoint, *, origins: set[str]) -> KnownHead:
    """Return the largest head that the folder or anybody outside remembers."""
    own = KnownHead(origin=last.origin, size=last.size, root=last.root, where="last-signed")
    outside = (item for origin in sorted(origins) for item in ask_witnesses(origin=origin))
    known = [own, *(item for item in outside if item.origin in origins)]
    return max(known, key=lambda item: item.size)


def _require_loss(known: KnownHead, *, kept: Checkpoint | None) -> None:
    """Refuse where nothing was lost: a log does not change its name for anything less."""
    if kept is None:
        is_lost = known.size > 0
    else:
        _, stored = rows.read_heads(sizes=(known.size,))
        row = stored.get(known.size)
        is_same = row is not None and known.root in {None, row.root}
        is_lost = known.size > kept.size or not (is_same or known.size == 0)
    if not is_lost:
        raise RestoreRefusedError("The database has everything that was signed; nothing is lost.")


def _was_used(name: str) -> bool:
    restored = guarding.list_restored()
    return name in restored or name in restored.values() or rows.has_head_of(origin=name)
