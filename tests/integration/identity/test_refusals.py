"""Refused acts are on record though what refused them was rolled back."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from structlog.testing import capture_logs

from core.identity import refusals
from core.identity.acts import act
from core.identity.attribution import current_origin
from core.identity.authorize import require
from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.identity.middleware import AccessMiddleware
from core.identity.models import Person
from core.kernel.record import ActorKind, Via

REFUSED = "access.refused"


@act
def name_somebody(*, principal, name, then=None):
    """Write a row, then do what takes a permission."""
    Person.objects.create(name=name)
    if then is not None:
        then()
    require(principal=principal, permission=Permission.MANAGE_USERS, scope_id=None)


def persons(name):
    return Person.objects.filter(name=name).count()


def kinds(recall):
    return [entry.kind for entry in recall("access")]


@pytest.fixture
def nobody(committed_org):
    """Somebody without any role."""
    return committed_org.principal(committed_org.user("nobody"))


def test_a_refusal_survives_the_rollback_it_causes(committed_org, nobody, recall):
    with pytest.raises(AccessForbiddenError):
        name_somebody(principal=nobody, name="Ghost")

    assert persons("Ghost") == 0
    assert not connection.in_atomic_block
    (entry,) = recall("access")
    assert (entry.kind, entry.reason) == (REFUSED, "nothing")
    assert entry.policy == "No live role or share gives manage_users here."
    assert entry.data == {
        "permission": "manage_users",
        "user": str(nobody.user_id),
        "token": None,
    }
    name_somebody(principal=committed_org.system, name="Ada")
    assert persons("Ada") == 1
    assert len(recall("access")) == 1


def test_an_act_inside_an_act_is_recorded_once_by_the_outer_one(nobody, recall):
    def inner():
        name_somebody(principal=nobody, name="Inner")

    with pytest.raises(AccessForbiddenError):
        name_somebody(principal=nobody, name="Outer", then=inner)

    assert (persons("Inner"), persons("Outer")) == (0, 0)
    assert kinds(recall) == [REFUSED]


def test_a_refusal_somebody_survives_is_recorded_as_well(committed_org, nobody, recall):
    def shrug():
        with pytest.raises(AccessForbiddenError):
            name_somebody(principal=nobody, name="Inner")

    name_somebody(principal=committed_org.system, name="Outer", then=shrug)

    assert (persons("Inner"), persons("Outer")) == (0, 1)
    assert kinds(recall) == [REFUSED]


def test_outside_a_transaction_a_refusal_is_recorded_at_once(nobody, recall):
    with pytest.raises(AccessForbiddenError):
        require(principal=nobody, permission=Permission.MANAGE_USERS, scope_id=None)

    assert kinds(recall) == [REFUSED]


def test_another_error_in_the_same_work_does_not_lose_the_refusal(nobody, recall):
    def fail_after_a_refusal():
        with pytest.raises(AccessForbiddenError):
            require(principal=nobody, permission=Permission.MANAGE_USERS, scope_id=None)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), refusals.recording(), transaction.atomic():
        fail_after_a_refusal()

    assert kinds(recall) == [REFUSED]


def test_a_refusal_that_nobody_can_record_is_an_error_in_the_log(nobody, recall):
    with capture_logs() as logs, transaction.atomic(), pytest.raises(AccessForbiddenError):
        name_somebody(principal=nobody, name="Ghost")

    assert recall("access") == []
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("identity.refusal_unrecorded", "error")
    assert line["actor"] == str(nobody.user_id)
    assert line["data"]["permission"] == "manage_users"


def test_an_act_names_its_principal():
    with pytest.raises(AssertionError):
        act(lambda *, principal: principal)(principal=None)


# --- the middleware --------------------------------------------------------------------------


def request_of(user, path, *, auth=None) -> Any:
    """Return a request of an account, as Django's own middleware and DRF leave it."""
    request: Any = RequestFactory().get(path)
    request.user = user
    request.auth = auth
    return request


def test_a_view_in_its_own_transaction_has_its_refusals_recorded(committed_org, nobody, recall):
    def view(_request):
        try:
            with transaction.atomic():
                Person.objects.create(name="Ghost")
                require(principal=nobody, permission=Permission.MANAGE_USERS, scope_id=None)
        except AccessForbiddenError:
            return HttpResponse(status=403)

    answer = AccessMiddleware(view)(request_of(None, "/api/v1/me/"))

    assert answer.status_code == 403
    assert persons("Ghost") == 0
    assert kinds(recall) == [REFUSED]


def origins_seen(request):
    """Return what a view of this request would attribute its changes to."""
    seen = []

    def view(_request):
        seen.append(current_origin())
        return HttpResponse()

    AccessMiddleware(view)(request)
    return seen


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "via"), [("/api/v1/me/", Via.API), ("/admin/", Via.CONSOLE), ("/inbox", Via.PORTAL)]
)
def test_what_a_request_changes_is_attributed_to_its_account(org, path, via):
    user = org.user("ada")

    (origin,) = origins_seen(request_of(user, path))

    assert (origin.actor.id, origin.actor.kind) == (str(user.pk), ActorKind.PERSON)
    assert (origin.via, origin.auth) == (via, "session")
    assert origin.source_address == "127.0.0.1"
    assert origin.request_id
    assert current_origin().actor.kind is ActorKind.SYSTEM


@pytest.mark.django_db
def test_what_a_request_with_a_token_changes_is_attributed_to_its_principal(org):
    user = org.user("ada")
    principal = org.principal(user, token=org.token(user).row)

    assert origins_seen(request_of(user, "/api/v1/me/", auth=principal)) == [principal.origin]


@pytest.mark.django_db
def test_what_a_request_of_nobody_changes_is_the_platforms_own(org):
    (origin,) = origins_seen(request_of(AnonymousUser(), "/"))

    assert origin.actor.kind is ActorKind.SYSTEM
