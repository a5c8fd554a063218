"""A project whose workflows run in the test's own thread, and browsers without scripts."""

import html
import re
from dataclasses import dataclass

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals.verbs import ApprovalVerb
from core.kernel.types import Json
from countersign import TransientError, current_attempt, function
from engine import loading
from engine.domain.expressions import RUN_NAMES
from engine.domain.plan import Plan, Retry, Step, Uses, Wait
from engine.domain.verbs import CheckScope
from engine.driver import DriveEnd
from engine.services.definitions import publish_version, save_version
from tests.founding import founded, lend
from tests.world import Hand, World

DEFINITION = """\
schema: flow/v1
kind: dag
name: ship
title: "Ship ${{ inputs.version }} to ${{ inputs.place }}"
inputs:
  type: object
  required: [version, place]
  additionalProperties: false
  properties:
    version: {type: string, pattern: "^[0-9.]+$", description: What is shipped.}
    place: {enum: [staging, production]}
    count: {type: integer, minimum: 1, default: 1}
triggers: [{manual: {}}, {api: {}}]
steps:
  build:
    uses: python/call@1
    with: {function: p.ok, version: "${{ inputs.version }}"}
  send:
    needs: [build]
    uses: python/call@1
    with: {function: p.ok}
outputs: {version: "inputs.version"}
"""
_BLOCK: Json = {
    "title": "Go on?",
    "expires": {"after": "PT1H", "then": "reject"},
    "stages": [{"id": "one", "approvers": {"groups": ["board"]}}],
}


@function("p.ok")
def _ok(**arguments):
    return arguments


@function("p.boom")
def _boom(**_):
    raise ValueError("the disk <b>is</b> full")


@function("p.flaky")
def _flaky(**_):
    if current_attempt().number == 1:
        raise TransientError("not yet")


def call(step, *needs, does="p.ok", **fields):
    """Return a step that calls a function."""
    arguments = {"function": does}
    return Step(
        id=step, verb=Uses(action="python/call@1", arguments=arguments), needs=needs, **fields
    )


def ask(step, *needs):
    """Return a step that asks people."""
    scope = CheckScope(step=step, path="", names=RUN_NAMES, evaluator=loading.EVALUATOR)
    checked = ApprovalVerb().check(_BLOCK, scope=scope)
    return Step(id=step, verb=Wait(verb="approval", body=checked.body), needs=needs)


AT_ONCE = Retry(retries_max=2, initial_seconds=0.0, jitter=False)


@dataclass
class Yard(World):
    """A project with somebody for each thing that is done with workflows; and a stranger."""

    def __post_init__(self) -> None:
        super().__post_init__()
        loading.forget_all()
        self.hand = Hand()
        self.user("mara", "requester", "editor")
        self.user("pia", "publisher")
        self.user("rex", "operator")
        self.user("vera", "viewer")
        self.user("ann", "approver", groups=("board",))
        self.user("stan")

    def play(self, *steps, title="Test", inputs=None, name="test", outputs=None):
        """Publish steps, start a run of them and drive it until it waits or ends."""
        plan = Plan(
            name=name,
            title=title,
            inputs_schema={"type": "object"},
            variables={},
            steps={step.id: step for step in steps},
            outputs=outputs or {},
        )
        self.publish(plan, author="mara")
        run_id = self.start(name, by="mara", inputs=inputs).run_id
        while self.hand.drive(run_id) is DriveEnd.RELEASED:
            pass
        return run_id

    def save(self, source=DEFINITION, *, live=True):
        """Save a definition as its author, and publish it."""
        saved = save_version(
            principal=self.principal("mara"), project_slug=self.slug, source=source, message="why"
        )
        if live:
            publish_version(
                principal=self.principal("pia"),
                project_slug=self.slug,
                workflow_slug=saved.workflow_slug,
                rev=saved.rev,
            )
        return saved.rev

    def browse(self, name):
        """Return a signed-in browser of somebody."""
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(self.users[name], "django.contrib.auth.backends.ModelBackend")
        return browser


@pytest.fixture(scope="module")
def founded_yard(django_db_setup, django_db_blocker):
    """Found a yard once for a module."""
    with founded(Yard, blocker=django_db_blocker) as yard:
        yield yard


@pytest.fixture
def yard(founded_yard, db):
    return lend(founded_yard)


def text(answer):
    """Return a page's text."""
    return answer.content.decode()


def words(answer):
    """Return what a page says, without its markup, spaces joined."""
    bare = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", text(answer), flags=re.DOTALL)
    return " ".join(html.unescape(bare).split())


def find(pattern, page):
    """Return what a group of a pattern finds in a page's text."""
    found = re.search(pattern, page)
    assert found, pattern
    return html.unescape(found[1])


def field(answer, name):
    """Return the value of a hidden field."""
    return find(rf'name="{name}" value="([^"]*)"', text(answer))


def send(browser, address, page=None, **data):
    """Post a form as a browser does: with the token of the page that shows it."""
    page = page or browser.get(address)
    token = field(page, "csrfmiddlewaretoken")
    return browser.post(address, {"csrfmiddlewaretoken": token, **data})


def queries_of(browser, address):
    """Return how many queries a page takes once everything is warm."""
    browser.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    return len(queries)
