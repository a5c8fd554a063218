"""Making, rotating and retiring signing keys. Read `ensure_key` first.

A key has two halves in two places: its file, and its public half on record. A crash may come
between; `ensure_key` puts on record whatever the folder holds, so repeating a command finishes it.
"""

from dataclasses import dataclass

from django.db import transaction

from audit.domain.entry import read_entry
from audit.domain.errors import SigningKeyError
from audit.domain.notes import SigningKey
from audit.sealing import rows
from audit.sealing.keys import KeyFolder
from audit.sealing.recording import record_act
from audit.sealing.rows import StoredKey
from core.kernel.limits import SIGNING_KEY_COUNT_MAX
from core.kernel.record import Origin
from core.toolkit.db import read_database_clock

ADDED_KIND = "key.added"
ROTATED_KIND = "key.rotated"
RETIRED_KIND = "key.retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensured:
    """The keys of a log that sign now, and which of them are new on record."""

    keys: tuple[SigningKey, ...]
    added: tuple[SigningKey, ...]


def ensure_key(*, folder: KeyFolder, name: str, origin: Origin) -> Ensured:
    """See to it that a log has a key, and that each of its keys in the folder is on record.

    Idempotent. Only a log that has no heads yet begins with an empty memory: where it has, and the
    folder is new, `ledger doctor --adopt-head` says from where to go on.

    Raises:
        SealRefusedError: if the folder is open to others or unreadable.
        NoteInvalidError: if the name cannot be a key's.

    Transaction: opens one.
    """
    keys = _keys_of(folder, name=name) or (folder.generate(name=name),)
    with transaction.atomic():
        added = tuple(key for key in keys if _register(key, kind=ADDED_KIND, origin=origin))
        newest, _ = rows.read_heads(sizes=())
    if newest is None:
        folder.begin(key=keys[0])
    return Ensured(keys=keys, added=added)


def rotate_key(*, folder: KeyFolder, name: str, origin: Origin, why: str) -> SigningKey:
    """Make a key beside those there are; all of them sign until one is retired.

    Raises:
        SigningKeyError: if there is none to be replaced, or there are too many.
        SealRefusedError: if the folder is open to others or unreadable.

    Transaction: opens one.
    """
    keys = _keys_of(folder, name=name)
    if not keys:
        raise SigningKeyError(f"There is no key of {name} in {folder.path} to be replaced.")
    if len(keys) >= SIGNING_KEY_COUNT_MAX:
        raise SigningKeyError(f"{len(keys)} keys sign already; retire one first.")
    fresh = folder.generate(name=name)
    with transaction.atomic():
        for key in keys:
            _register(key, kind=ADDED_KIND, origin=origin)
        _register(fresh, kind=ROTATED_KIND, origin=origin, why=why)
    return fresh


def retire_key(*, folder: KeyFolder, name: str, key_id: str, origin: Origin, why: str) -> None:
    """End a key: its file goes for good, its public half stays for readers of old heads.

    The file goes first: a key that is retired on record and goes on signing would be worse than one
    that is gone and not on record yet, which repeating the command mends. Where it is retired on
    record already, only a file that is still here goes.

    Raises:
        SigningKeyError: if the key is unknown, was retired before, or is the last that signs.
        SealRefusedError: if the folder is open to others or unreadable.

    Transaction: opens one.
    """
    stored = next((key for key in rows.list_keys() if key.key_id == key_id), None)
    if stored is None:
        raise SigningKeyError(f"No key {key_id} is on record.")
    if key_id in list_retired():
        if folder.remove(key_id=key_id):
            return  # another machine's copy
        raise SigningKeyError(f"The key {key_id} was retired before.")
    others = [k for k in _keys_of(folder, name=name) if k.verifier.key_id.hex() != key_id]
    if not others:
        raise SigningKeyError(f"Nobody would sign without {key_id}; run `ledger rotate-key` first.")
    folder.remove(key_id=key_id)
    with transaction.atomic():
        record_act(
            kind=RETIRED_KIND,
            origin=origin,
            subject=f"key:{key_id}",
            data={"name": stored.name, "vkey": stored.vkey},
            why=why,
        )


def list_retired() -> frozenset[str]:
    """Return the ids of the keys that were retired. One statement."""
    bodies = rows.list_recorded(kind=RETIRED_KIND)
    return frozenset(read_entry(body).subject.removeprefix("key:") for body in bodies)


def _keys_of(folder: KeyFolder, *, name: str) -> tuple[SigningKey, ...]:
    return tuple(key for key in folder.list_keys() if key.name == name)


def _register(key: SigningKey, *, kind: str, origin: Origin, why: str = "") -> bool:
    """Put a key on record; say whether it was not there yet."""
    verifier = key.verifier
    key_id = verifier.key_id.hex()
    known = {stored.key_id: stored.vkey for stored in rows.list_keys()}
    if key_id in known:
        if known[key_id] != verifier.text:
            raise SigningKeyError(f"Another key with the id {key_id} is on record; make a new one.")
        return False
    at = read_database_clock()
    rows.add_key(StoredKey(key_id=key_id, name=key.name, vkey=verifier.text, added_at=at))
    record_act(
        kind=kind,
        origin=origin,
        subject=f"key:{key_id}",
        data={"name": key.name, "vkey": verifier.text},
        why=why,
        at=at,
    )
    return True
