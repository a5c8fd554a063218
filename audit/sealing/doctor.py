"""What is wrong with the sealing of a ledger, and what to do. Read `examine` first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction

from audit.domain.errors import SealRefusal, SealRefusedError
from audit.domain.tree_verification import TreeTally
from audit.sealing import guarding, registering, rows
from audit.sealing.keys import KeyFolder
from audit.sealing.verifying import verify_queue, verify_stored_tree
from audit.selectors.verification import SNAPSHOT, find_trigger_fault
from core.kernel.limits import SEAL_LAG_SECONDS_MAX

_ADVICE: Final = {
    SealRefusal.KEY_FOLDER: "Let the folder and its files be the sealer's account's alone: chmod "
    "700 the folder, 600 the files.",
    SealRefusal.NO_KEY: "Run `ledger keygen`, or set LEDGER_KEYS_DIR to the folder of the keys.",
    SealRefusal.KEY_UNREGISTERED: "Run `ledger keygen`; it puts every key of the folder on record.",
    SealRefusal.HEAD_UNVERIFIED: "The head was changed, or its key is not on record. Find out who "
    "wrote to the database, and restore it.",
    SealRefusal.ORIGIN_CHANGED: "Set LEDGER_ORIGIN to what it was.",
    SealRefusal.LAST_SIGNED_MISSING: "Copy the whole folder from where it signed; where that is "
    "lost, `ledger doctor --adopt-head REASON --by USERNAME`.",
    SealRefusal.LAST_SIGNED_INVALID: "Restore the file; where that cannot be, remove it and run "
    "`ledger doctor --adopt-head REASON --by USERNAME`.",
    SealRefusal.BEHIND_LAST_SIGNED: "Restore a newer state of the database. Where there is none, "
    "set LEDGER_ORIGIN to a new name and run `ledger doctor --accept-restore REASON "
    "--by USERNAME`.",
    SealRefusal.DIFFERS_FROM_LAST_SIGNED: "As after a restore: find the database whose tree was "
    "signed; where there is none, a new LEDGER_ORIGIN and `--accept-restore REASON --by USERNAME`.",
    SealRefusal.BEHIND_ANCHOR: "Restore a newer state of the database. Where there is none, set "
    "LEDGER_ORIGIN to a new name and run `ledger doctor --accept-restore REASON --by USERNAME`.",
    SealRefusal.DIFFERS_FROM_ANCHOR: "Somebody signed two histories with these keys. Compare the "
    "anchor's with `verify_ledger --against` and old backups before anything else.",
    SealRefusal.TREE_DAMAGED: "Run `verify_ledger`, and restore what it names.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: a stable code, what it is, and what to do."""

    code: str
    what: str
    advice: str


def examine(*, folder: KeyFolder, origin: str) -> list[Finding]:
    """Return everything that is wrong; nothing is changed.

    The folder is looked at where this runs: on a machine without one, that is a finding.

    Transaction: opens several, read-only; it cannot run inside another.
    """
    return [
        *_examine_keys(folder, origin=origin),
        *_examine_ground(folder, origin=origin),
        *_examine_lag(),
        *_examine_rows(origin=origin),
    ]


def _examine_keys(folder: KeyFolder, *, origin: str) -> Iterator[Finding]:
    faults = list(folder.find_faults())
    for fault in faults:
        yield _finding(SealRefusal.KEY_FOLDER, fault)
    if faults:
        return
    try:
        keys = folder.list_keys()
    except SealRefusedError:
        return  # the ground says so
    retired = registering.list_retired()
    for key in keys:
        key_id = key.verifier.key_id.hex()
        if key_id in retired:
            yield Finding(
                code="key_retired",
                what=f"{key_id} was retired, and its file is back.",
                advice=f"Remove {key_id}.key from {folder.path}, and find out who put it there.",
            )
        elif key.name != origin:
            yield Finding(
                code="key_of_other_log",
                what=f"{key_id} is a key of {key.name}, which signs nothing here.",
                advice=f"Retire it: `ledger rotate-key --retire {key_id}`.",
            )


def _examine_ground(folder: KeyFolder, *, origin: str) -> Iterator[Finding]:
    """Compare as the sealer does; without its lock, because the file is read before the heads."""
    known = guarding.ask_witnesses(origin=origin)
    try:
        with transaction.atomic(durable=True):
            guarding.check(folder=folder, origin=origin, known=known)
    except SealRefusedError as error:
        if error.reason is not SealRefusal.KEY_FOLDER or not list(folder.find_faults()):
            yield _finding(error.reason, error.message)


def _examine_lag() -> Iterator[Finding]:
    count, seconds = rows.read_lag()
    if seconds > SEAL_LAG_SECONDS_MAX:
        yield Finding(
            code="late",
            what=f"{count:,} entries wait to be sealed, the first for {seconds:,.0f} s.",
            advice="See that `ledger seal --forever` runs, and what its log says.",
        )


def _examine_rows(*, origin: str) -> Iterator[Finding]:
    tally = TreeTally()
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(SNAPSHOT)
        checks = (
            ("queue", verify_queue()[2]),
            ("guard", find_trigger_fault()),
            ("tree", verify_stored_tree(trusted=(), tally=tally)),
        )
    for code, found in checks:
        if found is not None:
            yield Finding(
                code=code,
                what=f"{found}.",
                advice="This is evidence: copy the database before anything else, then run "
                "`verify_ledger` for the rest.",
            )
    if tally.origin and tally.origin != origin:
        yield Finding(
            code="origin",
            what=f"The newest tree head is of {tally.origin}; LEDGER_ORIGIN is {origin}.",
            advice="Set it back, unless a restore was accepted a moment ago.",
        )


def _finding(reason: SealRefusal, what: str) -> Finding:
    return Finding(code=reason.value, what=what, advice=_ADVICE.get(reason, ""))
