"""A small organisation in a real database, made through the services. Read `World` first."""

from dataclasses import dataclass, field
from uuid import UUID

from django.contrib.auth.models import Group
from django.utils.timezone import now

from core.identity.domain.permissions import ScopeKind
from core.identity.domain.principal import Principal, make_system_principal
from core.identity.models import Project, User
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.services.groups import add_member, create_group
from core.identity.services.people import create_user
from core.identity.services.projects import create_project
from core.identity.services.roles import assign_role
from core.identity.services.scopes import create_scope
from core.kernel import ids
from core.kernel.record import Via
from core.kernel.types import Json
from engine import loading, store
from engine.domain.plan import Plan
from engine.domain.plan_json import plan_digest, plan_to_json
from engine.domain.state import RunState
from engine.driver import DriveEnd, Driver
from engine.models import Run, Version, Workflow
from engine.selectors.started import StartedRun
from engine.services.runs import start_run

PASSWORD = "correct horse battery staple"


@dataclass
class World:
    """One project, and whoever a test needs in it."""

    slug: str = "acme"
    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.system = make_system_principal()
        self.project: Project = create_project(
            principal=self.system, slug=self.slug, title=self.slug.title()
        )

    def user(self, name: str, *roles: str, groups: tuple[str, ...] = ()) -> Principal:
        """Make an account with roles in the project and memberships."""
        user = create_user(
            principal=self.system,
            username=name,
            name=name.title(),
            email=f"{name}@example.org",
            password=PASSWORD,
        )
        self.users[name] = user
        for role in roles:
            assign_role(
                principal=self.system,
                role=role,
                scope_id=self.project.scope_id,
                user_id=user.pk,
            )
        for group in groups:
            add_member(principal=self.system, group_id=self.group(group).pk, user_id=user.pk)
        return self.principal(name)

    def group(self, name: str) -> Group:
        """Return a team, made on first mention."""
        if name not in self.groups:
            self.groups[name] = create_group(principal=self.system, name=name)
        return self.groups[name]

    def principal(self, name: str, *, via: Via = Via.API) -> Principal:
        """Return an account as it comes in over a channel."""
        user = User.objects.get(pk=self.users[name].pk)
        origin = make_origin(user=user, via=via, auth="token", source_address="127.0.0.1")
        return get_principal(user=user, origin=origin)

    def publish(self, plan: Plan, *, author: str) -> Version:
        """Publish a plan as it is, without a text: for tests of the engine alone."""
        workflow = Workflow.objects.filter(project=self.project, slug=plan.name).first()
        if workflow is None:
            scope = create_scope(kind=ScopeKind.WORKFLOW, parent_id=self.project.scope_id)
            workflow = Workflow.objects.create(
                project=self.project, scope=scope, slug=plan.name, title="t", created_at=now()
            )
        rev = Version.objects.filter(workflow=workflow).count() + 1
        return Version.objects.create(
            workflow=workflow,
            rev=rev,
            label=f"1.{rev}.0",
            digest=plan_digest(plan),
            source_digest=bytes(32),
            source="",
            plan=plan_to_json(plan),
            inputs_schema=plan.inputs_schema,
            author=self.users[author],
            created_at=now(),
            status="published",
            published_at=now(),
            published_by=self.users[author],
        )

    def start(self, slug: str, *, by: str, inputs: Json = None, key: str = "") -> StartedRun:
        """Start a run of a workflow of the project."""
        return start_run(
            principal=self.principal(by),
            project_slug=self.slug,
            workflow_slug=slug,
            inputs={} if inputs is None else inputs,
            idempotency_key=key,
        )


@dataclass
class Hand:
    """A worker without a process: drives runs in the test's own thread."""

    worker: UUID = field(default_factory=ids.uuid7)

    def __post_init__(self) -> None:
        self.driver = Driver(worker=self.worker)
        self.beat()

    def beat(self) -> None:
        """Extend the lease."""
        store.heartbeat(worker=self.worker, name="hand")

    def die(self) -> None:
        """Let the lease run out."""
        store.expire_worker(worker=self.worker)

    def drive(self, run_id: UUID) -> DriveEnd:
        """Drive a run until it blocks."""
        return self.driver.drive(run_id=run_id)


def fold(run_id: UUID) -> RunState:
    """Return a run's state as its ledger stream tells it, nothing kept from before."""
    loading.forget_state(run_id=run_id)
    run = Run.objects.get(pk=run_id)
    rules = loading.get_rules(version_id=run.version_id)
    state, head = loading.load_state(decider=rules.decider, run_id=run_id, seq=run.seq)
    assert (head.seq, head.head) == (run.seq, bytes(run.head))
    return state
