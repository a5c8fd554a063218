"""How long projects keep payloads, and erasing what is over its time. Read `execute_retention`."""

from datetime import datetime
from uuid import UUID

from audit.domain.errors import (
    RedactionHeldError,
    RedactionInvalidError,
    RedactionMissingError,
    RedactionOpenError,
)
from audit.domain.redaction import LEDGER_STREAM, LegalBasis, Part, check_reason, read_period
from audit.redactions.models import Retention
from audit.redactions.retaining import is_ripe, list_due, names_of
from audit.services.erasing import Cause, erase_stream
from core.identity.acts import act
from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project
from core.identity.services.recording import record_act
from core.kernel import limits
from core.kernel.errors import Problem
from core.toolkit.db import read_database_clock


@act
def set_retention(
    *, principal: Principal, project_slug: str, part: Part, period: str, reason: str
) -> None:
    """Set how long a project keeps the payloads of a part: `P400D`, or "" for ever.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `redact_audit`, and for whoever is no person.
        RedactionInvalidError: the period or the reason is malformed.
        RedactionMissingError: there is no such project.
    """
    answer = require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    problems = check_reason("/reason", reason)
    kept = read_period(period) if period else None
    if period and kept is None:
        message = f"Write whole days, such as P400D; at most P{limits.RETENTION_DAYS_MAX}D."
        problems.append(Problem(path="/period", message=message))
    if "\x00" in project_slug:
        problems.append(Problem(path="/project", message="No project has such a name."))
    if problems:
        raise RedactionInvalidError(problems=problems)
    project = Project.objects.filter(slug=project_slug).first()
    if project is None:
        raise RedactionMissingError(project=project_slug)
    before = Retention.objects.filter(project=project, part=part).first()
    if kept is None:
        Retention.objects.filter(project=project, part=part).delete()
    else:
        Retention.objects.update_or_create(
            project=project,
            part=part,
            defaults={
                "days": kept.days,
                "changed_at": read_database_clock(),
                "changed_by": principal.user_id,
                "looked_id": None,
            },
        )
    record_act(
        principal=principal,
        kind="retention.changed",
        subject=project.pk,
        stream=LEDGER_STREAM,
        matched=answer.matched,
        data={
            "project": str(project.pk),
            "part": part.value,
            "days_before": before.days if before else None,
            "days": kept.days if kept else None,
        },
        payloads={"reason": reason.strip()},
    )


def execute_retention(*, now: datetime | None = None) -> int:
    """Erase what is over its time, a bounded number of streams; return how many.

    It goes on where the last pass stopped, and from the start once it is through: what a hold or a
    run that is still open kept then is looked at again. Transaction: one for each some hundred
    payloads.

    Args:
        now: the instant to judge by; the database's by default.
    """
    at = now or read_database_clock()
    left = limits.RETENTION_STREAM_COUNT_MAX
    count = 0
    for policy in Retention.objects.order_by("project_id", "part"):
        if left <= 0:
            break
        due = list_due(policy, at=at, after=policy.looked_id, limit=left)
        for noun, stream in due:
            count += _erase_due(policy, noun, stream, at=at)
        left -= len(due)
        looked_id = due[-1][1] if left <= 0 else None
        Retention.objects.filter(pk=policy.pk).update(looked_id=looked_id)
    return count


def _erase_due(policy: Retention, noun: str, stream: UUID, *, at: datetime) -> int:
    if not is_ripe(policy, noun, stream, at=at):
        return 0
    cause = Cause(basis=LegalBasis.RETENTION, part=Part(policy.part))
    try:
        erase_stream(
            stream=stream,
            cause=cause,
            names=names_of(policy),
            copies=policy.part != Part.ADDRESSES,
        )
    except (RedactionHeldError, RedactionOpenError):
        return 0
    return 1
