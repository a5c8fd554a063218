"""One notice as one text mail. Read `compose` first.

A mail tells that something happened and where to look; it holds no form, no subject data, and no
link that acts when it is opened: scanners open links, and some press buttons.
"""

import re
from email.utils import format_datetime, formataddr
from urllib.parse import urlsplit
from uuid import UUID

from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from approvals import conf
from approvals.models import Notice, Request, RequestStatus, Stage, StageStatus, Vote
from approvals.services.outbox import NoticeEvent
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.selectors.principals import get_principal
from core.kernel.record import ENGINE_ORIGIN

SUBJECT_CHARS_MAX = 150  # mail programs show less; longer ones are folded over lines

_ASKING = frozenset({NoticeEvent.REQUEST_OPENED, NoticeEvent.STAGE_OPENED})
# Owners are told that a request is stuck although they may not see what it asks.
_UNGUARDED = frozenset({NoticeEvent.REQUEST_BLOCKED})
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")

# How many decimals a currency's minor units are. Source: ISO 4217; every other one has two.
_DECIMALS = dict.fromkeys(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ),
    0,
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)


def compose(notice: Notice) -> EmailMessage:
    """Return the mail of a notice; its request, requester and recipient must be loaded.

    The same notice gives the same message id and date each time.
    """
    event = NoticeEvent(notice.event)
    text = render_to_string(f"email/{event.name.lower()}.txt", _context(notice))
    subject, _, body = text.partition("\n")
    host = urlsplit(conf.public_url()).hostname or "localhost"
    return EmailMessage(
        subject=_line(subject)[:SUBJECT_CHARS_MAX],
        body=body.strip() + "\n",
        to=[formataddr((_line(notice.recipient.name), notice.recipient.email))],
        headers={
            # Short, because a folded message id confuses some servers.
            "Message-ID": f"<n.{notice.pk.hex}@{host}>",
            # What is told of one request is one conversation.
            "References": f"<r.{notice.request_id.hex}@{host}>",
            "Date": format_datetime(notice.created_at),
            "Auto-Submitted": "auto-generated",
        },
    )


def find_obstacle(notice: Notice) -> str:
    """Return why a notice is not worth sending any more, or "".

    It was written when the thing happened; since then its recipient may have lost the right to see
    it, and a request may have stopped asking. The mail is the last place where that can be asked.
    """
    event, recipient = NoticeEvent(notice.event), notice.recipient
    if not recipient.is_active:
        return "the recipient's account is closed"
    if not recipient.email:
        return "the recipient has no address"
    if event in _ASKING and not _still_asks(notice):
        return "the question was settled before the notice was sent"
    if event not in _UNGUARDED and not _may_see(notice):
        return "the recipient may no longer see the request"
    return ""


def page_of(request_id: UUID) -> str:
    """Return the address where a request can be read. Opening it changes nothing."""
    return conf.public_url() + reverse("api-request", kwargs={"request_id": request_id})


def format_amount(value: int | None, currency: str) -> str:
    """Write an amount of minor units, such as `12.50 EUR`; "" without one."""
    if value is None:
        return ""
    decimals = _DECIMALS.get(currency, 2)
    sign, digits = "-" if value < 0 else "", str(abs(value)).zfill(decimals + 1)
    number = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    return f"{sign}{number} {currency}"


def _still_asks(notice: Notice) -> bool:
    request: Request = notice.request
    if request.status != RequestStatus.OPEN:
        return False
    stage = notice.facts.get("stage")
    if stage is None:
        return True
    return Stage.objects.filter(
        request=request, round=request.round, key=stage, status=StageStatus.OPEN
    ).exists()


def _may_see(notice: Notice) -> bool:
    return authorize(
        principal=get_principal(user=notice.recipient, origin=ENGINE_ORIGIN),
        permission=Permission.VIEW_REQUEST,
        scope_id=notice.request.scope_id,
    ).allowed


def _context(notice: Notice) -> dict[str, object]:
    """Return plain values for the templates, each text on one line."""
    request: Request = notice.request
    return {
        "recipient": _line(notice.recipient.name),
        "number": str(request),
        "title": _line(request.title),
        "requester": _line(request.requester.name),
        "place": f"{request.project_slug}/{request.workflow_slug}".rstrip("/"),
        "run_number": request.run_number,
        "round": request.round,
        "stage": _line(str(notice.facts.get("stage", ""))),
        "kind": request.kind,
        "risk": request.risk,
        "amount": format_amount(request.amount_value, request.amount_currency),
        "if_approved": _line(request.if_approved),
        "if_rejected": _line(request.if_rejected),
        "expires_at": _instant(request.expires_at),
        "outcome": request.outcome,
        "closed_at": _instant(request.closed_at),
        "closed_by": _line(request.closed_by_name),
        "reason": _line(str(notice.facts.get("reason", ""))),
        "votes": _votes(request) if notice.event == NoticeEvent.REQUEST_DECIDED else [],
        "page": page_of(request.pk),
    }


def _votes(request: Request) -> list[dict[str, str]]:
    """Return who decided what in the last round, oldest first: the requester is told why."""
    votes = (
        Vote.objects.filter(request=request, round=request.round)
        .select_related("stage", "comment")
        .order_by("seq")
    )
    return [
        {
            "name": _line(vote.name),
            "decision": vote.decision,
            "stage": vote.stage.key,
            "comment": _line(vote.comment.text) if hasattr(vote, "comment") else "",
        }
        for vote in votes
    ]


def _line(text: str) -> str:
    """Return a text on one line: what people typed must not look like lines of ours."""
    return _BLANKS.sub(" ", text).strip()


def _instant(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else ""
