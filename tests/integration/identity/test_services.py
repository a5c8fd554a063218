"""What services of accounts and teams do, refuse and put on record."""

import pytest
from django.contrib.auth import authenticate, get_user
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.http import HttpRequest

from core.identity.domain.errors import (
    AccessForbiddenError,
    IdentityMissingError,
    InactiveAccountError,
    NameTakenError,
)
from core.identity.domain.permissions import Permission
from core.identity.models import (
    ApiToken,
    Person,
    Project,
    Scope,
    User,
)
from core.identity.services import groups, people, projects, roles, shares
from core.identity.services.duplicates import refusing_duplicate
from core.kernel.record import ActorKind
from tests.integration.identity.expecting import NOBODY, acts, problems_of

pytestmark = pytest.mark.django_db


# --- everything takes its permission ---------------------------------------------------------


def test_nobody_without_a_role_changes_anything(org, nobody, recall):
    bob, board = org.user("bob"), org.group("board")
    assignment = org.assign("viewer", org.pay.scope_id, user=bob)
    terms = {"project_id": org.pay.pk, "permission": Permission.VIEW_PROJECT, "user_id": bob.pk}
    member = {"group_id": board.pk, "user_id": bob.pk}
    before = len(acts(recall))

    for call in (
        lambda: people.create_user(principal=nobody, username="eve", name="Eve"),
        lambda: people.create_machine(
            principal=nobody, username="ci", name="CI", kind=ActorKind.SERVICE, owner_id=bob.pk
        ),
        lambda: people.change_user(principal=nobody, user_id=bob.pk, name="Rob"),
        lambda: people.deactivate_user(principal=nobody, user_id=bob.pk),
        lambda: people.activate_user(principal=nobody, user_id=bob.pk),
        lambda: people.end_sessions(principal=nobody, user_id=bob.pk),
        lambda: groups.create_group(principal=nobody, name="crew"),
        lambda: groups.add_member(principal=nobody, **member),
        lambda: groups.remove_member(principal=nobody, **member),
        lambda: projects.create_project(principal=nobody, slug="new", title="New"),
        lambda: projects.change_project(principal=nobody, project_id=org.pay.pk, title="X"),
        lambda: roles.assign_role(
            principal=nobody, role="viewer", scope_id=org.pay.scope_id, group_id=board.pk
        ),
        lambda: roles.revoke_assignment(principal=nobody, assignment_id=assignment.pk),
        lambda: shares.share_project(principal=nobody, **terms),
        lambda: shares.unshare_project(principal=nobody, **terms),
    ):
        refused_before = len(recall("access"))
        with pytest.raises(AccessForbiddenError):
            call()
        assert len(recall("access")) == refused_before + 1

    assert len(acts(recall)) == before
    assert {entry.kind for entry in recall("access")} == {"access.refused"}
    assert {entry.actor for entry in recall("access")} == {str(nobody.user_id)}


def test_only_the_named_tables_duplicates_are_somebody_being_faster(org):
    taken = NameTakenError("Taken.")

    with pytest.raises(NameTakenError), refusing_duplicate(table="auth_group", error=taken):
        Group.objects.bulk_create([Group(name="twice"), Group(name="twice")])
    with pytest.raises(IntegrityError), refusing_duplicate(table="auth_group", error=taken):
        Project.objects.create(slug="pay", title="Pay", scope=org.pay_flow)
    with pytest.raises(IntegrityError), refusing_duplicate(table="identity_scope", error=taken):
        Scope.objects.create(kind="project", parent=None)
    assert not Group.objects.exists()


# --- people and machines ---------------------------------------------------------------------


def test_a_new_account_belongs_to_a_new_person_and_may_do_nothing(admin, recall):
    user = people.create_user(
        principal=admin,
        username="ada",
        name="Ada Lovelace",
        email="ada@example.com",
        password="between the looms",
    )

    assert user.person.name == "Ada Lovelace"
    assert user.kind == ActorKind.PERSON
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)
    assert authenticate(username="ada", password="between the looms") == user
    assert authenticate(username="ADA", password="between the looms") == user
    entry = acts(recall)[-1]
    assert (entry.kind, entry.subject, entry.actor) == (
        "user.created",
        str(user.pk),
        str(admin.user_id),
    )
    assert entry.policy == "access_admin everywhere"
    assert entry.data == {"person": str(user.person_id), "kind": "person"}
    assert entry.payloads["account"]["email"] == "ada@example.com"


def test_an_account_without_a_password_cannot_sign_in_with_one(admin):
    people.create_user(principal=admin, username="ada", name="Ada")

    assert authenticate(username="ada", password="") is None
    assert not User.objects.get(username="ada").has_usable_password()


def test_a_second_account_of_a_human_leads_to_the_same_person(org, admin):
    ada = org.user("ada")

    second = people.create_user(
        principal=admin, username="ada-admin", name="Ada", person_id=ada.person_id
    )

    assert second.person == ada.person
    with pytest.raises(IdentityMissingError):
        people.create_user(principal=admin, username="x", name="X", person_id=NOBODY)


@pytest.mark.parametrize("kind", [ActorKind.SERVICE, ActorKind.AGENT])
def test_a_machine_belongs_to_the_human_who_answers_for_it(org, admin, kind):
    ada = org.user("ada")

    machine = people.create_machine(
        principal=admin, username="ci", name="CI", kind=kind, owner_id=ada.pk
    )

    assert machine.person == ada.person
    assert machine.kind == kind
    assert not machine.has_usable_password()
    assert org.principal(machine).person_id == ada.person_id
    assert org.principal(machine).kind is kind


def test_a_machine_needs_a_human_owner_who_is_there(org, admin):
    ada = org.user("ada")
    ci = org.machine("ci", kind=ActorKind.SERVICE, owner=ada)

    def make(**terms):
        fields = {"username": "bot", "name": "Bot", "kind": ActorKind.AGENT, "owner_id": ada.pk}
        return people.create_machine(principal=admin, **{**fields, **terms})

    assert problems_of(lambda: make(kind=ActorKind.PERSON)) == ["/kind"]
    assert problems_of(lambda: make(kind=ActorKind.SYSTEM)) == ["/kind"]
    assert problems_of(lambda: make(owner_id=ci.pk)) == ["/owner"]
    with pytest.raises(IdentityMissingError):
        make(owner_id=NOBODY)
    with pytest.raises(NameTakenError):
        make(username="ci")
    people.deactivate_user(principal=admin, user_id=ada.pk)
    with pytest.raises(InactiveAccountError):
        make()


def test_every_problem_of_an_account_is_named_at_once(admin):
    assert problems_of(
        lambda: people.create_user(
            principal=admin, username="No Spaces", name=" ", email="nowhere", password="short"
        )
    ) == ["/username", "/name", "/email", "/password"]
    assert not User.objects.filter(name=" ").exists()


@pytest.mark.parametrize("password", ["password", "12345678", "ada-lovelace", "abc"])
def test_common_and_short_passwords_are_refused(admin, password):
    assert "/password" in problems_of(
        lambda: people.create_user(
            principal=admin, username="ada-lovelace", name="Ada", password=password
        )
    )


def test_a_taken_account_name_is_refused_and_leaves_no_person_behind(org, admin, recall):
    org.user("ada")
    persons, entries = Person.objects.count(), len(recall("identity"))

    with pytest.raises(NameTakenError) as error:
        people.create_user(principal=admin, username="ada", name="Another Ada")

    assert error.value.details == {"username": "ada"}
    assert Person.objects.count() == persons
    assert len(recall("identity")) == entries


def test_changing_an_account_changes_only_what_is_given(org, admin, recall):
    ada = org.user("ada", email="ada@example.com")

    people.change_user(principal=admin, user_id=ada.pk, name="Countess")

    ada.refresh_from_db()
    assert (ada.name, ada.email) == ("Countess", "ada@example.com")
    assert acts(recall)[-1].data == {"fields": ["name"]}
    assert problems_of(lambda: people.change_user(principal=admin, user_id=ada.pk, email="no")) == [
        "/email"
    ]
    with pytest.raises(IdentityMissingError):
        people.change_user(principal=admin, user_id=NOBODY, name="X")
    entry_count = len(acts(recall))
    people.change_user(principal=admin, user_id=ada.pk)
    assert len(acts(recall)) == entry_count


def test_deactivating_ends_sessions_and_tokens_for_good(org, admin, client, recall):
    ada = org.user("ada")
    client.force_login(ada)
    token = org.token(ada)
    request = HttpRequest()
    request.session = client.session
    assert get_user(request) == ada

    people.deactivate_user(principal=admin, user_id=ada.pk, reason="left")

    ada.refresh_from_db()
    assert not ada.is_active
    assert not get_user(request).is_authenticated
    assert not ApiToken.objects.filter(user=ada).exists()
    entry = acts(recall)[-1]
    assert entry.kind == "user.deactivated"
    assert entry.data == {"person": str(ada.person_id), "tokens": [str(token.row.pk)]}
    assert entry.payloads == {"reason": "left"}
    people.activate_user(principal=admin, user_id=ada.pk)
    assert acts(recall)[-1].kind == "user.activated"
    assert not ApiToken.objects.filter(user=ada).exists()
    request.session = client.session
    assert not get_user(request).is_authenticated


def test_deactivating_and_activating_twice_is_once(org, admin, recall):
    ada = org.user("ada")
    people.activate_user(principal=admin, user_id=ada.pk)
    assert acts(recall)[-1].kind == "user.created"
    people.deactivate_user(principal=admin, user_id=ada.pk)
    entries = recall("identity")

    people.deactivate_user(principal=admin, user_id=ada.pk)

    assert recall("identity") == entries
    with pytest.raises(IdentityMissingError):
        people.deactivate_user(principal=admin, user_id=NOBODY)
    assert problems_of(
        lambda: people.deactivate_user(principal=admin, user_id=ada.pk, reason="x" * 2001)
    ) == ["/reason"]


def test_ones_own_sessions_end_without_any_permission(org, nobody):
    before = User.objects.get(pk=nobody.user_id).get_session_auth_hash()

    people.end_sessions(principal=nobody, user_id=nobody.user_id)

    assert User.objects.get(pk=nobody.user_id).get_session_auth_hash() != before


def test_an_administrator_ends_the_sessions_of_others(org, admin, recall):
    ada = org.user("ada")

    people.end_sessions(principal=admin, user_id=ada.pk)

    assert User.objects.get(pk=ada.pk).session_generation == 1
    assert acts(recall)[-1].kind == "sessions.ended"


# --- teams -----------------------------------------------------------------------------------


def test_membership_changes_once_and_is_on_record(org, admin, recall):
    ada = org.user("ada")
    board = groups.create_group(principal=admin, name="board")

    for _ in range(2):
        groups.add_member(principal=admin, group_id=board.pk, user_id=ada.pk)
    assert list(board.user_set.all()) == [ada]
    for _ in range(2):
        groups.remove_member(principal=admin, group_id=board.pk, user_id=ada.pk)

    assert not board.user_set.exists()
    assert [entry.kind for entry in acts(recall)][-3:] == [
        "team.created",
        "member.added",
        "member.removed",
    ]
    assert acts(recall)[-1].data == {"team": board.pk, "person": str(ada.person_id)}


def test_teams_refuse_bad_names_and_strangers(org, admin):
    ada, board = org.user("ada"), org.group("board")
    with pytest.raises(NameTakenError):
        groups.create_group(principal=admin, name="board")
    assert problems_of(lambda: groups.create_group(principal=admin, name="The Board")) == ["/name"]
    for change in (groups.add_member, groups.remove_member):
        with pytest.raises(IdentityMissingError):
            change(principal=admin, group_id=0, user_id=ada.pk)
        with pytest.raises(IdentityMissingError):
            change(principal=admin, group_id=board.pk, user_id=NOBODY)
    people.deactivate_user(principal=admin, user_id=ada.pk)
    with pytest.raises(InactiveAccountError):
        groups.add_member(principal=admin, group_id=board.pk, user_id=ada.pk)
