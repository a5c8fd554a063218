"""Changes of access that no role allows, refused and allowed from the same set-up."""

from datetime import UTC, datetime, timedelta

import pytest

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.identity.models import ProjectUserShare, Role, RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services import groups, people, roles, shares
from core.kernel.record import ActorKind

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(org):
    """An access administrator, beside another one, so that neither is the last."""
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=org.user("other-admin"))
    user = org.user("admin")
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=user)
    return user


def refuse(call, *, saying):
    with pytest.raises(AccessForbiddenError) as refusal:
        call()
    assert refusal.value.details["step"] == "denial"
    assert saying in str(refusal.value)


def give(org, who, role, scope_id, *, token=None, **to):
    return roles.assign_role(
        principal=org.principal(who, token=token), role=role, scope_id=scope_id, **to
    )


# --- nobody edits their own access -----------------------------------------------------------


def test_an_administrator_gives_roles_to_others_but_not_to_itself(org, admin):
    bob = org.user("bob")

    refuse(
        lambda: give(org, admin, "approver", org.pay.scope_id, user_id=admin.pk),
        saying="your own access",
    )
    give(org, admin, "approver", org.pay.scope_id, user_id=bob.pk)

    assert list(RoleAssignment.objects.filter(role__slug="approver").values_list("user")) == [
        (bob.pk,)
    ]


def test_a_superuser_cannot_give_itself_anything_either(org, admin):
    User.objects.filter(pk=admin.pk).update(is_superuser=True, is_staff=True)
    root = User.objects.create_superuser("root")

    refuse(
        lambda: give(org, admin, "approver", org.pay.scope_id, user_id=admin.pk),
        saying="your own access",
    )
    with pytest.raises(AccessForbiddenError) as refusal:
        give(org, root, "approver", org.pay.scope_id, user_id=root.pk)
    assert not RoleAssignment.objects.filter(role__slug="approver").exists()
    assert refusal.value.details["permission"] == "manage_project_access"


def test_nor_through_a_team_of_ones_own(org, admin):
    with_admin, without = org.group("with", admin), org.group("without", org.user("bob"))

    refuse(
        lambda: give(org, admin, "viewer", org.pay.scope_id, group_id=with_admin.pk),
        saying="your own access",
    )
    give(org, admin, "viewer", org.pay.scope_id, group_id=without.pk)


@pytest.mark.parametrize("kind", [ActorKind.SERVICE, ActorKind.AGENT])
def test_nor_through_a_machine_or_a_second_account_of_ones_own(org, admin, kind):
    bob = org.user("bob")
    mine = org.machine("mine", kind=kind, owner=admin)
    theirs = org.machine("theirs", kind=kind, owner=bob)
    second = org.user("admin2", person_id=admin.person_id)

    for user in (mine, second):
        refuse(
            lambda user=user: give(org, admin, "publisher", org.pay.scope_id, user_id=user.pk),
            saying="your own access",
        )
    give(org, admin, "publisher", org.pay.scope_id, user_id=theirs.pk)


def test_nor_by_taking_or_leaving_a_team(org, admin):
    principal = org.principal(admin)
    board, bob = org.group("board"), org.user("bob")
    crew = org.group("crew", admin, bob)

    refuse(
        lambda: groups.add_member(principal=principal, group_id=board.pk, user_id=admin.pk),
        saying="your own access",
    )
    refuse(
        lambda: groups.remove_member(principal=principal, group_id=crew.pk, user_id=admin.pk),
        saying="your own access",
    )
    groups.add_member(principal=principal, group_id=board.pk, user_id=bob.pk)
    groups.remove_member(principal=principal, group_id=crew.pk, user_id=bob.pk)

    assert list(board.user_set.all()) == [bob]
    assert list(crew.user_set.all()) == [admin]


def test_nor_by_giving_a_role_up(org, admin):
    principal = org.principal(admin)
    mine = org.assign("viewer", org.pay.scope_id, user=admin)
    theirs = org.assign("viewer", org.pay.scope_id, user=org.user("bob"))

    refuse(
        lambda: roles.revoke_assignment(principal=principal, assignment_id=mine.pk),
        saying="your own access",
    )
    roles.revoke_assignment(principal=principal, assignment_id=theirs.pk)

    assert RoleAssignment.objects.filter(role__slug="viewer").get() == mine


def test_nor_by_closing_or_opening_an_account(org, admin):
    principal, bob = org.principal(admin), org.user("bob")
    second = org.user("admin2", person_id=admin.person_id)
    people.deactivate_user(principal=org.system, user_id=second.pk)

    refuse(
        lambda: people.deactivate_user(principal=principal, user_id=admin.pk),
        saying="your own access",
    )
    refuse(
        lambda: people.activate_user(principal=principal, user_id=second.pk),
        saying="your own access",
    )
    people.deactivate_user(principal=principal, user_id=bob.pk)
    people.activate_user(principal=principal, user_id=bob.pk)


def test_nor_by_a_share(org, admin):
    principal, bob = org.principal(admin), org.user("bob")
    terms = {"project_id": org.pay.pk, "permission": Permission.VIEW_PROJECT}
    shares.share_project(principal=org.system, user_id=admin.pk, **terms)

    for change in (shares.share_project, shares.unshare_project):
        refuse(
            lambda change=change: change(principal=principal, user_id=admin.pk, **terms),
            saying="your own access",
        )
        change(principal=principal, user_id=bob.pk, **terms)
    assert ProjectUserShare.objects.get().user == admin


# --- nobody grants what they lack ------------------------------------------------------------


@pytest.fixture
def lead(org):
    """The administrator of one project."""
    user = org.user("lead")
    org.assign("project_admin", org.pay.scope_id, user=user)
    return user


def test_a_project_administrator_gives_only_roles_within_its_own(org, lead):
    bob = org.user("bob")

    for role in ("viewer", "requester", "editor", "operator", "project_admin"):
        give(org, lead, role, org.pay.scope_id, user_id=bob.pk)
    for role, missing in (
        ("approver", "decide_request"),
        ("publisher", "publish_workflow"),
        ("auditor", "view_audit"),
        ("access_admin", "manage_roles"),
        ("breakglass", "override_request"),
    ):
        refuse(
            lambda role=role: give(org, lead, role, org.pay.scope_id, user_id=bob.pk),
            saying=missing,
        )


def test_what_one_has_as_well_one_may_give_too(org, lead):
    bob = org.user("bob")
    refuse(
        lambda: give(org, lead, "approver", org.pay.scope_id, user_id=bob.pk),
        saying="decide_request",
    )

    org.assign("approver", org.pay.scope_id, group=org.group("board", lead))

    give(org, lead, "approver", org.pay.scope_id, user_id=bob.pk)


def test_what_one_has_elsewhere_does_not_count(org, lead):
    bob = org.user("bob")
    org.assign("approver", org.ship.scope_id, user=lead)
    org.assign("approver", org.pay_flow.pk, user=lead)

    refuse(
        lambda: give(org, lead, "approver", org.pay.scope_id, user_id=bob.pk),
        saying="decide_request",
    )
    give(org, lead, "approver", org.pay_flow.pk, user_id=bob.pk)


def test_what_has_expired_does_not_count(org, lead):
    bob = org.user("bob")
    until = datetime.now(UTC) + timedelta(hours=1)
    held = org.assign("approver", org.pay.scope_id, user=lead, expires_at=until)
    give(org, lead, "approver", org.pay.scope_id, user_id=bob.pk)

    RoleAssignment.objects.filter(pk=held.pk).update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))

    refuse(
        lambda: give(org, lead, "approver", org.pay.scope_id, user_id=org.user("eve").pk),
        saying="decide_request",
    )


def test_a_project_administrator_reaches_no_other_project_and_not_the_platform(org, lead):
    bob = org.user("bob")

    for scope_id in (org.ship.scope_id, org.ship_flow.pk, GLOBAL_SCOPE_ID):
        with pytest.raises(AccessForbiddenError):
            give(org, lead, "viewer", scope_id, user_id=bob.pk)
    give(org, lead, "viewer", org.pay_flow.pk, user_id=bob.pk)


def test_who_manages_roles_everywhere_appoints_whom_it_does_not_replace(org, admin):
    bob = org.user("bob")

    for role in ("approver", "publisher", "auditor"):
        give(org, admin, role, org.pay.scope_id, user_id=bob.pk)


def test_a_token_counts_against_what_one_may_give(org, admin, lead):
    bob = org.user("bob")
    narrow = org.token(lead, permissions=["manage_project_access", "view_project"]).row
    wide = org.token(lead).row
    refuse(
        lambda: give(org, lead, "viewer", org.pay.scope_id, token=narrow, user_id=bob.pk),
        saying="view_workflow",
    )
    give(org, lead, "viewer", org.pay.scope_id, token=wide, user_id=bob.pk)

    # An administrator's token that leaves `manage_roles` out, or holds in one project only.
    for terms in (
        {"permissions": ["manage_project_access"]},
        {"project_id": org.pay.pk},
    ):
        token = org.token(admin, **terms).row
        refuse(
            lambda token=token: give(
                org, admin, "approver", org.pay.scope_id, token=token, user_id=bob.pk
            ),
            saying="decide_request",
        )


def test_joining_a_team_gives_what_the_team_has(org):
    clerk = org.user("clerk")
    roles_of_clerk = org.assign("access_admin", GLOBAL_SCOPE_ID, user=clerk).role
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=org.user("admin"))
    bob, board = org.user("bob"), org.group("board")
    org.assign("approver", org.pay.scope_id, group=board)
    # A clerk who manages accounts and not roles.
    roles_of_clerk.permissions.filter(permission="manage_roles").delete()
    principal = org.principal(clerk)

    refuse(
        lambda: groups.add_member(principal=principal, group_id=board.pk, user_id=bob.pk),
        saying="decide_request",
    )
    powerless = org.group("powerless")
    Role.objects.create(slug="nothing", title="Nothing")
    org.assign("nothing", org.pay.scope_id, group=powerless)
    groups.add_member(principal=principal, group_id=powerless.pk, user_id=bob.pk)
    org.assign("approver", org.pay.scope_id, user=clerk)

    groups.add_member(principal=principal, group_id=board.pk, user_id=bob.pk)


def test_a_share_gives_only_what_one_has(org, lead):
    bob = org.user("bob")
    role = RoleAssignment.objects.get(user=lead).role
    terms = {"project_id": org.pay.pk, "user_id": bob.pk, "permission": Permission.CHANGE_PROJECT}
    shares.share_project(principal=org.principal(lead), **terms)
    shares.unshare_project(principal=org.principal(lead), **terms)

    role.permissions.filter(permission="change_project").delete()

    refuse(
        lambda: shares.share_project(principal=org.principal(lead), **terms),
        saying="change_project",
    )


# --- the last administrator stays ------------------------------------------------------------

LAST = "nobody who can manage roles"


@pytest.fixture
def last(org):
    """The only administrator, beside people who are none."""
    org.assign("access_admin", org.pay.scope_id, user=org.user("only-here"))
    org.assign("project_admin", GLOBAL_SCOPE_ID, user=org.user("no-admin"))
    robot = org.machine("robot", kind=ActorKind.SERVICE, owner=org.user("owner"))
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=robot)
    return org.user("last")


def test_the_last_administrators_assignment_cannot_be_revoked(org, last):
    assignment = org.assign("access_admin", GLOBAL_SCOPE_ID, user=last)

    refuse(
        lambda: roles.revoke_assignment(principal=org.system, assignment_id=assignment.pk),
        saying=LAST,
    )
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=org.user("next"))
    roles.revoke_assignment(principal=org.system, assignment_id=assignment.pk)


def test_the_last_administrator_cannot_be_deactivated(org, last):
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=last)
    following = org.user("next")
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=following)
    people.deactivate_user(principal=org.system, user_id=following.pk)

    refuse(
        lambda: people.deactivate_user(principal=org.system, user_id=last.pk),
        saying=LAST,
    )
    people.activate_user(principal=org.system, user_id=following.pk)
    people.deactivate_user(principal=org.system, user_id=last.pk)


def test_the_last_administrator_cannot_be_taken_out_of_its_team(org, last):
    following = org.user("next")
    admins = org.group("admins", last)
    org.assign("access_admin", GLOBAL_SCOPE_ID, group=admins)

    def remove(user):
        groups.remove_member(principal=org.system, group_id=admins.pk, user_id=user.pk)

    refuse(lambda: remove(last), saying=LAST)
    groups.add_member(principal=org.system, group_id=admins.pk, user_id=following.pk)
    remove(last)
    refuse(lambda: remove(following), saying=LAST)


def test_a_second_way_of_the_same_person_counts(org, last):
    direct = org.assign("access_admin", GLOBAL_SCOPE_ID, user=last)
    admins = org.group("admins", last)
    through = org.assign("access_admin", GLOBAL_SCOPE_ID, group=admins)

    roles.revoke_assignment(principal=org.system, assignment_id=direct.pk)
    refuse(
        lambda: roles.revoke_assignment(principal=org.system, assignment_id=through.pk),
        saying=LAST,
    )


def test_an_administrator_for_an_hour_is_no_successor(org, last):
    assignment = org.assign("access_admin", GLOBAL_SCOPE_ID, user=last)
    until = datetime.now(UTC) + timedelta(hours=1)
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=org.user("temp"), expires_at=until)

    refuse(
        lambda: roles.revoke_assignment(principal=org.system, assignment_id=assignment.pk),
        saying=LAST,
    )


def test_other_changes_go_on_where_there_is_no_administrator_at_all(org):
    bob = org.user("bob")
    assignment = org.assign("viewer", org.pay.scope_id, user=bob)

    roles.revoke_assignment(principal=org.system, assignment_id=assignment.pk)
    people.deactivate_user(principal=org.system, user_id=bob.pk)
