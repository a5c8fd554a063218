"""Who may decide and who may not, tested at the moment of deciding."""

import pytest

from approvals.domain import errors
from approvals.models import Request
from core.identity.domain.errors import AccessForbiddenError
from core.identity.models import Role, RolePermission, User
from core.identity.selectors.principals import get_principal
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.kernel.record import ActorKind
from engine.driver import DriveEnd
from engine.services.rerunning import Wish, rerun
from engine.services.runs import cancel_run
from tests.integration.approvals.conftest import PEER, kinds, refused, stage


@pytest.fixture
def strict(office):
    """An office whose requester and author are in the group that decides."""
    office.enroll("mara")
    office.join("otto")
    return office


def test_who_asked_may_not_decide(strict):
    assert refused(strict, strict.open(), "mara").startswith("You asked for this")


def test_who_asked_may_decide_where_the_rule_says_so(strict):
    request = strict.open(exclude=[])

    assert strict.decide(request, "mara").outcome == "approved"


def test_another_account_of_who_asked_may_not_decide(strict):
    strict.second_account("mara2", of="mara")

    assert refused(strict, strict.open(), "mara2").startswith("You asked for this")


def test_who_had_it_run_again_may_not_decide_nor_who_did_before(office):
    first = office.run()
    for name in ("ann", "bob"):
        for role in ("requester", "operator"):
            assign_role(
                principal=office.system,
                role=role,
                scope_id=office.project.scope_id,
                user_id=office.users[name].pk,
            )
    run_id = first
    for name in ("ann", "bob"):
        cancel_run(principal=office.principal("mara"), run_id=run_id, reason="")
        office.hand.drive(run_id)
        run_id = rerun(
            principal=office.principal(name), run_id=run_id, wish=Wish(), reason="once more"
        ).run_id
        assert office.hand.drive(run_id) is DriveEnd.PARKED

    request = Request.objects.get(run_id=run_id)
    for name in ("ann", "bob"):
        assert refused(office, request, name).startswith("You re-ran this")
    assert office.decide(request, "cid").outcome == "approved"


def test_authors_may_not_decide_where_the_rule_says_so(strict):
    request = strict.open(exclude=["version-authors"])
    assert "authors may not decide" in refused(strict, request, "otto")

    other = strict.open()
    assert strict.decide(other, "otto").outcome == "approved"


def test_the_owner_of_the_agent_that_asked_may_not_decide(office):
    agent = office.machine("robot", ActorKind.AGENT, owner="ann")
    assign_role(
        principal=office.system,
        role="requester",
        scope_id=office.project.scope_id,
        user_id=agent.user_id,
    )

    request = office.open(by="robot")

    reason = refused(office, request, "ann")
    assert "may not decide" in reason


def test_an_earlier_decider_may_not_decide_again_where_the_rule_says_so(office):
    request = office.open(PEER, stage("two", groups=["board"]), exclude=["earlier-deciders"])
    office.decide(request, "ann")

    with pytest.raises(errors.MayNotDecideError, match="decided in an earlier stage"):
        office.decide(request, "ann", stage="two")
    assert office.decide(request, "bob", stage="two").outcome == "approved"


def test_an_expression_keeps_out_whom_it_holds_for(office):
    request = office.open(exclude=["user.username == inputs.author"], inputs={"author": "ann"})

    assert "user.username" in refused(office, request, "ann")
    assert office.decide(request, "bob").outcome == "approved"


def test_an_expression_that_errs_keeps_everybody_out(office):
    request = office.open(exclude=["user.username == inputs.missing"], inputs={})

    assert "error never lets anybody through" in refused(office, request, "ann")
    assert request.blocked


def test_an_expression_counts_for_somebody_who_joins_later(office):
    request = office.open(exclude=["user.username == 'eve'"])
    office.user("eve", "approver", groups=("board",))

    assert "'eve'" in refused(office, request, "eve")


def test_somebody_outside_the_group_may_not_decide(office):
    office.user("eve", "approver")

    assert "not among the approvers" in refused(office, office.open(), "eve")


def test_somebody_in_the_group_without_the_permission_may_not_decide(office):
    office.user("eve", "viewer", groups=("board",))

    assert "decide_request" in refused(office, office.open(), "eve")


def test_membership_is_tested_at_the_moment_of_deciding(office):
    request = office.open()
    office.leave("ann")
    office.user("eve", "approver", groups=("board",))

    assert "not among the approvers" in refused(office, request, "ann")
    assert office.decide(request, "eve").outcome == "approved"


def test_a_vote_of_somebody_who_left_since_still_counts(office):
    request = office.open(stage("peer", groups=["board"], count=2))
    office.decide(request, "ann")
    office.leave("ann")

    assert office.decide(request, "bob").outcome == "approved"


def test_a_stranger_learns_nothing_but_that_they_may_not(office):
    office.user("eve")
    request = office.open()

    with pytest.raises(AccessForbiddenError) as caught:
        office.decide(request, "eve", digest_hex="00" * 32)

    assert caught.value.details["permission"] == "decide_request"
    assert "changed" not in caught.value.details
    assert kinds(request) == ["request.opened"]


def test_who_may_decide_without_seeing_decides(office):
    blind = Role.objects.create(slug="blind", title="Blind")
    RolePermission.objects.create(role=blind, permission="decide_request")
    office.user("eve", "blind", groups=("board",))

    assert office.decide(office.open(), "eve").outcome == "approved"


def test_a_superuser_is_no_approver(office):
    office.user("root")
    User.objects.filter(username="root").update(is_superuser=True, is_staff=True)

    with pytest.raises(AccessForbiddenError):
        office.decide(office.open(), "root")


def test_a_superuser_with_sight_is_no_approver(office):
    office.user("root", "viewer")
    User.objects.filter(username="root").update(is_superuser=True, is_staff=True)

    assert "not among the approvers" in refused(office, office.open(), "root")


@pytest.mark.parametrize("kind", [ActorKind.AGENT, ActorKind.SERVICE])
def test_software_never_decides(office, kind):
    machine = office.machine("robot", kind, owner="bob")
    request = office.open()

    with pytest.raises(AccessForbiddenError):
        office.decide(request, machine)
    office.decide(request, "ann")
    with pytest.raises(AccessForbiddenError):
        office.decide(request, machine)


def test_software_does_not_get_its_owners_answer(office):
    machine = office.machine("robot", ActorKind.AGENT, owner="ann")
    request = office.open()
    office.decide(request, "ann")

    with pytest.raises(AccessForbiddenError):
        office.decide(request, machine)


def test_a_token_without_the_permission_cannot_decide(office):
    request = office.open()
    user = User.objects.get(username="ann")
    narrow, _ = create_token(
        principal=office.principal("ann"), name="narrow", permissions=["view_request"]
    )
    wide, _ = create_token(
        principal=office.principal("ann"),
        name="wide",
        permissions=["view_request", "decide_request"],
    )
    origin = office.principal("ann").origin

    with pytest.raises(errors.MayNotDecideError, match="token"):
        office.decide(request, get_principal(user=user, origin=origin, token=narrow))
    result = office.decide(request, get_principal(user=user, origin=origin, token=wide))
    assert result.outcome == "approved"


def test_a_deactivated_account_cannot_decide(office):
    request = office.open()
    principal = office.principal("ann")
    User.objects.filter(username="ann").update(is_active=False)

    with pytest.raises(AccessForbiddenError):
        office.decide(request, principal)


def test_named_users_and_holders_of_a_permission_decide(office):
    request = office.open(stage("one", users=["ann"]), stage("two", permission="publish_workflow"))

    assert "not among" in refused(office, request, "bob")
    office.decide(request, "ann")
    with pytest.raises(errors.MayNotDecideError, match="not among the approvers"):
        office.decide(request, "bob", stage="two")
    assert office.decide(request, "otto").outcome == "approved"


def test_a_role_given_through_a_team_counts_for_a_permission(office):
    office.group("editors")
    assign_role(
        principal=office.system,
        role="publisher",
        scope_id=office.project.scope_id,
        group_id=office.group("editors").pk,
    )
    office.user("eve", "approver", groups=("editors",))
    request = office.open(stage("one", permission="publish_workflow"))

    assert not request.blocked
    assert office.decide(request, "eve").outcome == "approved"
