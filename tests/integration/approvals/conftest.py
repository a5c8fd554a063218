"""An office where runs wait for people."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import transaction

from approvals.domain import errors
from approvals.models import Request, RequestStatus, Vote
from approvals.services.decide import decide
from approvals.verbs import ApprovalVerb
from audit import store as ledger
from core.identity.seed import seed
from core.identity.services.groups import add_member, remove_member
from core.identity.services.people import create_machine, create_user
from core.identity.services.roles import assign_role
from core.kernel.record import ActorKind
from core.toolkit.db import read_database_clock
from engine import loading, registry
from engine.domain.expressions import RUN_NAMES
from engine.domain.plan import Plan, Step, Wait
from engine.domain.verbs import CheckScope
from engine.driver import DriveEnd
from engine.ports import OpeningWait
from engine.selectors.facts import get_run_facts
from tests.founding import founded, lend
from tests.world import Hand, World

PEER = {"id": "peer", "approvers": {"groups": ["board"]}}


@dataclass
class Office(World):
    """A project with a requester, an author, and three approvers in the group `board`."""

    flow_count: int = field(default=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hand = Hand()
        self.user("mara", "requester", "operator")
        self.user("otto", "editor", "publisher", "approver")
        for name in ("ann", "bob", "cid"):
            self.user(name, "approver", groups=("board",))

    def open(self, *stages, by="mara", inputs=None, **block) -> Request:
        """Run a workflow of one approval up to its request."""
        run_id = self.run(*stages, by=by, inputs=inputs, **block)
        return Request.objects.get(run_id=run_id)

    def run(self, *stages, by="mara", inputs=None, **block):
        """Start a workflow of one approval and drive it until it waits."""
        self.flow_count += 1
        written = {"expires": {"after": "PT1H"}, "stages": list(stages or [PEER]), **block}
        checked = ApprovalVerb().check(
            written,
            scope=CheckScope(step="approve", path="", names=RUN_NAMES, evaluator=loading.EVALUATOR),
        )
        assert [item for item in checked.problems if item.severity == "error"] == []
        step = Step(id="approve", verb=Wait(verb="approval", body=checked.body))
        plan = Plan(
            name=f"flow{self.flow_count}",
            title="Flow",
            inputs_schema={"type": "object"},
            variables={},
            steps={"approve": step},
            outputs={"form": "steps.approve.outputs.form"},
        )
        self.publish(plan, author="otto")
        run_id = self.start(plan.name, by=by, inputs=inputs).run_id
        assert self.hand.drive(run_id) is DriveEnd.PARKED
        return run_id

    def decide(self, request, who, decision="approve", **sent):
        """Decide as an account, by default on what stands now."""
        stands = bytes(Request.objects.get(pk=request.pk).shown_digest).hex()
        sent.setdefault("digest_hex", stands)
        if decision == "reject":
            sent.setdefault("comment", "not today")
        return decide(
            principal=self.principal(who) if isinstance(who, str) else who,
            request_id=request.pk,
            decision=decision,
            **sent,
        )

    def second_account(self, name, *, of):
        """Make another account of a person who has one, an approver in `board` too."""
        person_id = self.users[of].person_id
        self.users[name] = create_user(
            principal=self.system, username=name, name=name.title(), person_id=person_id
        )
        return self.enroll(name)

    def machine(self, name, kind: ActorKind, *, owner):
        """Make an agent or a service, with the role of an approver and in `board`."""
        self.users[name] = create_machine(
            principal=self.system,
            username=name,
            name=name.title(),
            kind=kind,
            owner_id=self.users[owner].pk,
        )
        return self.enroll(name)

    def enroll(self, name):
        """Give an account the role of an approver and put it into `board`."""
        user_id = self.users[name].pk
        assign_role(
            principal=self.system,
            role="approver",
            scope_id=self.project.scope_id,
            user_id=user_id,
        )
        return self.join(name)

    def join(self, name, group="board"):
        """Put an account into a group."""
        add_member(
            principal=self.system, group_id=self.group(group).pk, user_id=self.users[name].pk
        )
        return self.principal(name)

    def leave(self, name, group="board"):
        """Take an account out of a group."""
        remove_member(
            principal=self.system, group_id=self.group(group).pk, user_id=self.users[name].pk
        )

    def question(self, *, kind="timeout", message="no result within 30 s", key="deploy#1"):
        """Ask about a step of a waiting run as its driver would, and return the request."""
        run_id = self.run()
        with transaction.atomic():
            registry.opener("question").open(
                OpeningWait(
                    run=get_run_facts(run_id=run_id),
                    key=key,
                    step="deploy",
                    body={
                        "error": {"kind": kind, "message": message},
                        "attempt": 3,
                        "choices": ["retry", "skip", "fail"],
                    },
                    seq=1,
                    leaf=bytes(32),
                    at=read_database_clock(),
                )
            )
        return Request.objects.get(run_id=run_id, kind="question")

    def overdue(self, request):
        """Let the time of a request be up."""
        past = read_database_clock() - timedelta(seconds=1)
        Request.objects.filter(pk=request.pk).update(expires_at=past)


def new_office() -> Office:
    """Make an office in a database that may have been emptied."""
    seed(apps)
    loading.forget_all()
    return Office()


@pytest.fixture(scope="module")
def founded_office(django_db_setup, django_db_blocker):
    """Found an office once for a module."""
    with founded(new_office, blocker=django_db_blocker) as office:
        yield office


@pytest.fixture
def office(founded_office, db):
    return lend(founded_office)


def stage(key, *, groups=None, users=None, permission=None, count=1, reject=1, when=None):
    """Write a stage as an author does."""
    approvers = {"groups": groups} if groups else {"users": users} if users else {}
    if permission:
        approvers = {"permission": permission}
    written = {
        "id": key,
        "approvers": approvers,
        "quorum": {"count": count, "reject": reject},
    }
    return {**written, "when": when} if when else written


def kinds(request):
    """Return the kinds of a request's entries, each link checked."""
    return [entry.kind for entry in ledger.read_verified(stream=request.pk, limit=100)]


def entries(request, kind):
    """Return a request's entries of one kind."""
    found = ledger.read_verified(stream=request.pk, limit=100)
    return [entry for entry in found if entry.kind == kind]


def refused(office, request, who):
    """Let somebody try to approve and be refused; return why. Nothing changes but the record."""
    with pytest.raises(errors.MayNotDecideError) as caught:
        office.decide(request, who)
    assert Request.objects.get(pk=request.pk).status == RequestStatus.OPEN
    assert not Vote.objects.filter(request=request).exists()
    entry = entries(request, "decision.refused")[-1]
    assert entry.data["person"] == str(office.principal(who).person_id)
    return caught.value.details["reason"]
