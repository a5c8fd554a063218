"""An organisation that is spoken to over HTTP, one client for each account."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from rest_framework.test import APIClient

from approvals.models import Request
from approvals.verbs import ApprovalVerb
from core.identity.models import Scope
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.toolkit.api.errors import PROBLEM_MEDIA_TYPE
from engine import loading
from engine.domain.expressions import RUN_NAMES
from engine.domain.plan import Plan, Step, Wait
from engine.domain.verbs import CheckScope
from engine.driver import DriveEnd
from tests.founding import founded, lend
from tests.integration.audit.logs import seal
from tests.world import Hand, World

BOARD = {"id": "board", "approvers": {"groups": ["board"]}}
INPUTS_SCHEMA = {
    "type": "object",
    "properties": {
        "environment": {"enum": ["staging", "production"]},
        "count": {"type": "integer", "minimum": 1},
    },
    "required": ["environment"],
    "additionalProperties": False,
}


class Caller:
    """An account with a token, or nobody. Paths are those under /api/v1/."""

    def __init__(self, secret: str = "") -> None:
        self.client = APIClient(raise_request_exception=False)
        if secret:
            self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")

    def get(self, path: str, **parameters: Any):
        return self.client.get(f"/api/v1/{path}", parameters)

    def post(self, path: str, body: Any = None, **headers: str):
        return self.send("post", path, {} if body is None else body, **headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(self.client, method)(f"/api/v1/{path}", body, format="json", headers=names)

    def follow(self, link: str):
        return self.client.get(link)

    def pages(self, path: str, **parameters: Any):
        """Yield the pages of a list."""
        response = self.get(path, **parameters)
        while True:
            assert response.status_code == 200, response.content
            page = response.json()
            yield page["items"]
            if page["next"] is None:
                return
            response = self.follow(page["next"])


@dataclass
class Town(World):
    """A project with a requester, an author, three approvers and a viewer; and a stranger."""

    callers: dict[str, Caller] = field(default_factory=dict)
    flow_count: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        loading.forget_all()
        self.hand = Hand()
        self.user("mara", "requester", "operator")
        self.user("otto", "editor", "publisher", "approver")
        for name in ("ann", "bob", "cid"):
            self.user(name, "approver", groups=("board",))
        self.user("vera", "viewer")
        self.user("stan")

    def as_(self, name: str) -> Caller:
        """Return an account's client; its token is made on first use."""
        if name not in self.callers:
            _, secret = create_token(principal=self.principal(name), name="test")
            self.callers[name] = Caller(secret)
        return self.callers[name]

    def flow(self, *stages, inputs_schema=None, **block) -> str:
        """Publish a workflow of one approval and return its slug."""
        self.flow_count += 1
        written = {"expires": {"after": "PT1H"}, "stages": list(stages or [BOARD]), **block}
        scope = CheckScope(step="approve", path="", names=RUN_NAMES, evaluator=loading.EVALUATOR)
        checked = ApprovalVerb().check(written, scope=scope)
        assert [item for item in checked.problems if item.severity == "error"] == []
        plan = Plan(
            name=f"flow{self.flow_count}",
            title="Flow",
            inputs_schema=inputs_schema or {"type": "object"},
            variables={},
            steps={
                "approve": Step(id="approve", verb=Wait(verb="approval", body=checked.body)),
            },
            outputs={"form": "steps.approve.outputs.form"},
        )
        self.publish(plan, author="otto")
        return plan.name

    def run(self, *stages, by="mara", **block):
        """Start a workflow of one approval and drive it until it waits."""
        run_id = self.start(self.flow(*stages, **block), by=by).run_id
        assert self.hand.drive(run_id) is DriveEnd.PARKED
        return run_id

    def request(self, *stages, by="mara", **block) -> Request:
        """Run a workflow of one approval up to its request."""
        return Request.objects.get(run_id=self.run(*stages, by=by, **block))

    def decide(self, request: Request, who: str, decision="approve", *, headers=None, **sent):
        """Decide over HTTP, by default on what stands now."""
        if "digest" not in sent:
            sent["digest"] = bytes(Request.objects.get(pk=request.pk).shown_digest).hex()
        if decision == "reject":
            sent.setdefault("comment", "not today")
        body = {"decision": decision, **sent}
        return self.as_(who).post(f"requests/{request.pk}/decide/", body, **(headers or {}))


@pytest.fixture(scope="module")
def _founded(django_db_setup, django_db_blocker):
    """Found a town once for a module."""
    with founded(Town, blocker=django_db_blocker) as town:
        yield town


@pytest.fixture
def town(_founded, db):
    """Return a town; what a test does to it is rolled back."""
    mine = lend(_founded)
    mine.callers = {}
    return mine


@pytest.fixture
def committed_town(transactional_db):
    """Return a town that other connections can see."""
    return Town()


@pytest.fixture
def nobody():
    return Caller()


@pytest.fixture
def problem():
    """Check that an answer is a problem of a code, and return its body."""

    def check(response, status: int, code: str):
        assert response.status_code == status, (response.status_code, response.content)
        assert response.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
        body = response.json()
        assert body["code"] == code, body
        assert body["status"] == status
        assert body["type"] == f"urn:countersign:error:{code}"
        assert body["title"]
        assert body["detail"]
        assert body["request_id"] == response.headers["X-Request-ID"]
        return body

    return check


@pytest.fixture
def exports_dir(settings, tmp_path):
    """Give exports a folder of their own."""
    settings.LEDGER_EXPORTS_DIR = tmp_path / "exports"
    return settings.LEDGER_EXPORTS_DIR


@pytest.fixture
def record(town, exports_dir):
    """Return a town whose ledger has a closed run with a request, and auditors; all sealed."""
    request = town.request()
    assert town.decide(request, "ann", comment="Looks good.").status_code == 200
    town.hand.drive(request.run_id)
    town.closed_run = request.run_id
    town.open_run = town.run()
    seal()
    everywhere = Scope.objects.get(kind="global").pk
    for name, scope_id in (("aud", everywhere), ("paul", town.project.scope_id)):
        user_id = town.user(name).user_id
        assign_role(principal=town.system, role="auditor", scope_id=scope_id, user_id=user_id)
    seal()
    return town
