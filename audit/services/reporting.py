"""Making a compliance report, on record. Read `make_report`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from audit import store
from audit.domain.report import Report
from audit.domain.report_document import FORMAT, Seal, make_document
from audit.models import Entry
from audit.selectors.report import Period, get_report
from core.identity.domain.principal import Principal
from core.identity.models import User
from core.kernel import limits
from core.kernel.canonical import digest
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.record import Draft
from core.kernel.types import Json

LEDGER_STREAM = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReport:
    """A report that is on record.

    `digest_hex` is the SHA-256 of `document` in canonical JSON, `entry_id` the entry that says so.
    """

    report: Report
    seal: Seal
    project: str
    names: dict[str, str]
    made_at: datetime
    made_by_name: str
    document: dict[str, Json]
    digest_hex: str
    entry_id: int


def make_report(
    *,
    principal: Principal,
    period: Period,
    clock: Clock = SYSTEM_CLOCK,
    entry_count_max: int | None = limits.REPORT_ENTRY_COUNT_MAX,
    on_progress: Callable[[int], None] | None = None,
    guarded: bool = True,
) -> MadeReport:
    """Make the report of a period and put its making on record, with the digest of the document.

    Transaction: one, for the entry.

    Raises: as `audit.selectors.report.get_report`.
    """
    now = clock.now()
    found = get_report(
        principal=principal,
        period=period,
        now=now,
        entry_count_max=entry_count_max,
        on_progress=on_progress,
        guarded=guarded,
    )
    maker = str(principal.user_id)
    name = _name(principal.user_id)
    names = {**found.names, **({maker: name} if name else {})}
    document = make_document(
        found.report,
        project=period.project_slug,
        made_at=now,
        made_by=maker,
        names=names,
        seal=found.seal,
    )
    digest_hex = digest(document).hex()
    draft = Draft(
        kind="report.made",
        at=now,
        origin=principal.origin,
        subject="report",
        data={
            "format": FORMAT,
            "project": period.project_slug,
            "since": found.report.since.isoformat(),
            "until": found.report.until.isoformat(),
            "entries": found.report.entries,
            "digest": digest_hex,
        },
        scope=found.scope_id,
    )
    with transaction.atomic():
        recorded = store.append(stream=LEDGER_STREAM, drafts=(draft,))
    return MadeReport(
        report=found.report,
        seal=found.seal,
        project=period.project_slug,
        names=names,
        made_at=now,
        made_by_name=name,
        document=document,
        digest_hex=digest_hex,
        entry_id=Entry.objects.only("pk").get(stream=recorded.stream_id, seq=recorded.seq).pk,
    )


def _name(user_id: UUID) -> str:
    return User.objects.filter(pk=user_id).values_list("name", flat=True).first() or ""
