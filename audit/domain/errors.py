"""What may go wrong with the ledger, for callers to act on."""

from enum import StrEnum
from typing import Any

from core.kernel.errors import ConflictError, InvalidError, MissingError, TooLargeError


class EntryInvalidError(InvalidError):
    """A draft cannot become an entry, or bytes are not an entry."""

    code = "audit.entry_invalid"
    title = "This is not a ledger entry."


class StreamNameError(InvalidError):
    """A name does not name a stream."""

    code = "audit.stream_name_invalid"
    title = "This is not the name of a ledger stream."


class EntryTooLargeError(TooLargeError):
    """An entry is over the bound of the format."""

    code = "audit.entry_too_large"
    title = "The ledger entry is too large."


class PayloadTooLargeError(TooLargeError):
    """A recorded value is over its bound."""

    code = "audit.payload_too_large"
    title = "The recorded value is too large."


class LedgerCorruptError(ConflictError):
    """Stored entries contradict each other; `details` name the first discrepancy."""

    code = "audit.ledger_corrupt"
    title = "The ledger does not verify."


class EntryMissingError(MissingError):
    """There is no such entry, or the caller may not see it."""

    code = "audit.entry_missing"
    title = "There is no such ledger entry."


class ProofInvalidError(InvalidError):
    """A Merkle proof does not show what it claims, or was asked for what is not in the tree."""

    code = "audit.proof_invalid"
    title = "The proof does not hold."


class NoteInvalidError(InvalidError):
    """A signed note, or a key, is not in its form."""

    code = "audit.note_invalid"
    title = "This is not a signed note."


class NoteUnverifiedError(InvalidError):
    """No trusted key signed a note, or a signature of one does not hold."""

    code = "audit.note_unverified"
    title = "The note's signature does not hold."


class EntryNotSealedError(ConflictError):
    """An entry is on record and not yet in the tree; `details["retry_after_seconds"]` says when."""

    code = "audit.not_sealed"
    title = "The entry is not sealed yet; try again in a moment."


class HeadMissingError(MissingError):
    """No tree head of that size was signed."""

    code = "audit.head_missing"
    title = "There is no such tree head."


class LogMissingError(MissingError):
    """There is no log, or the caller may not see it."""

    code = "audit.log_missing"
    title = "There is no such log."


class SealRefusal(StrEnum):
    """Why the sealer will not sign."""

    KEY_FOLDER = "key_folder"  # its rights, or a file in it
    NO_KEY = "no_key"
    KEY_UNREGISTERED = "key_unregistered"
    HEAD_UNVERIFIED = "head_unverified"
    ORIGIN_CHANGED = "origin_changed"
    LAST_SIGNED_MISSING = "last_signed_missing"
    LAST_SIGNED_INVALID = "last_signed_invalid"
    BEHIND_LAST_SIGNED = "behind_last_signed"
    DIFFERS_FROM_LAST_SIGNED = "differs_from_last_signed"
    BEHIND_ANCHOR = "behind_anchor"
    DIFFERS_FROM_ANCHOR = "differs_from_anchor"
    TREE_DAMAGED = "tree_damaged"
    ISOLATION = "isolation"


class SealRefusedError(ConflictError):
    """The sealer will not sign what it finds; `reason` is in the details."""

    code = "audit.seal_refused"
    title = "The ledger is not sealed."

    def __init__(self, message: str, *, reason: SealRefusal, **details: Any) -> None:
        super().__init__(message, reason=reason.value, **details)
        self.reason = reason


class SigningKeyError(ConflictError):
    """What was asked of the signing keys cannot be done."""

    code = "audit.signing_key"
    title = "The signing keys do not allow this."


class RestoreRefusedError(ConflictError):
    """A restore cannot be accepted as it was asked."""

    code = "audit.restore_refused"
    title = "The restore cannot be accepted."


class LeafInvalidError(InvalidError):
    """A text is not the beginning of an entry's hash."""

    code = "audit.leaf_invalid"
    title = "This is not the beginning of an entry's hash."


class ReportMissingError(MissingError):
    """There is no such project, or the caller may not report on it, or on everything."""

    code = "audit.report_missing"
    title = "There is no ledger here that you may report on."


class PeriodInvalidError(InvalidError):
    """A report cannot be made of this period."""

    code = "audit.period_invalid"
    title = "This is no period to report on."


class ReportTooLargeError(TooLargeError):
    """The period has more entries than are folded while somebody waits."""

    code = "audit.report_too_large"
    title = "The period has too many entries for one report."

    def __init__(self, *, most: int) -> None:
        super().__init__(
            f"The period has more than {most} entries that a report reads. Make reports of shorter"
            " periods or of single projects, or use `manage.py ledger report`.",
            most=most,
        )


class RedactionInvalidError(InvalidError):
    """An order, a hold or a period of retention is malformed; `problems` says where."""

    code = "audit.redaction_invalid"
    title = "This cannot be ordered."


class RedactionMissingError(MissingError):
    """There is no such order, hold or target, or the caller may not see it."""

    code = "audit.redaction_missing"
    title = "There is no such redaction, hold or thing to redact."


class RedactionOpenError(ConflictError):
    """Something the order covers is not closed yet."""

    code = "audit.redaction_open"
    title = "Only what is closed can be redacted."


class RedactionHeldError(ConflictError):
    """A legal hold keeps what would be erased; `details` name it."""

    code = "audit.redaction_held"
    title = "A legal hold keeps this."


class RedactionDecidedError(ConflictError):
    """The order was approved or declined before, or the hold released."""

    code = "audit.redaction_decided"
    title = "This was decided before."


class RedactionTooLargeError(TooLargeError):
    """An order covers more streams than one may."""

    code = "audit.redaction_too_large"
    title = "The order covers too much at once."
