"""How long projects keep payloads, and what is over its time. Read `list_outlooks`."""

from datetime import datetime

from audit.redactions.retaining import Outlook, look_ahead
from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal


def list_outlooks(*, principal: Principal, now: datetime | None = None) -> list[Outlook]:
    """Return what the keeper would erase now, by project and part. Changes nothing.

    Raises: AccessForbiddenError without `redact_audit`.
    """
    require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    return look_ahead(now=now)
