"""What services of projects, roles and shares do, refuse and put on record."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group

from core.identity.domain.errors import (
    AccessForbiddenError,
    AlreadyAssignedError,
    IdentityMissingError,
    InactiveAccountError,
    NameTakenError,
)
from core.identity.domain.permissions import Permission, ScopeKind
from core.identity.models import (
    Project,
    ProjectGroupShare,
    ProjectUserShare,
    RoleAssignment,
    Scope,
)
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services import people, projects, roles, shares
from core.identity.services.scopes import create_scope
from tests.integration.identity.expecting import NOBODY, acts, problems_of

pytestmark = pytest.mark.django_db


# --- projects and scopes ---------------------------------------------------------------------


def test_a_project_comes_with_its_scope_and_its_stream(admin, recall):
    project = projects.create_project(principal=admin, slug="new-one", title="New one")

    assert (project.scope.kind, project.scope.parent_id) == ("project", GLOBAL_SCOPE_ID)
    entry = acts(recall, f"project:{project.pk}")[-1]
    assert (entry.kind, entry.seq) == ("project.created", recall(f"project:{project.pk}")[-1].seq)
    assert entry.data == {"slug": "new-one", "scope": str(project.scope_id)}


def test_projects_refuse_bad_and_taken_slugs_and_leave_no_scope_behind(org, admin):
    before = Scope.objects.count()

    with pytest.raises(NameTakenError):
        projects.create_project(principal=admin, slug="pay", title="Pay")
    assert problems_of(
        lambda: projects.create_project(principal=admin, slug="Not this", title="a\nb")
    ) == ["/slug", "/title"]

    assert Scope.objects.count() == before


def test_a_project_is_renamed_by_who_may_change_it(org, recall):
    lead = org.user("lead")
    org.assign("project_admin", org.pay.scope_id, user=lead)
    principal = org.principal(lead)

    projects.change_project(principal=principal, project_id=org.pay.pk, title="Payments")

    assert Project.objects.get(pk=org.pay.pk).title == "Payments"
    assert acts(recall, f"project:{org.pay.pk}")[-1].kind == "project.changed"
    assert problems_of(
        lambda: projects.change_project(principal=principal, project_id=org.pay.pk, title="")
    ) == ["/title"]
    with pytest.raises(AccessForbiddenError):
        projects.change_project(principal=principal, project_id=org.ship.pk, title="X")
    with pytest.raises(IdentityMissingError):
        projects.change_project(principal=principal, project_id=NOBODY, title="X")


def test_workflow_scopes_go_into_projects_and_nothing_else_goes_anywhere(org):
    scope = create_scope(kind=ScopeKind.WORKFLOW, parent_id=org.pay.scope_id)
    assert scope.parent_id == org.pay.scope_id
    for kind, parent_id in (
        (ScopeKind.WORKFLOW, GLOBAL_SCOPE_ID),
        (ScopeKind.WORKFLOW, org.pay_flow.pk),
        (ScopeKind.PROJECT, org.pay.scope_id),
        (ScopeKind.GLOBAL, GLOBAL_SCOPE_ID),
    ):
        assert problems_of(
            lambda kind=kind, parent_id=parent_id: create_scope(kind=kind, parent_id=parent_id)
        ) == ["/parent"]
    with pytest.raises(IdentityMissingError):
        create_scope(kind=ScopeKind.WORKFLOW, parent_id=NOBODY)


# --- roles -----------------------------------------------------------------------------------


def test_assigning_and_revoking_are_on_record_in_the_projects_stream(org, admin, recall):
    ada = org.user("ada")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

    assignment = roles.assign_role(
        principal=admin,
        role="approver",
        scope_id=org.pay_flow.pk,
        user_id=ada.pk,
        expires_at=until,
        reason="holiday cover",
    )
    roles.revoke_assignment(principal=admin, assignment_id=assignment.pk, reason="back")

    given, taken = acts(recall, f"project:{org.pay.pk}")[-2:]
    facts = {
        "role": "approver",
        "scope": str(org.pay_flow.pk),
        "user": str(ada.pk),
        "team": None,
        "expires_at": until.isoformat(),
    }
    assert (given.kind, taken.kind) == ("role.assigned", "role.revoked")
    assert given.data == taken.data == facts
    assert given.subject == taken.subject
    assert (given.payloads, taken.payloads) == ({"reason": "holiday cover"}, {"reason": "back"})
    assert given.policy == "access_admin everywhere"


def test_an_assignment_says_who_gave_it(org, admin):
    ada = org.user("ada")
    scope_id = org.pay.scope_id
    given = roles.assign_role(principal=admin, role="viewer", scope_id=scope_id, user_id=ada.pk)
    by_the_platform = org.assign("editor", scope_id, user=ada)

    assert given.granted_by_id == admin.user_id
    assert by_the_platform.granted_by_id is None


def test_roles_everywhere_are_on_record_with_identity(org, admin, recall):
    board = org.group("board")

    roles.assign_role(principal=admin, role="auditor", scope_id=GLOBAL_SCOPE_ID, group_id=board.pk)

    assert acts(recall)[-1].kind == "role.assigned"
    assert acts(recall)[-1].data["team"] == board.pk


def test_the_same_assignment_twice_is_refused_until_the_first_has_expired(org, admin):
    ada = org.user("ada")

    def assign(**terms):
        return roles.assign_role(
            principal=admin, role="viewer", scope_id=org.pay.scope_id, user_id=ada.pk, **terms
        )

    first = assign(expires_at=datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(AlreadyAssignedError):
        assign()
    RoleAssignment.objects.filter(pk=first.pk).update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))

    second = assign()

    assert RoleAssignment.objects.get(user=ada) == second
    org.assign("viewer", org.ship.scope_id, user=ada)
    org.assign("viewer", org.pay.scope_id, group=org.group("board", ada))


def test_assignments_refuse_what_does_not_exist_and_bad_terms(org, admin):
    ada, board = org.user("ada"), org.group("board")

    def assign(**terms):
        fields = {"role": "viewer", "scope_id": org.pay.scope_id, "user_id": ada.pk}
        return roles.assign_role(principal=admin, **{**fields, **terms})

    for terms in (
        {"role": "king"},
        {"scope_id": NOBODY},
        {"user_id": NOBODY},
        {"user_id": None, "group_id": 0},
    ):
        with pytest.raises(IdentityMissingError):
            assign(**terms)
    past = datetime.now(UTC) - timedelta(seconds=1)
    assert problems_of(lambda: assign(group_id=board.pk)) == ["/user"]
    assert problems_of(lambda: assign(user_id=None)) == ["/user"]
    assert problems_of(lambda: assign(expires_at=past, reason="x" * 2001)) == [
        "/reason",
        "/expires_at",
    ]
    people.deactivate_user(principal=admin, user_id=ada.pk)
    with pytest.raises(InactiveAccountError):
        assign()
    assert not RoleAssignment.objects.filter(user=ada).exists()


def test_breaking_glass_is_for_hours(org, admin):
    ada, now = org.user("ada"), datetime.now(UTC)

    def assign(expires_at):
        return roles.assign_role(
            principal=admin,
            role="breakglass",
            scope_id=org.pay.scope_id,
            user_id=ada.pk,
            expires_at=expires_at,
        )

    assert problems_of(lambda: assign(None)) == ["/expires_at"]
    assert problems_of(lambda: assign(now + timedelta(hours=9))) == ["/expires_at"]
    assign(now + timedelta(hours=7))


def test_a_missing_assignment_cannot_be_revoked(org, admin):
    assignment = org.assign("viewer", org.pay.scope_id, user=org.user("ada"))

    with pytest.raises(IdentityMissingError):
        roles.revoke_assignment(principal=admin, assignment_id=NOBODY)
    assert problems_of(
        lambda: roles.revoke_assignment(principal=admin, assignment_id=assignment.pk, reason="\x00")
    ) == ["/reason"]
    roles.revoke_assignment(principal=admin, assignment_id=assignment.pk)
    with pytest.raises(IdentityMissingError):
        roles.revoke_assignment(principal=admin, assignment_id=assignment.pk)


# --- shares ----------------------------------------------------------------------------------


@pytest.mark.parametrize("to_team", [False, True])
def test_a_share_is_given_and_taken_once_and_is_on_record(org, admin, recall, to_team):
    ada = org.user("ada")
    board = org.group("board", ada)
    holder = {"group_id": board.pk} if to_team else {"user_id": ada.pk}
    terms = {"project_id": org.pay.pk, "permission": Permission.VIEW_PROJECT, **holder}
    stream = f"project:{org.pay.pk}"
    before = len(acts(recall, stream))
    model = ProjectGroupShare if to_team else ProjectUserShare

    for _ in range(2):
        shares.share_project(principal=admin, **terms)
    assert model.objects.count() == 1
    for _ in range(2):
        shares.unshare_project(principal=admin, **terms)

    assert not model.objects.exists()
    entries = acts(recall, stream)[before:]
    assert [entry.kind for entry in entries] == ["project.shared", "project.unshared"]
    assert entries[0].data == {
        "permission": "view_project",
        "user": None if to_team else str(ada.pk),
        "team": board.pk if to_team else None,
    }


def test_shares_refuse_strangers_and_what_is_no_projects_permission(org, admin):
    ada, board = org.user("ada"), org.group("board")

    def share(**terms):
        fields = {
            "project_id": org.pay.pk,
            "permission": Permission.VIEW_PROJECT,
            "user_id": ada.pk,
        }
        return shares.share_project(principal=admin, **{**fields, **terms})

    assert problems_of(lambda: share(permission=Permission.DECIDE_REQUEST, group_id=board.pk)) == [
        "/permission",
        "/user",
    ]
    for terms in ({"project_id": NOBODY}, {"user_id": NOBODY}, {"user_id": None, "group_id": 0}):
        with pytest.raises(IdentityMissingError):
            share(**terms)
    people.deactivate_user(principal=admin, user_id=ada.pk)
    with pytest.raises(InactiveAccountError):
        share()
    assert Group.objects.count() == 1
