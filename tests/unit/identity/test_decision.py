"""The order and the words of a decision about access."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from core.identity.domain import decision
from core.identity.domain.decision import GrantFact, ScopeChain, ScopeFact, ShareFact, Step
from core.identity.domain.permissions import SYSTEM_PERMISSIONS, Permission, ScopeKind
from core.identity.domain.principal import Principal, TokenGrant, make_system_principal
from core.kernel.record import Actor, ActorKind, Origin, Via

GLOBAL, PROJECT, WORKFLOW = UUID(int=1), UUID(int=2), UUID(int=3)
PROJECT_ID, OTHER_PROJECT_ID = UUID(int=20), UUID(int=21)
CHAIN = ScopeChain(
    scopes=(
        ScopeFact(id=WORKFLOW, kind=ScopeKind.WORKFLOW),
        ScopeFact(id=PROJECT, kind=ScopeKind.PROJECT, label="pay"),
        ScopeFact(id=GLOBAL, kind=ScopeKind.GLOBAL),
    ),
    project_id=PROJECT_ID,
)
ADA = Principal(
    user_id=UUID(int=7),
    person_id=UUID(int=8),
    username="ada",
    name="Ada",
    kind=ActorKind.PERSON,
    is_active=True,
    origin=Origin(actor=Actor(id=str(UUID(int=7)), kind=ActorKind.PERSON), via=Via.API),
)


def with_token(*, permissions=None, project_id=None):
    token = TokenGrant(id=UUID(int=9), permissions=permissions, project_id=project_id)
    return replace(ADA, token=token)


def grant(*, scope_id, role="approver", group="", expires_at=None):
    return GrantFact(role=role, scope_id=scope_id, group=group, expires_at=expires_at)


def decide(*grants):
    return decision.decide_by_grants(
        permission=Permission.DECIDE_REQUEST, chain=CHAIN, grants=grants
    )


# --- 1. standing -----------------------------------------------------------------------------


def test_nobody_is_refused():
    answer = decision.deny_anonymous()

    assert not answer.allowed
    assert answer.step is Step.ANONYMOUS


@pytest.mark.parametrize(
    ("principal", "stands", "refused"),
    [
        (ADA, True, False),
        (ADA, False, True),
        (replace(ADA, is_active=False), True, True),
        (replace(ADA, is_active=False), False, True),
    ],
)
def test_an_account_goes_on_only_if_it_was_active_and_still_is(principal, stands, refused):
    answer = decision.deny_standing(principal=principal, stands=stands)

    assert (answer is not None) is refused
    assert answer is None or (answer.step is Step.INACTIVE and not answer.allowed)


# --- 2. token --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "refused"),
    [
        (ADA, False),
        (with_token(), False),
        (with_token(permissions=frozenset({"view_workflow"})), False),
        (with_token(permissions=frozenset({"decide_request"})), True),
        (with_token(permissions=frozenset()), True),
        (with_token(project_id=PROJECT_ID), False),
        (with_token(project_id=OTHER_PROJECT_ID), True),
        (with_token(permissions=frozenset({"view_workflow"}), project_id=OTHER_PROJECT_ID), True),
    ],
)
def test_a_token_lets_through_what_it_names_in_the_project_it_names(principal, refused):
    answer = decision.deny_token(
        principal=principal, permission=Permission.VIEW_WORKFLOW, project_id=PROJECT_ID
    )

    assert (answer is not None) is refused
    assert answer is None or answer.step is Step.TOKEN


def test_a_token_for_one_project_does_not_reach_the_whole_platform():
    answer = decision.deny_token(
        principal=with_token(project_id=PROJECT_ID),
        permission=Permission.VIEW_WORKFLOW,
        project_id=None,
    )

    assert answer is not None


# --- 3. hard denials -------------------------------------------------------------------------


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("kind", list(ActorKind))
def test_only_people_decide_delegate_override_or_erase(permission, kind):
    answer = decision.deny_kind(principal=replace(ADA, kind=kind), permission=permission)

    deciding = permission in {
        "decide_request",
        "delegate_request",
        "override_request",
        "redact_audit",
    }
    assert (answer is not None) is (kind is not ActorKind.PERSON and deciding)


def test_a_hard_denial_gives_its_reason():
    answer = decision.deny_hard("Not this one.")

    assert (answer.allowed, answer.step, answer.reason) == (False, Step.DENIAL, "Not this one.")


@pytest.mark.parametrize("permission", list(Permission))
def test_the_platform_sets_up_access_and_does_nothing_else(permission):
    answer = decision.decide_system(permission)

    assert answer.allowed is (permission in SYSTEM_PERMISSIONS)
    assert answer.step is Step.SYSTEM
    assert bool(answer.matched) is answer.allowed


def test_the_principal_of_the_platform_is_of_a_kind_no_account_has():
    principal = make_system_principal(via=Via.CONSOLE)

    assert principal.kind is ActorKind.SYSTEM
    assert principal.origin.via is Via.CONSOLE
    assert principal.origin.actor.kind is ActorKind.SYSTEM


# --- 4. to 6. grants, shares, nothing --------------------------------------------------------


@pytest.mark.parametrize(
    ("scope_id", "words"),
    [
        (GLOBAL, "approver everywhere"),
        (PROJECT, "approver in the project pay"),
        (WORKFLOW, "approver on this workflow"),
    ],
)
def test_an_assignment_at_any_scope_of_the_chain_allows_and_is_named(scope_id, words):
    answer = decide(grant(scope_id=scope_id))

    assert answer is not None
    assert answer.allowed
    assert answer.step is Step.ROLE
    assert answer.matched == words
    assert words in answer.reason


def test_the_assignment_nearest_to_the_thing_is_the_one_named():
    answer = decide(grant(scope_id=GLOBAL), grant(scope_id=WORKFLOW), grant(scope_id=PROJECT))

    assert answer is not None
    assert answer.matched == "approver on this workflow"


def test_of_several_assignments_at_one_scope_the_same_one_is_always_named():
    soon = datetime(2026, 5, 1, tzinfo=UTC)
    ranked = [
        grant(scope_id=GLOBAL, role="a"),
        grant(scope_id=GLOBAL, role="b"),
        grant(scope_id=GLOBAL, role="a", group="board"),
        grant(scope_id=GLOBAL, role="a", expires_at=soon),
        grant(scope_id=GLOBAL, role="a", group="board", expires_at=soon),
    ]
    scope = CHAIN.find(GLOBAL)
    assert scope is not None

    for index, best in enumerate(ranked):
        expected = decision.describe_grant(grant=best, scope=scope)
        for order in (ranked[index:], ranked[index:][::-1]):
            answer = decide(*order)
            assert answer is not None
            assert answer.matched == expected


def test_an_assignment_elsewhere_allows_nothing():
    assert decide(grant(scope_id=UUID(int=99))) is None
    assert decide() is None


def test_a_grant_in_words_names_team_and_end():
    fact = grant(
        scope_id=PROJECT, group="board", expires_at=datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
    )
    scope = CHAIN.find(PROJECT)

    assert scope is not None
    assert decision.describe_grant(grant=fact, scope=scope) == (
        "approver through the team board in the project pay until 2026-05-01 08:30 UTC"
    )
    unnamed = ScopeFact(id=PROJECT, kind=ScopeKind.PROJECT)
    assert decision.describe_grant(grant=grant(scope_id=PROJECT), scope=unnamed) == (
        "approver in the project"
    )


def test_a_scope_outside_the_chain_is_not_found_in_it():
    assert CHAIN.find(UUID(int=99)) is None


@pytest.mark.parametrize(
    ("group", "words"),
    [("", "the project pay, shared"), ("board", "the project pay, shared with the team board")],
)
def test_a_share_allows_and_is_named(group, words):
    answer = decision.decide_by_shares(
        permission=Permission.VIEW_PROJECT, shares=[ShareFact(project="pay", group=group)]
    )

    assert answer.allowed
    assert answer.step is Step.SHARE
    assert answer.matched == words


def test_without_role_and_share_the_answer_is_no():
    answer = decision.decide_by_shares(permission=Permission.VIEW_PROJECT, shares=[])

    assert not answer.allowed
    assert answer.step is Step.NOTHING
    assert "view_project" in answer.reason
    assert answer.matched == ""


def test_a_scope_that_does_not_exist_allows_nothing():
    assert not decision.deny_scope().allowed
