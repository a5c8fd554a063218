"""Who may do what: every role at every scope, and every way a yes turns into a no."""

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as PermissionRow
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from guardian.shortcuts import assign_perm

from core.identity import authorize as module
from core.identity.authorize import authorize, register_denial, require
from core.identity.domain.decision import Step
from core.identity.domain.errors import AccessForbiddenError, AnonymousError
from core.identity.domain.permissions import BUILTIN_ROLES, PERSON_ONLY, SHAREABLE, Permission
from core.identity.models import ProjectUserShare, RoleAssignment
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.access import list_scopes
from core.identity.services import groups, people, roles
from core.kernel.record import ActorKind

pytestmark = pytest.mark.django_db
PAST = datetime(2020, 1, 1, tzinfo=UTC)
VIEW, DECIDE = Permission.VIEW_WORKFLOW, Permission.DECIDE_REQUEST


def ask(principal, permission, scope_id, target=None):
    return authorize(principal=principal, permission=permission, scope_id=scope_id, target=target)


def allows(*args, **kwargs):
    return ask(*args, **kwargs).allowed


# --- role x scope x permission ---------------------------------------------------------------


@pytest.mark.parametrize("role", list(BUILTIN_ROLES))
@pytest.mark.parametrize("given_at", ["global", "project", "workflow"])
def test_a_role_gives_its_permissions_from_its_scope_down_and_nothing_elsewhere(
    org, role, given_at
):
    scopes = {
        "global": GLOBAL_SCOPE_ID,
        "project": org.pay.scope_id,
        "workflow": org.pay_flow.pk,
        "foreign project": org.ship.scope_id,
        "foreign workflow": org.ship_flow.pk,
    }
    covered = {
        "global": set(scopes),
        "project": {"project", "workflow"},
        "workflow": {"workflow"},
    }[given_at]
    user = org.user("ada")
    expires_at = None
    if role == "breakglass":
        expires_at = datetime.now(UTC) + timedelta(hours=1)
    org.assign(role, scopes[given_at], user=user, expires_at=expires_at)
    principal = org.principal(user)

    answers = {
        (place, permission): allows(principal, permission, scopes[place])
        for place, permission in product(scopes, Permission)
    }

    held = BUILTIN_ROLES[role].permissions
    assert answers == {
        (place, permission): place in covered and permission in held
        for place, permission in product(scopes, Permission)
    }


def test_without_a_role_nothing_is_allowed_anywhere(org):
    principal = org.principal(org.user("ada"))

    for permission, scope_id in product(Permission, (None, org.pay.scope_id, org.pay_flow.pk)):
        assert ask(principal, permission, scope_id).step is Step.NOTHING


def test_the_answer_names_the_assignment_that_matched(org):
    user = org.user("ada")
    org.assign("approver", org.pay.scope_id, group=org.group("board", user))

    answer = ask(org.principal(user), DECIDE, org.pay_flow.pk)

    assert answer.step is Step.ROLE
    assert answer.matched == "approver through the team board in the project pay"


def test_no_scope_means_the_whole_platform(org):
    user = org.user("ada")
    org.assign("viewer", org.pay.scope_id, user=user)

    assert not allows(org.principal(user), VIEW, None)
    org.assign("viewer", GLOBAL_SCOPE_ID, user=user)
    assert allows(org.principal(user), VIEW, None)


def test_a_scope_that_does_not_exist_allows_nothing(org):
    user = org.user("ada")
    org.assign("viewer", GLOBAL_SCOPE_ID, user=user)

    assert not allows(org.principal(user), VIEW, UUID(int=5))
    assert not allows(org.system, Permission.CHANGE_PROJECT, UUID(int=5))


# --- 1. standing -----------------------------------------------------------------------------


def test_nobody_may_do_nothing(org):
    assert ask(None, VIEW, org.pay.scope_id).step is Step.ANONYMOUS
    with pytest.raises(AnonymousError):
        require(principal=None, permission=VIEW, scope_id=org.pay.scope_id)


def test_an_inactive_account_may_do_nothing_whatever_its_roles(org):
    user = org.user("ada")
    org.assign("viewer", org.pay.scope_id, user=user)
    before = org.principal(user)
    assert allows(before, VIEW, org.pay.scope_id)

    people.deactivate_user(principal=org.system, user_id=user.pk)

    # Also for who asks with a principal from before.
    assert ask(before, VIEW, org.pay.scope_id).step is Step.INACTIVE
    assert ask(org.principal(user), VIEW, org.pay.scope_id).step is Step.INACTIVE
    people.activate_user(principal=org.system, user_id=user.pk)
    assert allows(org.principal(user), VIEW, org.pay.scope_id)


def test_a_superuser_has_no_access_beyond_its_roles(org, django_user_model):
    user = django_user_model.objects.create_superuser("root", name="Root")
    principal = org.principal(user)

    assert user.has_perm("identity.anything")
    for permission, scope_id in product(Permission, (None, org.pay.scope_id, org.pay_flow.pk)):
        assert not allows(principal, permission, scope_id)
    org.assign("approver", org.pay.scope_id, user=user)
    assert allows(principal, DECIDE, org.pay_flow.pk)


def test_a_revoked_role_counts_no_more_from_the_next_question_on(org):
    user = org.user("ada")
    assignment = org.assign("approver", org.pay.scope_id, user=user)
    principal = org.principal(user)
    assert allows(principal, DECIDE, org.pay_flow.pk)

    roles.revoke_assignment(principal=org.system, assignment_id=assignment.pk)

    assert not allows(principal, DECIDE, org.pay_flow.pk)


@pytest.mark.parametrize("through_team", [False, True])
def test_an_expired_assignment_gives_nothing(org, through_team):
    user = org.user("ada")
    holder = {"group": org.group("board", user)} if through_team else {"user": user}
    assignment = org.assign(
        "viewer", org.pay.scope_id, expires_at=datetime.now(UTC) + timedelta(hours=1), **holder
    )
    principal = org.principal(user)
    assert allows(principal, VIEW, org.pay.scope_id)
    assert "until" in ask(principal, VIEW, org.pay.scope_id).matched

    RoleAssignment.objects.filter(pk=assignment.pk).update(expires_at=PAST)

    assert not allows(principal, VIEW, org.pay.scope_id)


def test_a_team_gives_its_roles_to_its_members_while_they_are_members(org):
    ada, bob = org.user("ada"), org.user("bob")
    group = org.group("board", ada)
    org.assign("viewer", org.pay.scope_id, group=group)

    assert allows(org.principal(ada), VIEW, org.pay_flow.pk)
    assert not allows(org.principal(bob), VIEW, org.pay_flow.pk)
    groups.remove_member(principal=org.system, group_id=group.pk, user_id=ada.pk)
    assert not allows(org.principal(ada), VIEW, org.pay_flow.pk)


# --- 2. tokens only narrow -------------------------------------------------------------------


def test_a_token_lets_through_what_both_it_and_the_roles_give(org):
    user = org.user("ada")
    org.assign("viewer", org.pay.scope_id, user=user)
    org.assign("viewer", org.ship.scope_id, user=user)
    token = org.token(
        user, permissions=["view_workflow", "decide_request"], project_id=org.pay.pk
    ).row
    principal = org.principal(user, token=token)

    assert allows(principal, VIEW, org.pay_flow.pk)
    # The role gives it, the token does not.
    assert ask(principal, Permission.VIEW_REQUEST, org.pay_flow.pk).step is Step.TOKEN
    assert ask(principal, VIEW, org.ship_flow.pk).step is Step.TOKEN
    # The token gives it, no role does.
    assert ask(principal, DECIDE, org.pay_flow.pk).step is Step.NOTHING


def test_a_token_for_one_project_does_not_reach_the_platform_even_of_an_administrator(org):
    user = org.user("ada")
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=user)
    token = org.token(user, project_id=org.pay.pk).row
    principal = org.principal(user, token=token)

    assert not allows(principal, Permission.MANAGE_USERS, None)
    assert allows(principal, Permission.MANAGE_PROJECT_ACCESS, org.pay.scope_id)
    assert allows(org.principal(user), Permission.MANAGE_USERS, None)


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_token_that_ended_stops_a_principal_that_came_in_with_it(org, end):
    user = org.user("ada")
    org.assign("viewer", org.pay.scope_id, user=user)
    token = org.token(user).row
    principal = org.principal(user, token=token)
    assert allows(principal, VIEW, org.pay.scope_id)

    if end == "expired":
        type(token).objects.filter(pk=token.pk).update(expiry=PAST)
    else:
        token.delete()

    assert ask(principal, VIEW, org.pay.scope_id).step is Step.INACTIVE
    assert list_scopes(principal=principal, permission=VIEW).is_empty()


# --- 3. hard denials -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ActorKind.AGENT, ActorKind.SERVICE])
def test_machines_never_decide_whatever_their_roles(org, kind):
    owner = org.user("ada")
    machine = org.machine("bot", kind=kind, owner=owner)
    for user in (machine, owner):
        org.assign("approver", org.pay.scope_id, user=user)

    assert ask(org.principal(machine), DECIDE, org.pay_flow.pk).step is Step.DENIAL
    assert allows(org.principal(machine), Permission.VIEW_REQUEST, org.pay_flow.pk)
    assert allows(org.principal(owner), DECIDE, org.pay_flow.pk)


@pytest.fixture
def denials(monkeypatch):
    """Let a test register rules that are gone afterwards."""
    kept = {permission: list(rules) for permission, rules in module._DENIALS.items()}
    monkeypatch.setattr(module, "_DENIALS", kept)


def test_a_registered_rule_refuses_what_roles_allow_and_never_allows_anything(org, denials):
    user = org.user("ada")
    principal = org.principal(user)
    register_denial(DECIDE, lambda _who, target: "Not this one." if target == "mine" else None)
    assert not allows(principal, DECIDE, org.pay_flow.pk)

    org.assign("approver", org.pay.scope_id, user=user)

    assert allows(principal, DECIDE, org.pay_flow.pk)
    assert allows(principal, DECIDE, org.pay_flow.pk, target="yours")
    answer = ask(principal, DECIDE, org.pay_flow.pk, target="mine")
    assert (answer.step, answer.reason) == (Step.DENIAL, "Not this one.")
    assert allows(principal, Permission.VIEW_REQUEST, org.pay_flow.pk, target="mine")


def test_all_rules_of_a_permission_are_asked_and_none_twice(org, denials):
    def first(_who, _target):
        return None

    register_denial(DECIDE, first)
    register_denial(DECIDE, lambda _who, _target: "Second.")
    user = org.user("ada")
    org.assign("approver", org.pay.scope_id, user=user)

    assert ask(org.principal(user), DECIDE, org.pay_flow.pk).reason == "Second."
    with pytest.raises(AssertionError):
        register_denial(DECIDE, first)


def test_the_platform_itself_never_triggers_publishes_or_decides(org):
    for permission in (
        Permission.TRIGGER_WORKFLOW,
        Permission.EDIT_WORKFLOW,
        Permission.PUBLISH_WORKFLOW,
        Permission.OPERATE_RUN,
        *PERSON_ONLY,
    ):
        expected = Step.DENIAL if permission in PERSON_ONLY else Step.SYSTEM
        assert ask(org.system, permission, org.pay_flow.pk).step is expected
        assert not allows(org.system, permission, org.pay_flow.pk)
        assert list_scopes(principal=org.system, permission=permission).is_empty()
    assert allows(org.system, Permission.MANAGE_USERS, None)
    assert list_scopes(principal=org.system, permission=Permission.MANAGE_USERS).everything


# --- 5. shares, and guardian's traps ---------------------------------------------------------


@pytest.mark.parametrize("permission", SHAREABLE)
@pytest.mark.parametrize("through_team", [False, True])
def test_a_share_gives_one_permission_on_one_project(org, permission, through_team):
    user = org.user("ada")
    assign_perm(permission.value, org.group("board", user) if through_team else user, org.pay)
    principal = org.principal(user)

    answer = ask(principal, permission, org.pay.scope_id)

    assert answer.step is Step.SHARE
    assert "the project pay, shared" in answer.matched
    assert [item for item in Permission if allows(principal, item, org.pay.scope_id)] == [
        permission
    ]
    assert not allows(principal, permission, org.ship.scope_id)
    assert not allows(principal, permission, None)


def test_a_share_gives_nothing_to_an_inactive_account_in_lists_either(org):
    user = org.user("ada")
    assign_perm("view_project", user, org.pay)
    before = org.principal(user)
    assert not list_scopes(principal=before, permission=Permission.VIEW_PROJECT).is_empty()

    people.deactivate_user(principal=org.system, user_id=user.pk)

    for principal in (before, org.principal(user)):
        assert not allows(principal, Permission.VIEW_PROJECT, org.pay.scope_id)
        assert list_scopes(principal=principal, permission=Permission.VIEW_PROJECT).is_empty()


@pytest.mark.parametrize("through_team", [False, True])
def test_djangos_own_global_permission_gives_nothing(org, through_team):
    user = org.user("ada")
    row = PermissionRow.objects.get_by_natural_key("view_project", "identity", "project")
    if through_team:
        org.group("board", user).permissions.add(row)
    else:
        user.user_permissions.add(row)
    principal = org.principal(user)

    assert type(user).objects.get(pk=user.pk).has_perm("identity.view_project")
    assert not allows(principal, Permission.VIEW_PROJECT, org.pay.scope_id)
    assert list_scopes(principal=principal, permission=Permission.VIEW_PROJECT).is_empty()


def test_a_share_of_what_cannot_be_shared_gives_nothing(org):
    user = org.user("ada")
    foreign = PermissionRow.objects.create(
        codename="trigger_workflow",
        name="A permission of another table",
        content_type=ContentType.objects.get_for_model(Group),
    )
    ProjectUserShare.objects.bulk_create(
        [ProjectUserShare(user=user, permission=foreign, content_object=org.pay)]
    )
    principal = org.principal(user)

    assert not allows(principal, Permission.TRIGGER_WORKFLOW, org.pay.scope_id)
    assert list_scopes(principal=principal, permission=Permission.TRIGGER_WORKFLOW).is_empty()


def test_a_deleted_share_is_gone_at_once(org):
    user = org.user("ada")
    assign_perm("view_project", user, org.pay)
    principal = org.principal(user)
    assert allows(principal, Permission.VIEW_PROJECT, org.pay.scope_id)

    ProjectUserShare.objects.get().delete()

    assert not allows(principal, Permission.VIEW_PROJECT, org.pay.scope_id)


def test_no_row_stands_for_anonymous_visitors(org, django_user_model):
    call_command("check")

    assert not django_user_model.objects.filter(username__icontains="anonymous").exists()


def test_a_workflow_permission_cannot_be_shared_on_a_project(org):
    with pytest.raises(PermissionRow.DoesNotExist):
        assign_perm("trigger_workflow", org.user("ada"), org.pay)


# --- require ---------------------------------------------------------------------------------


def test_require_returns_the_decision_or_says_what_was_missing(org):
    user = org.user("ada")
    org.assign("viewer", org.pay.scope_id, user=user)
    principal = org.principal(user)

    answer = require(principal=principal, permission=VIEW, scope_id=org.pay_flow.pk)
    assert answer.matched == "viewer in the project pay"

    with pytest.raises(AccessForbiddenError) as refusal:
        require(principal=principal, permission=DECIDE, scope_id=org.pay_flow.pk)
    assert refusal.value.code == "identity.forbidden"
    assert refusal.value.details == {
        "permission": "decide_request",
        "reason": "No live role or share gives decide_request here.",
        "step": "nothing",
    }


# --- what it costs ---------------------------------------------------------------------------


def test_one_question_takes_one_query(org, django_assert_num_queries):
    user = org.user("ada")
    for number in range(5):
        group = org.group(f"team{number}", user)
        org.assign("viewer", org.pay.scope_id, group=group)
        assign_perm("change_project", group, org.pay)
    principal = org.principal(user)
    with_token = org.principal(user, token=org.token(user, project_id=org.pay.pk).row)

    for who in (principal, with_token):
        with django_assert_num_queries(1):
            assert allows(who, VIEW, org.pay_flow.pk)
        with django_assert_num_queries(1):
            assert not allows(who, DECIDE, org.pay_flow.pk)
        with django_assert_num_queries(1):
            assert allows(who, Permission.CHANGE_PROJECT, org.pay.scope_id)
    with django_assert_num_queries(0):
        assert not allows(None, VIEW, org.pay_flow.pk)
