"""What the tables of identity refuse by themselves."""

from typing import cast

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from psycopg import Error as DatabaseError

from core.identity.domain.permissions import BUILTIN_ROLES, ScopeKind
from core.identity.models import (
    Person,
    Project,
    Role,
    RoleAssignment,
    RolePermission,
    Scope,
    User,
)
from core.identity.seed import GLOBAL_SCOPE_ID, seed
from core.kernel.record import ActorKind

pytestmark = pytest.mark.django_db


def refused(model, **fields):
    """Return the name of the constraint that refuses a row, "" if none does."""
    try:
        with transaction.atomic():
            model.objects.create(**fields)
    except IntegrityError as error:
        return cast("DatabaseError", error.__cause__).diag.constraint_name
    return ""


def account(username, *, kind=ActorKind.PERSON):
    return {"person": Person.objects.create(name="X"), "kind": kind, "username": username}


# --- accounts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "constraint"),
    [
        ("person", ""),
        ("service", ""),
        ("agent", ""),
        ("system", "identity_user_kind_check"),
        ("", "identity_user_kind_check"),
    ],
)
def test_an_account_is_a_person_a_service_or_an_agent(kind, constraint):
    assert refused(User, **account("ada", kind=kind)) == constraint


@pytest.mark.parametrize(
    ("username", "constraint"),
    [
        ("ada.b-c_1", ""),
        ("Ada", "identity_user_username_check"),
        ("", "identity_user_username_check"),
    ],
)
def test_account_names_are_what_people_can_type(username, constraint):
    assert refused(User, **account(username)) == constraint


def test_two_accounts_do_not_share_a_name():
    assert refused(User, **account("ada")) == ""
    assert "username" in refused(User, **account("ada"))


def test_an_account_is_shown_by_its_names():
    user = User.objects.create_user("ada", name="Ada Lovelace")

    assert str(user) == "ada"
    assert user.get_full_name() == user.get_short_name() == "Ada Lovelace"
    assert [str(item) for item in (user.person, Role(slug="mine"), Project(slug="pay"))] == [
        "Ada Lovelace",
        "mine",
        "pay",
    ]


def test_an_account_can_be_made_for_a_person_there_is():
    person = User.objects.create_user("ada").person

    assert User.objects.create_user("ada2", person=person).person == person
    assert User.objects.create_user("ada3", person_id=person.pk).person == person
    assert Person.objects.count() == 1


def test_a_person_with_accounts_cannot_be_deleted():
    user = User.objects.create_user("ada")

    with pytest.raises(ProtectedError):
        user.person.delete()


# --- scopes and projects ---------------------------------------------------------------------


def test_there_is_one_global_scope():
    assert Scope.objects.filter(kind=ScopeKind.GLOBAL).get().pk == GLOBAL_SCOPE_ID
    assert refused(Scope, kind=ScopeKind.GLOBAL) == "identity_scope_kind_uniq"


@pytest.mark.parametrize(
    ("kind", "has_parent", "constraint"),
    [
        ("project", True, ""),
        ("workflow", True, ""),
        ("project", False, "identity_scope_kind_parent_check"),
        ("workflow", False, "identity_scope_kind_parent_check"),
        ("global", True, "identity_scope_kind_parent_check"),
        ("galaxy", True, "identity_scope_kind_parent_check"),
    ],
)
def test_every_scope_but_the_global_one_is_in_another(kind, has_parent, constraint):
    parent_id = GLOBAL_SCOPE_ID if has_parent else None

    assert refused(Scope, kind=kind, parent_id=parent_id) == constraint


def test_no_scope_is_in_itself():
    scope = Scope.objects.create(kind=ScopeKind.PROJECT, parent_id=GLOBAL_SCOPE_ID)
    fields = {"id": Role().pk, "kind": ScopeKind.PROJECT}

    assert refused(Scope, **fields, parent_id=fields["id"]) == "identity_scope_parent_id_check"
    assert refused(Scope, **fields, parent_id=scope.pk) == ""


@pytest.mark.parametrize(
    ("slug", "constraint"),
    [
        ("pay-2", ""),
        ("Pay", "identity_project_slug_check"),
        ("a--b", "identity_project_slug_check"),
    ],
)
def test_project_slugs_are_lower_case_words(slug, constraint):
    scope = Scope.objects.create(kind=ScopeKind.PROJECT, parent_id=GLOBAL_SCOPE_ID)

    assert refused(Project, slug=slug, title="X", scope=scope) == constraint


# --- roles and assignments -------------------------------------------------------------------


def test_roles_hold_known_permissions_once():
    role = Role.objects.create(slug="mine", title="Mine")

    assert refused(RolePermission, role=role, permission="view_project") == ""
    assert refused(RolePermission, role=role, permission="view_project") == (
        "identity_rolepermission_role_permission_uniq"
    )
    assert refused(RolePermission, role=role, permission="fly") == (
        "identity_rolepermission_permission_check"
    )


@pytest.mark.parametrize(("slug", "constraint"), [("a_b", ""), ("a-b", "identity_role_slug_check")])
def test_role_slugs_fit_audience_keys(slug, constraint):
    assert refused(Role, slug=slug, title="X") == constraint


@pytest.mark.parametrize(
    ("has_user", "has_group", "constraint"),
    [
        (True, False, ""),
        (False, True, ""),
        (True, True, "identity_roleassignment_user_group_check"),
        (False, False, "identity_roleassignment_user_group_check"),
    ],
)
def test_an_assignment_is_for_an_account_or_for_a_team(
    django_user_model, has_user, has_group, constraint
):
    fields = {"role": Role.objects.get(slug="viewer"), "scope_id": GLOBAL_SCOPE_ID}
    if has_user:
        fields["user"] = django_user_model.objects.create_user("ada")
    if has_group:
        fields["group"] = Group.objects.create(name="board")

    assert refused(RoleAssignment, **fields) == constraint
    if not constraint:
        assert refused(RoleAssignment, **fields).endswith("_scope_role_uniq")


# --- rows every installation starts with -----------------------------------------------------


def stored_roles():
    return {
        role.slug: frozenset(role.permissions.values_list("permission", flat=True))
        for role in Role.objects.filter(builtin=True)
    }


def test_the_migration_makes_the_builtin_roles():
    expected = {slug: role.permissions for slug, role in BUILTIN_ROLES.items()}

    assert stored_roles() == expected


def test_seeding_again_changes_nothing_and_repairs_what_was_changed():
    before = dict(Role.objects.values_list("slug", "pk"))
    role = Role.objects.get(slug="viewer")
    role.permissions.all().delete()
    RolePermission.objects.create(role=role, permission="decide_request")
    own = Role.objects.create(slug="own", title="Own")
    RolePermission.objects.create(role=own, permission="decide_request")

    seed(apps)
    seed(apps)

    assert stored_roles() == {slug: role.permissions for slug, role in BUILTIN_ROLES.items()}
    assert dict(Role.objects.filter(builtin=True).values_list("slug", "pk")) == before
    assert own.permissions.count() == 1
    assert Scope.objects.count() == 1
