"""What lists of access cost and hold."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from guardian.shortcuts import assign_perm

from core.identity.domain.errors import IdentityMissingError
from core.identity.domain.permissions import Permission
from core.identity.models import RoleAssignment
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.access import (
    ScopeSet,
    find_holders,
    list_audience_keys,
    list_holder_keys,
    list_scopes,
)
from core.identity.selectors.principals import (
    find_by_username,
    list_group_ids,
    map_group_names,
    map_usernames,
)
from core.identity.selectors.projects import get_project, list_projects
from core.identity.services import people
from core.kernel import limits
from core.kernel.record import ActorKind

pytestmark = pytest.mark.django_db
VIEW, DECIDE = Permission.VIEW_PROJECT, Permission.DECIDE_REQUEST


# --- scopes ----------------------------------------------------------------------------------


def test_a_list_takes_three_queries_however_much_was_given(org, django_assert_max_num_queries):
    ada = org.user("ada")
    for number in range(10):
        group = org.group(f"team{number}", ada)
        org.assign("viewer", org.pay.scope_id, group=group)
        org.assign("viewer", org.ship_flow.pk, group=group)
        assign_perm("view_project", group, org.ship)
    principal = org.principal(ada)
    with_token = org.principal(ada, token=org.token(ada, project_id=org.pay.pk).row)

    with django_assert_max_num_queries(3):
        listed = list_scopes(principal=principal, permission=VIEW)
    with django_assert_max_num_queries(3):
        narrowed = list_scopes(principal=with_token, permission=VIEW)
    with django_assert_max_num_queries(2):
        list_scopes(principal=principal, permission=DECIDE)
    with django_assert_max_num_queries(0):
        assert list_scopes(principal=None, permission=VIEW).is_empty()

    assert listed == ScopeSet(
        everything=False,
        scope_ids=frozenset({org.pay.scope_id, org.ship_flow.pk, org.ship.scope_id}),
    )
    assert narrowed == ScopeSet(everything=False, scope_ids=frozenset({org.pay.scope_id}))


def test_a_token_for_a_project_keeps_what_is_inside_it(org):
    ada = org.user("ada")
    org.assign("viewer", org.pay_flow.pk, user=ada)
    org.assign("viewer", org.ship_flow.pk, user=ada)
    in_pay = org.principal(ada, token=org.token(ada, project_id=org.pay.pk).row)

    assert list_scopes(principal=in_pay, permission=VIEW).scope_ids == {org.pay_flow.pk}
    assert len(list_scopes(principal=org.principal(ada), permission=VIEW).scope_ids) == 2


def test_a_set_of_scopes_covers_what_is_in_it_and_what_is_below():
    one, other, parent = UUID(int=1), UUID(int=2), UUID(int=3)
    some = ScopeSet(everything=False, scope_ids=frozenset({one, parent}))

    assert some.covers(scope_id=one)
    assert some.covers(scope_id=other, parent_id=parent)
    assert not some.covers(scope_id=other)
    assert not some.covers(scope_id=other, parent_id=UUID(int=4))
    assert ScopeSet(everything=True, scope_ids=frozenset()).covers(scope_id=other)


# --- audiences -------------------------------------------------------------------------------


def test_audience_keys_are_what_an_account_is(org, django_assert_num_queries):
    ada = org.user("ada")
    board = org.group("board", ada)
    crew = org.group("crew")
    org.assign("viewer", GLOBAL_SCOPE_ID, user=ada)
    org.assign("approver", org.pay.scope_id, group=board)
    org.assign("approver", org.ship.scope_id, group=crew)
    org.assign("operator", org.pay_flow.pk, user=ada)
    gone = org.assign(
        "editor", org.pay.scope_id, user=ada, expires_at=datetime.now(UTC) + timedelta(hours=1)
    )
    RoleAssignment.objects.filter(pk=gone.pk).update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    principal = org.principal(ada)

    with django_assert_num_queries(3):
        keys = list_audience_keys(principal=principal)

    assert keys == tuple(
        sorted(
            [
                f"u:{ada.pk.hex}",
                f"t:{board.pk}",
                "r:viewer@g",
                f"r:approver@p:{org.pay.scope_id.hex}",
                f"r:operator@w:{org.pay_flow.pk.hex}",
            ]
        )
    )


def test_nobody_and_the_inactive_have_no_audience_keys(org):
    ada = org.user("ada")
    before = org.principal(ada)
    assert list_audience_keys(principal=before) == (f"u:{ada.pk.hex}",)

    people.deactivate_user(principal=org.system, user_id=ada.pk)

    for principal in (None, before, org.principal(ada), org.system):
        assert list_audience_keys(principal=principal) == ()


def test_keys_of_holders_name_every_role_at_every_scope_above(org, django_assert_num_queries):
    with django_assert_num_queries(2):
        keys = list_holder_keys(permission=DECIDE, scope_id=org.pay_flow.pk)

    assert keys == (
        "r:approver@g",
        f"r:approver@p:{org.pay.scope_id.hex}",
        f"r:approver@w:{org.pay_flow.pk.hex}",
    )
    assert list_holder_keys(permission=Permission.MANAGE_ROLES, scope_id=None) == (
        "r:access_admin@g",
    )
    assert list_holder_keys(permission=DECIDE, scope_id=UUID(int=5)) == ()


# --- holders ---------------------------------------------------------------------------------


def names_of_holders(permission, scope_id, **terms):
    return [
        item.username for item in find_holders(permission=permission, scope_id=scope_id, **terms)
    ]


def test_holders_are_active_accounts_by_name_each_once(org, django_assert_num_queries):
    ada, bob, eve = org.user("ada", email="ada@example.com"), org.user("bob"), org.user("eve")
    board = org.group("board", ada, bob)
    org.assign("approver", org.pay.scope_id, group=board)
    org.assign("approver", org.pay_flow.pk, user=ada)
    org.assign("approver", GLOBAL_SCOPE_ID, user=eve)
    left = org.user("left")
    org.assign("approver", org.pay.scope_id, user=left)
    people.deactivate_user(principal=org.system, user_id=left.pk)

    with django_assert_num_queries(2):
        holders = find_holders(permission=DECIDE, scope_id=org.pay_flow.pk)

    assert [item.username for item in holders] == ["ada", "bob", "eve"]
    assert (holders[0].user_id, holders[0].person_id) == (ada.pk, ada.person_id)
    assert (holders[0].email, holders[0].kind) == ("ada@example.com", ActorKind.PERSON)
    assert names_of_holders(DECIDE, org.ship_flow.pk) == ["eve"]
    assert names_of_holders(DECIDE, None) == ["eve"]
    assert names_of_holders(DECIDE, org.pay_flow.pk, among=[bob.pk, UUID(int=5)]) == ["bob"]
    assert names_of_holders(DECIDE, org.pay_flow.pk, among=[]) == []
    assert names_of_holders(DECIDE, UUID(int=5)) == []


def test_machines_hold_nothing_that_only_people_may_do(org):
    ada = org.user("ada")
    for kind in (ActorKind.AGENT, ActorKind.SERVICE):
        machine = org.machine(kind.value, kind=kind, owner=ada)
        org.assign("approver", org.pay.scope_id, user=machine)

    org.assign("approver", org.pay.scope_id, user=ada)

    assert names_of_holders(DECIDE, org.pay.scope_id) == ["ada"]
    assert names_of_holders(Permission.VIEW_REQUEST, org.pay.scope_id) == [
        "ada",
        "agent",
        "service",
    ]


def test_shares_make_holders_too(org):
    ada, bob = org.user("ada"), org.user("bob")
    assign_perm("view_project", ada, org.pay)
    assign_perm("view_project", org.group("board", bob), org.pay)

    assert names_of_holders(VIEW, org.pay.scope_id) == ["ada", "bob"]
    assert names_of_holders(VIEW, org.ship.scope_id) == []


def test_holders_are_bounded(org, monkeypatch):
    for number in range(4):
        org.assign("approver", org.pay.scope_id, user=org.user(f"user{number}"))

    monkeypatch.setattr(limits, "APPROVER_COUNT_MAX", 3)

    assert len(names_of_holders(DECIDE, org.pay.scope_id)) == 3


# --- names -----------------------------------------------------------------------------------


def test_names_lead_to_active_accounts_and_to_teams(org):
    ada, bob = org.user("ada"), org.user("bob")
    board = org.group("board", ada)
    people.deactivate_user(principal=org.system, user_id=bob.pk)

    assert map_usernames(usernames=["ada", "bob", "eve"]) == {"ada": ada.pk}
    assert map_group_names(names=["board", "crew"]) == {"board": board.pk}
    assert find_by_username(username="bob") == bob
    assert find_by_username(username="eve") is None
    assert list_group_ids(user_id=ada.pk) == {board.pk}


# --- projects --------------------------------------------------------------------------------


def test_a_project_one_may_not_see_is_not_there(org):
    ada = org.user("ada")
    org.assign("viewer", org.pay.scope_id, user=ada)
    principal = org.principal(ada)

    assert get_project(principal=principal, slug="pay").id == org.pay.pk
    for slug in ("ship", "nothing"):
        with pytest.raises(IdentityMissingError):
            get_project(principal=principal, slug=slug)
    with pytest.raises(IdentityMissingError):
        get_project(principal=None, slug="pay")


def test_projects_are_listed_by_slug_in_pages(org):
    ada, root = org.user("ada"), org.user("root")
    for slug in ("a", "z"):
        org.assign("viewer", org.project(slug).scope_id, user=ada)
    org.assign("viewer", GLOBAL_SCOPE_ID, user=root)

    def slugs(user, **page):
        return [view.slug for view in list_projects(principal=org.principal(user), **page)]

    assert slugs(ada) == ["a", "z"]
    assert slugs(root) == ["a", "pay", "ship", "z"]
    assert slugs(root, limit=2) == ["a", "pay"]
    assert slugs(root, limit=2, after="pay") == ["ship", "z"]
    assert slugs(org.user("eve")) == []
