"""A project with runs that hold a marker everywhere, and two people who may have it erased."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now

from approvals.models import Request
from approvals.services.decide import decide
from audit.domain.redaction import LegalBasis, Order, Target, TargetKind
from audit.services import erasing
from audit.services.redactions import approve_redaction, request_redaction
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from countersign import function
from engine import loading
from engine.domain.state import RunStatus
from engine.models import Run
from engine.services import events, reporting
from engine.services.definitions import publish_version, save_version
from engine.triggers.firing import fire_due
from tests.founding import founded, lend
from tests.world import Hand, World

MARKER = "Zaubermarke-4711"

CHILD = """\
schema: flow/v1
kind: dag
name: child
title: "Child of ${{ inputs.who }}"
inputs: {type: object, properties: {who: {type: string}}}
triggers: [{manual: {}}, {api: {}}]
steps:
  greet: {uses: python/call@1, with: {function: red.echo, text: "hello ${{ inputs.who }}"}}
outputs: {said: "steps.greet.outputs"}
"""

FLOW = """\
schema: flow/v1
kind: dag
name: everything
title: "For ${{ inputs.who }}"
inputs: {type: object, properties: {who: {type: string}, fails: {type: boolean, default: false}}}
vars: {letter: "Dear ${{ inputs.who }}"}
triggers: [{manual: {}}, {api: {}}]
steps:
  many:
    map: {items: "[inputs.who, 'b']", as: item}
    uses: python/call@1
    with: {function: red.echo, text: "${{ item }}"}
  kept:
    uses: python/call@1
    with: {function: red.echo, text: "kept ${{ inputs.who }}"}
    cache: {key: "the result for ${{ inputs.who }}", ttl: PT1H}
  sub:
    call: child@^1
    with: {who: "${{ inputs.who }}"}
  told:
    emit: {type: red.told, data: {who: "${{ inputs.who }}"}}
  heard:
    needs: [told]
    wait: {event: {type: red.answered, correlate: {run: run.id}}}
  ask:
    needs: [many, kept, sub, heard]
    approval:
      title: "Pay ${{ inputs.who }}?"
      subject: {who: inputs.who}
      form: {type: object, properties: {note: {type: string}}}
      expires: {after: PT1H}
      stages: [{id: peer, approvers: {groups: [board]}}]
  last:
    needs: [ask]
    uses: python/call@1
    with:
      function: red.last
      text: "${{ steps.ask.outputs.form.note }}"
      fails: "${{ inputs.fails }}"
outputs: {all: "steps.last.outputs", who: "inputs.who"}
"""

FOLLOWER = """\
schema: flow/v1
kind: dag
name: follower
title: "Follows ${{ event.data.who }}"
inputs: {type: object, properties: {who: {type: string}}}
triggers: [{event: {type: red.told, inputs: {who: "event.data.who"}}}]
steps:
  note: {uses: python/call@1, with: {function: red.echo, text: "${{ inputs.who }}"}}
"""


@function("red.echo")
def _echo(*, text):
    return {"text": text}


@function("red.last")
def _last(*, text, fails):
    if fails:
        raise ValueError(f"it broke at {text}")
    return {"text": text}


@dataclass
class Archive(World):
    """A project, its people, two records officers and an auditor."""

    def __post_init__(self) -> None:
        super().__post_init__()
        loading.forget_all()
        self.hand = Hand()
        self.user("mara", "requester", "operator")
        self.user("otto", "editor", "publisher")
        self.user("ann", "approver", groups=("board",))
        self.user("vera", "viewer")
        for name, role in (
            ("rita", "records_officer"),
            ("ross", "records_officer"),
            ("alma", "auditor"),
        ):
            self.user(name)
            assign_role(
                principal=self.system,
                role=role,
                scope_id=GLOBAL_SCOPE_ID,
                user_id=self.users[name].pk,
            )
        for source in (CHILD, FLOW, FOLLOWER):
            self.save(source)

    def save(self, source: str) -> None:
        """Save a definition and publish it."""
        saved = save_version(
            principal=self.principal("otto"), project_slug=self.slug, source=source, message="why"
        )
        publish_version(
            principal=self.principal("otto"),
            project_slug=self.slug,
            workflow_slug=saved.workflow_slug,
            rev=saved.rev,
        )

    def settle(self, *, seconds: float = 20.0) -> None:
        """Drive every run that can move, until none can."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ready = Run.objects.filter(status="READY") | Run.objects.filter(
                status="WAITING", wake_at__lte=now()
            )
            found = list(ready.values_list("pk", flat=True))
            if not found:
                reporting.sweep_children()
                events.sweep_events()
                fire_due()
                if not ready.exists():
                    return
            for run_id in found:
                self.hand.drive(run_id)
        raise AssertionError("the runs do not come to rest")

    def play(self, *, who: str = MARKER, key: str = "", fails: bool = False) -> Run:
        """Run the whole flow to its end, a person deciding with comment and form."""
        started = self.start("everything", by="mara", inputs={"who": who, "fails": fails}, key=key)
        self.settle()
        sent = events.publish(
            project_id=self.project.pk,
            event_type="red.answered",
            data={"run": str(started.run_id), "text": f"from {who}"},
            origin=self.principal("mara").origin,
        )
        events.deliver_event(event_id=sent.event_id, limit=10)
        self.settle()
        return self.approve(started.run_id, who=who)

    def approve(self, run_id: UUID, *, who: str = MARKER) -> Run:
        """Decide the open request of a run, with comment and form, and let the run end."""
        request = Request.objects.get(run_id=run_id, status="open")
        decide(
            principal=self.principal("ann"),
            request_id=request.pk,
            decision="approve",
            digest_hex=bytes(request.shown_digest).hex(),
            comment=f"fine with {who}",
            form={"note": f"note on {who}"},
        )
        self.settle()
        run = Run.objects.get(pk=run_id)
        assert run.status == RunStatus.CLOSED, run.status
        return run

    def order(self, target: Target, *, by: str = "rita", reason: str = "Article 17") -> UUID:
        """Ask for a redaction."""
        return request_redaction(
            principal=self.principal(by),
            order=Order(target=target, basis=LegalBasis.GDPR_17, reason=reason),
        )

    def redact(self, target: Target) -> UUID:
        """Ask for a redaction, approve it and have it executed."""
        made = self.order(target)
        approve_redaction(principal=self.principal("ross"), redaction_id=made)
        assert erasing.execute_orders() == 1
        return made

    def redact_run(self, run: Run) -> UUID:
        """Have a run redacted."""
        return self.redact(Target(kind=TargetKind.RUN, id=run.pk))

    def browse(self, name: str) -> Client:
        """Return a signed-in browser of somebody."""
        browser = Client()
        browser.force_login(self.users[name], "django.contrib.auth.backends.ModelBackend")
        return browser


@pytest.fixture(scope="module")
def founded_archive(django_db_setup, django_db_blocker) -> Iterator[Archive]:
    """Found an archive once for a module."""
    with founded(Archive, blocker=django_db_blocker) as archive:
        yield archive


@pytest.fixture
def archive(founded_archive, db):
    return lend(founded_archive)


_COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name IN (
        SELECT table_name FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_type = 'BASE TABLE')"""


def find_marker(marker: str = MARKER) -> dict[str, int]:
    """Return every column of the database whose rows hold a text, and how many rows do."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        columns = cursor.fetchall()
        for table, column, kind in columns:
            text = f'"{column}"::text'
            if kind == "bytea":
                text = f"encode(\"{column}\", 'escape')"
            cursor.execute(
                f'SELECT count(*) FROM "{table}" WHERE position(%s in {text}) > 0', [marker]
            )
            (count,) = cursor.fetchone()
            if count:
                found[f"{table}.{column}"] = count
    return found
