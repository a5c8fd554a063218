"""What the tests of identity share: a remembering ledger, and an organisation to ask about."""

from types import SimpleNamespace

import pytest

from core.identity.domain.permissions import ScopeKind
from core.identity.domain.principal import make_system_principal
from core.identity.models import ApiToken, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.services import groups, people, projects, roles, tokens
from core.identity.services.scopes import create_scope
from core.kernel.record import Via
from tests.fakes import ledger as fake
from tests.integration.identity.consoles import browser_of

SYSTEM = make_system_principal()


@pytest.fixture(autouse=True)
def _remembering_ledger(settings):
    """Record into the fake, which the contract suite compares with the real sink."""
    settings.LEDGER_SINK = fake.PATH


@pytest.fixture
def recall():
    """Return what the ledger remembers of a stream."""
    return fake.recall


@pytest.fixture
def org(db):
    """Return an organisation of two projects."""
    return Organisation()


@pytest.fixture
def committed_org(transactional_db):
    """Return an organisation other connections can see."""
    yield Organisation()
    fake.forget()


@pytest.fixture
def admin(org):
    """An access administrator who also sets up projects, as a principal."""
    user = org.user("admin")
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=user)
    org.assign("project_admin", GLOBAL_SCOPE_ID, user=user)
    return org.principal(user)


@pytest.fixture
def nobody(org):
    """Somebody without any role, as a principal."""
    return org.principal(org.user("nobody"))


@pytest.fixture
def browser(admin):
    """Return a browser of the administrator, signed in."""
    return browser_of(User.objects.get(pk=admin.user_id))


@pytest.fixture
def latest(recall):
    """Return the last act on a stream, whatever the log of settings added."""

    def find(stream="identity"):
        acts = [entry for entry in recall(stream) if entry.kind != "setting.changed"]
        return acts[-1]

    return find


class Organisation:
    """Two projects with a workflow each, and shorthand for making people and asking as them."""

    def __init__(self):
        self.system = SYSTEM
        self.pay = self.project("pay")
        self.ship = self.project("ship")
        self.pay_flow = create_scope(kind=ScopeKind.WORKFLOW, parent_id=self.pay.scope_id)
        self.ship_flow = create_scope(kind=ScopeKind.WORKFLOW, parent_id=self.ship.scope_id)

    def project(self, slug):
        return projects.create_project(principal=SYSTEM, slug=slug, title=slug.title())

    def user(self, username, **fields):
        return people.create_user(
            principal=SYSTEM, username=username, name=username.title(), **fields
        )

    def machine(self, username, *, kind, owner):
        return people.create_machine(
            principal=SYSTEM,
            username=username,
            name=username.title(),
            kind=kind,
            owner_id=owner.pk,
        )

    def group(self, name, *members):
        group = groups.create_group(principal=SYSTEM, name=name)
        for user in members:
            groups.add_member(principal=SYSTEM, group_id=group.pk, user_id=user.pk)
        return group

    def assign(self, role, scope_id, *, user=None, group=None, **terms):
        return roles.assign_role(
            principal=SYSTEM,
            role=role,
            scope_id=scope_id,
            user_id=None if user is None else user.pk,
            group_id=None if group is None else group.pk,
            **terms,
        )

    def principal(self, user, *, token=None, via=Via.API):
        user.refresh_from_db()
        origin = make_origin(user=user, via=via, auth="session" if token is None else "token")
        return get_principal(user=user, origin=origin, token=token)

    def token(self, user, **fields) -> SimpleNamespace:
        token, secret = tokens.create_token(
            principal=SYSTEM, user_id=user.pk, name=fields.pop("name", "test"), **fields
        )
        return SimpleNamespace(row=ApiToken.objects.get(pk=token.pk), secret=secret)
