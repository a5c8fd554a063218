"""Requests and notices as rows, and a mail server that keeps what it gets."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from approvals.domain.rule import Approvers, Exclusions, Quorum, Rule, StageRule, rule_to_json
from approvals.models import Comment, Notice, Request, Round, Stage, Vote
from core.identity.domain.permissions import ScopeKind
from core.identity.domain.principal import make_system_principal
from core.identity.services import people, projects, roles
from core.identity.services.scopes import create_scope
from tests.fakes import ledger as fake
from tests.loopback_smtp import serve_smtp

SYSTEM = make_system_principal()
PEER = StageRule(key="peer", approvers=Approvers(groups=("board",)), quorum=Quorum())
RULE = Rule(stages=(PEER,), exclusions=Exclusions())


@pytest.fixture(autouse=True)
def _remembering_ledger(settings):
    """Record into the fake, which the contract suite compares with the real sink."""
    settings.LEDGER_SINK = fake.PATH


@pytest.fixture
def mailbox(settings):
    """Let mail go to a server on the loopback address."""
    for mailbox in serve_smtp():
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = mailbox.port
        settings.EMAIL_USE_TLS = False
        settings.EMAIL_HOST_USER = ""
        settings.EMAIL_HOST_PASSWORD = ""
        settings.DEFAULT_FROM_EMAIL = "countersign@example.org"
        settings.PUBLIC_URL = "https://countersign.example.org"
        yield mailbox


class Office:
    """A project with somebody who asks, somebody who decides, and one open request."""

    def __init__(self):
        self.project = projects.create_project(principal=SYSTEM, slug="shop", title="Shop")
        self.scope = create_scope(kind=ScopeKind.WORKFLOW, parent_id=self.project.scope_id)
        self.mara = self.person("mara", "requester")
        self.ada = self.person("ada", "approver")
        self.request = self.ask()

    def person(self, name, *held, email=None):
        user = people.create_user(
            principal=SYSTEM,
            username=name,
            name=name.title(),
            email=f"{name}@example.org" if email is None else email,
        )
        for role in held:
            roles.assign_role(
                principal=SYSTEM, role=role, scope_id=self.project.scope_id, user_id=user.pk
            )
        return user

    def ask(self, **fields):
        values = {
            "scope": self.scope,
            "project_scope_id": self.project.scope_id,
            "project_slug": "shop",
            "workflow_slug": "release",
            "run_number": 12,
            "requester": self.mara,
            "requester_person": self.mara.person,
            "status": "open",
            "rule": rule_to_json(RULE),
            "version_digest": bytes(32),
            "title": "Release 1.4.0 to production",
            "kind": "deploy",
            "risk": "medium",
            "amount_value": 125050,
            "amount_currency": "EUR",
            "if_approved": "1.4.0 replaces what production serves.",
            "if_rejected": "Nothing changes.",
            "subject": {"secret": "not for mail"},
            "shown_digest": bytes(32),
            "opened_at": now(),
            "expires_at": now() + timedelta(hours=72),
            **fields,
        }
        request = Request.objects.create(**values)
        Round.objects.create(
            request=request, number=1, shown_digest=bytes(32), opened_at=request.opened_at
        )
        self.stage = Stage.objects.create(
            request=request, round=1, position=0, key="peer", status="open"
        )
        return request

    def close(self, outcome="approved"):
        self.request.status = "closed"
        self.request.outcome = outcome
        self.request.closure = "decision"
        self.request.closed_at = now()
        self.request.closed_by = self.ada
        self.request.closed_by_name = "Ada"
        self.request.save()

    def vote(self, user, decision, comment=""):
        vote = Vote.objects.create(
            request=self.request,
            round=1,
            stage=self.stage,
            person=user.person,
            user=user,
            name=user.name,
            revision=1,
            decision=decision,
            shown_digest=bytes(32),
            cast_at=now(),
            via="api",
            command_digest=bytes(32),
            result={},
            seq=1,
            leaf=bytes(32),
        )
        if comment:
            Comment.objects.create(vote=vote, text=comment)

    def notice(self, event="request.opened", *, to=None, **fields):
        recipient = to or self.ada
        count = Notice.objects.count()
        values = {
            "event": event,
            "request": self.request,
            "recipient": recipient,
            "channel": "email",
            "facts": {"stage": "peer"} if event in {"request.opened", "stage.opened"} else {},
            "next_at": now() - timedelta(seconds=1),
            "created_at": now(),
            "dedupe_key": f"{event}:{recipient.pk}:{count}",
            **fields,
        }
        return Notice.objects.create(**values)


@pytest.fixture
def office(db):
    return Office()


@pytest.fixture
def committed_office(transactional_db):
    """An office other connections can see."""
    yield Office()
    fake.forget()
