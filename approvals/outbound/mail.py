"""One notice as one mail, in HTML and in plain text. Read `compose` first.

A mail tells that something happened and where to look; it holds no form and no link that acts when
it is opened: scanners open links, and some press buttons. Both alternatives are made of the same
values; `approvals.outbound.wording` has the words.
"""

from datetime import UTC, datetime
from email.utils import format_datetime, formataddr
from urllib.parse import urlsplit
from uuid import UUID

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from approvals import conf
from approvals.domain.question import consequence_of
from approvals.domain.quorum import CHOICES, Choice
from approvals.domain.rule import Asks
from approvals.domain.words import say_choice
from approvals.models import Notice, Request, RequestStatus, Stage, StageStatus, Vote
from approvals.outbound.wording import (
    Line,
    Told,
    format_amount,
    list_facts,
    make_line,
    word,
)
from approvals.services.outbox import NoticeEvent
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.selectors.principals import get_principal
from core.kernel.record import ENGINE_ORIGIN
from engine.domain.state import RunStatus
from engine.models import Run

_ASKING = frozenset({NoticeEvent.REQUEST_OPENED, NoticeEvent.STAGE_OPENED})
# Owners are told that a request is stuck although they may not see what it asks.
_UNGUARDED = frozenset({NoticeEvent.REQUEST_BLOCKED})


def compose(notice: Notice) -> EmailMultiAlternatives:
    """Return the mail of a notice; its request or run and its recipient must be loaded.

    The same notice gives the same message id and date each time.
    """
    event = NoticeEvent(notice.event)
    context = _run_context(notice, event) if notice.request is None else _context(notice, event)
    host = _mail_host()
    # What is told of one thing is one conversation.
    thread = f"<{_thread_of(notice)}@{host}>"
    message = EmailMultiAlternatives(
        subject=str(context["subject"]),
        body=render_to_string("email/notice.txt", context).strip() + "\n",
        to=[formataddr((make_line(notice.recipient.name), notice.recipient.email))],
        headers={
            # Short, because a folded message id confuses some servers.
            "Message-ID": f"<n.{notice.pk.hex}@{host}>",
            "In-Reply-To": thread,
            "References": thread,
            "Date": format_datetime(notice.created_at),
            # Source: RFC 3834 §5; the other is what Exchange looks at before it answers.
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            # For filters. Source: RFC 2919 §3.
            "List-Id": f"Countersign approvals <approvals.{host}>",
        },
    )
    message.attach_alternative(render_to_string("email/notice.html", context), "text/html")
    return message


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
    if notice.run is not None:
        return _find_obstacle_of_run(notice, notice.run)
    if event in _ASKING and not _still_asks(notice):
        return "the question was settled before the notice was sent"
    if event not in _UNGUARDED and not _may_see(notice):
        return "the recipient may no longer see the request"
    return ""


def page_of(request_id: UUID) -> str:
    """Return the address of the page of a request. Opening it changes nothing."""
    return conf.public_url() + reverse(
        "approvals_portal:request", kwargs={"request_id": request_id}
    )


def _thread_of(notice: Notice) -> str:
    if notice.run_id is not None:
        return f"u.{notice.run_id.hex}"
    return f"r.{_request_of(notice).pk.hex}"


def page_of_run(run_id: UUID) -> str:
    """Return the address of the page of a run."""
    return conf.public_url() + reverse("engine_portal:run", kwargs={"run_id": run_id})


def _find_obstacle_of_run(notice: Notice, run: Run) -> str:
    if run.status == RunStatus.CLOSED:
        return "the run ended before the notice was sent"
    scope_id = run.workflow.scope_id
    if not _holds(notice, Permission.VIEW_WORKFLOW, scope_id):
        return "the recipient may no longer see the run"
    return ""


def _still_asks(notice: Notice) -> bool:
    request = _request_of(notice)
    if request.status != RequestStatus.OPEN:
        return False
    stage = notice.facts.get("stage")
    if stage is None:
        return True
    return Stage.objects.filter(
        request=request, round=request.round, key=stage, status=StageStatus.OPEN
    ).exists()


def _may_see(notice: Notice) -> bool:
    return _holds(notice, Permission.VIEW_REQUEST, _request_of(notice).scope_id)


def _holds(notice: Notice, permission: Permission, scope_id: UUID) -> bool:
    return authorize(
        principal=get_principal(user=notice.recipient, origin=ENGINE_ORIGIN),
        permission=permission,
        scope_id=scope_id,
    ).allowed


def _request_of(notice: Notice) -> Request:
    assert notice.request is not None, "a notice is about a request or a run"
    return notice.request


def _run_context(notice: Notice, event: NoticeEvent) -> dict[str, object]:
    """Do what `_context` does for a notice about a run."""
    run = notice.run
    assert run is not None, "a notice is about a request or a run"
    since = notice.facts.get("since")
    told = Told(
        number=f"Run {run.number}",
        title=make_line(run.title),
        requester="",
        outcome="",
        closed_at="",
        closed_by="",
        reason="",
        state=make_line(str(notice.facts["state"])),
        since=_instant(datetime.fromisoformat(since)) if since else "",
    )
    wording = word(event, told)
    workflow = f"{run.workflow.project.slug}/{run.workflow.slug}"
    lines = {"Workflow": workflow, "State": told.state, "Since": told.since}
    return {
        "subject": wording.subject,
        "wording": wording,
        "number": told.number,
        "recipient": make_line(notice.recipient.name),
        "about": [Line(label=label, text=text) for label, text in lines.items() if text],
        "page": page_of_run(run.pk),
    }


def _context(notice: Notice, event: NoticeEvent) -> dict[str, object]:
    """Return plain values for the templates, each text on one line."""
    request = _request_of(notice)
    is_asking, is_guarded = event in _ASKING, event not in _UNGUARDED
    told = Told(
        number=str(request),
        title=make_line(request.title),
        requester=make_line(request.requester.name),
        outcome=request.outcome.replace("-", " "),
        closed_at=_instant(request.closed_at),
        closed_by=make_line(request.closed_by_name),
        reason=make_line(str(notice.facts.get("reason", ""))),
        is_question=request.kind == Asks.QUESTION,
    )
    wording = word(event, told)
    facts, more_count = list_facts(request.subject) if is_asking else ((), 0)
    return {
        "subject": wording.subject,
        "wording": wording,
        "number": told.number,
        "recipient": make_line(notice.recipient.name),
        "about": _list_about(notice, told, is_guarded=is_guarded),
        "deadline": _instant(request.expires_at) if is_asking else "",
        "if_approved": make_line(request.if_approved) if is_asking else "",
        "if_rejected": make_line(request.if_rejected) if is_asking else "",
        "answers": _list_answers(request) if is_asking and told.is_question else [],
        "facts": facts,
        "more_count": more_count,
        "votes": _list_votes(request) if event is NoticeEvent.REQUEST_DECIDED else [],
        "page": page_of(request.pk),
    }


def _list_about(notice: Notice, told: Told, *, is_guarded: bool) -> list[Line]:
    """Return what is known of a request; to whom may not see it, only where it is stuck."""
    request = _request_of(notice)
    stage = make_line(str(notice.facts.get("stage", "")))
    run = f", run {request.run_number}" if request.run_number else ""
    round_number = f", round {request.round}" if request.round > 1 else ""
    lines = {
        "Request": f"{told.number}{round_number}{f', stage {stage}' if stage else ''}",
        "Workflow": f"{request.project_slug}/{request.workflow_slug}".rstrip("/") + run,
    }
    if is_guarded:
        lines |= {
            "Started by" if told.is_question else "Asked by": told.requester,
            "Kind": request.kind.capitalize(),
            "Risk": request.risk.capitalize(),
            "Amount": format_amount(request.amount_value, request.amount_currency),
        }
    else:
        lines["Because"] = told.reason
    return [Line(label=label, text=text) for label, text in lines.items() if text]


def _list_answers(request: Request) -> list[Line]:
    """Return the answers a question can get and what follows from each."""
    return [
        Line(label=choice.value.capitalize(), text=consequence_of(choice, subject=request.subject))
        for choice in CHOICES[Asks.QUESTION]
    ]


def _list_votes(request: Request) -> list[dict[str, str]]:
    """Return who decided what in the last round, oldest first: the requester is told why."""
    votes = (
        Vote.objects.filter(request=request, round=request.round)
        .select_related("stage", "comment")
        .order_by("seq")
    )
    return [
        {
            "name": make_line(vote.name),
            "choice": say_choice(Choice(vote.decision))[1],
            "stage": vote.stage.key,
            "comment": make_line(vote.comment.text) if hasattr(vote, "comment") else "",
        }
        for vote in votes
    ]


def _mail_host() -> str:
    """Return the name our message ids end in; an IPv6 address is no name."""
    host = urlsplit(conf.public_url()).hostname or ""
    return host if host and ":" not in host else "localhost"


def _instant(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at is not None else ""
