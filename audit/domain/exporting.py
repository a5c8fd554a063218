"""What may be exported, and in which formats. Read `ExportKind`, then `ExportFormat`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from audit.domain import document
from core.kernel.errors import (
    ConflictError,
    GoneError,
    InvalidError,
    MissingError,
    TooLargeError,
    UnavailableError,
)


class ExportKind(StrEnum):
    """Which entries an export holds."""

    RUN = "run"  # a run's stream, and those of its requests
    PERIOD = "period"  # what happened between two instants
    PROJECT = "project"  # what is about a project and its workflows, perhaps in a period
    WHOLE = "whole"  # everything


class ExportFormat(StrEnum):
    """How an export is written."""

    BUNDLE = "bundle"
    JSONL = "jsonl"
    CSV = "csv"
    CLOUDEVENTS = "cloudevents"
    OCSF = "ocsf"


# Format → the end of a file's name, and its media type.
ENDINGS: dict[ExportFormat, str] = {
    ExportFormat.BUNDLE: "zip",
    ExportFormat.JSONL: "jsonl",
    ExportFormat.CSV: "csv",
    ExportFormat.CLOUDEVENTS: "cloudevents.jsonl",
    ExportFormat.OCSF: "ocsf.jsonl",
}
MEDIA_TYPES: dict[ExportFormat, str] = {
    ExportFormat.BUNDLE: "application/zip",
    ExportFormat.JSONL: "application/jsonl",
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.CLOUDEVENTS: "application/jsonl",
    ExportFormat.OCSF: "application/jsonl",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Instants (aware, UTC) from `since` and before `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants exported.

    `run_id` belongs to the kind `run`, `project` (a slug) to `project`, and `period` to `period`
    and perhaps to `project`.
    """

    kind: ExportKind
    format: ExportFormat
    run_id: UUID | None = None
    project: str = ""
    period: Period | None = None


def write_instant(at: datetime | None) -> str | None:
    """Return an instant as an entry writes it, without quotes; null stays null."""
    return None if at is None else document.write_instant(document.in_utc(at)).strip('"')


def name_file(*, kind: str, format_: ExportFormat, export_id: UUID) -> str:
    """Return what a downloaded export is called."""
    return f"countersign-{kind}-{export_id}.{ENDINGS[format_]}"


class ExportInvalidError(InvalidError):
    """What is asked for contradicts itself, such as a period that ends before it begins."""

    code = "audit.export_invalid"
    title = "This cannot be exported so."


class ExportSubjectMissingError(MissingError):
    """There is no such run or project on record, or the caller may not see its record."""

    code = "audit.export_subject_missing"
    title = "There is nothing on record to export."


class ExportMissingError(MissingError):
    """There is no such export, or the caller may not see it."""

    code = "audit.export_missing"
    title = "There is no such export."


class ExportKeyReusedError(InvalidError):
    """An idempotency key came back with another request."""

    code = "audit.export_key_reused"
    title = "This idempotency key was used for a different export."


class TooManyExportsError(ConflictError):
    """The caller has as many exports under way as anybody may have."""

    code = "audit.too_many_exports"
    title = "Wait for one of your exports to end."


class NothingSealedError(ConflictError):
    """Nothing is in the tree yet, so nothing can be proved; the sealer may not be running."""

    code = "audit.nothing_sealed"
    title = "No entry is sealed yet; try again in a moment."


class ExportNotReadyError(ConflictError):
    """The export is not written yet, or never will be; `details` has its status."""

    code = "audit.export_not_ready"
    title = "The export has no file to download."


class ExportExpiredError(GoneError):
    """The file was deleted when its time was up."""

    code = "audit.export_expired"
    title = "The export's file is gone; ask for another one."


class ExportTooLargeError(TooLargeError):
    """A bundle would be over the bounds of its format."""

    code = "audit.export_too_large"
    title = "The bundle is too large; export by period."


class ExportRightsEndedError(ConflictError):
    """Whoever asked for an export may not see all of it any more, so it is not finished."""

    code = "audit.export_rights_ended"
    title = "Whoever asked for this export may not see it any more."


class ExportOvertakenError(ConflictError):
    """Values were redacted while it was written, several times in a row."""

    code = "audit.export_overtaken"
    title = "Values were redacted while the export was written; ask again."


class ExportFailedError(UnavailableError):
    """The disk or another part failed while an export was written."""

    code = "audit.export_failed"
    title = "The export could not be written."
