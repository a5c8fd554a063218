"""Telling people and open pages that a request moved. Read `announce` first."""

from collections.abc import Iterable
from datetime import datetime

from approvals.models import Request
from approvals.services.outbox import NoticeEvent, enqueue
from core.identity.domain import audience
from core.identity.domain.permissions import Permission
from core.identity.selectors.access import find_holders
from core.kernel.record import ActorKind
from core.kernel.types import Json
from core.toolkit import realtime


def announce(*, request: Request, event: str, keys: Iterable[str] = ()) -> None:
    """Signal open pages after the commit: of those asked, of who asked, and of the run.

    A signal holds ids; whoever gets it asks again.

    Args:
        request: what moved.
        event: the kind of the entry that says how.
        keys: audience keys of the stages concerned.
    """
    own = audience.format_user_key(request.requester_id)
    groups = [audience.format_channel(key) for key in (*keys, own)]
    if request.run_id is not None:
        groups.append(f"run.{request.run_id.hex}")
    realtime.publish_on_commit(groups=groups, signal={"request": str(request.pk), "event": event})


def tell_owners_blocked(*, request: Request, stage: str, at: datetime) -> None:
    """Tell who asked, and who may give access in the project, that too few people may decide.

    Transaction: needs one.
    """
    holders = find_holders(
        permission=Permission.MANAGE_PROJECT_ACCESS, scope_id=request.project_scope_id
    )
    owners = [holder.user_id for holder in holders if holder.kind is ActorKind.PERSON]
    facts: dict[str, Json] = {"stage": stage}
    enqueue(
        event=NoticeEvent.REQUEST_BLOCKED,
        request=request,
        recipients=[request.requester_id, *owners],
        at=at,
        facts=facts,
    )
