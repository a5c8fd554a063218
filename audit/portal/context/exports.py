"""The page of exports. Read `make_exports`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.template.defaultfilters import filesizeformat

from audit.selectors.exports import ExportView
from core.kernel import ids
from core.toolkit.portal.words import say_exactly

KINDS: Final = {
    "run": "One run, with its requests",
    "project": "One project, perhaps in a period",
    "period": "Everything in a period",
    "whole": "Everything",
}
FORMATS: Final = {
    "bundle": "Bundle, to verify offline",
    "jsonl": "JSON Lines, exact entries",
    "csv": "CSV, for spreadsheets",
    "cloudevents": "CloudEvents",
    "ocsf": "OCSF, for security tools",
}
_STATUSES: Final = {
    "queued": ("pending", "Queued"),
    "running": ("running", "Writing"),
    "ready": ("approved", "Ready"),
    "failed": ("failed", "Failed"),
    "cancelled": ("cancelled", "Cancelled"),
    "expired": ("expired", "Deleted"),
}
_REASONS: Final = {
    "audit.export_too_large": "The bundle would be over 4 GiB. Export it by period.",
    "audit.export_rights_ended": "Whoever asked for it may not see all of it any more.",
    "audit.export_overtaken": "Values were redacted while it was written. Ask again.",
    "audit.export_failed": "The disk did not take it. Tell whoever runs this system.",
}
_OPEN: Final = frozenset({"queued", "running"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    """An export as a row. `done` of `total` entries are written while it `goes_on`."""

    id: str
    what: str
    about: str
    format: str
    mark: str
    word: str
    goes_on: bool
    done: int
    total: int | None
    says: str
    download: str
    size: str
    sha256: str
    requested_by: str
    created_at: datetime
    exact: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """The page: the form as it was typed, and the list."""

    rows: Sequence[ExportRow]
    typed: Mapping[str, str]
    errors: Mapping[str, str]
    key: str
    goes_on: bool
    older_href: str = ""
    kinds: Mapping[str, str] = field(default_factory=lambda: KINDS)
    formats: Mapping[str, str] = field(default_factory=lambda: FORMATS)


def make_exports(
    found: Sequence[ExportView],
    *,
    typed: Mapping[str, Any],
    errors: Mapping[str, str],
    older_href: str = "",
) -> Exports:
    """Return the page's context.

    Args:
        found: exports, newest first.
        typed: what was typed, or what the address says it should begin with.
        errors: what is wrong with it, by field; "" is about all of it.
        older_href: where older exports are, if there are any.
    """
    rows = [_make_row(item) for item in found]
    names = ("kind", "format", "run_id", "project", "since", "until")
    kept = {name: str(typed.get(name, "")) for name in names}
    kept["kind"] = kept["kind"] or ("run" if kept["run_id"] else "period")
    kept["format"] = kept["format"] or "bundle"
    return Exports(
        rows=rows,
        typed=kept,
        errors=errors,
        key=ids.secret(length=24),
        goes_on=any(row.goes_on for row in rows),
        older_href=older_href,
    )


def _make_row(item: ExportView) -> ExportRow:
    mark, word = _STATUSES[item.status]
    return ExportRow(
        id=str(item.id),
        what=KINDS[item.kind].partition(",")[0],
        about=_say_about(item),
        format=FORMATS[item.format].partition(",")[0],
        mark=mark,
        word=word,
        goes_on=item.status in _OPEN,
        done=item.done_count,
        total=item.total_count,
        says=_say(item),
        download=f"/api/v1/ledger/exports/{item.id}/download/" if item.is_ready else "",
        size=filesizeformat(item.size_bytes) if item.size_bytes else "",
        sha256=item.sha256,
        requested_by=item.requested_by,
        created_at=item.created_at,
        exact=say_exactly(item.created_at),
        expires_at=item.expires_at if item.is_ready else None,
    )


def _say_about(item: ExportView) -> str:
    parts = [item.subject.partition(":")[2]] if item.subject else []
    if item.since is not None and item.until is not None:
        parts.append(f"{say_exactly(item.since)} to {say_exactly(item.until)}")
    return ", ".join(parts)


def _say(item: ExportView) -> str:
    """Return what is to be known of it beside its status."""
    if item.error_code:
        return _REASONS.get(item.error_code, f"It could not be written ({item.error_code}).")
    if item.is_ready and item.unsealed_count:
        count = item.unsealed_count
        are = (
            "entry was not sealed yet and is"
            if count == 1
            else "entries were not sealed yet and are"
        )
        return f"{count:,} {are} not in it."
    if item.is_ready and not item.is_complete:
        return "The run was still going on."
    return ""
