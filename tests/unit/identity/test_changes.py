"""Changes of access that are refused whatever the roles say."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from core.identity.domain.changes import (
    Administrator,
    ChangeFacts,
    Gift,
    check_expiry,
    find_denial,
    leaves_nobody,
)
from core.identity.domain.permissions import BUILTIN_ROLES, Permission
from core.identity.domain.principal import make_system_principal
from core.kernel.clock import FakeClock
from core.kernel.record import ActorKind

ME, OTHER = UUID(int=1), UUID(int=2)
PRINCIPAL = replace(make_system_principal(), kind=ActorKind.PERSON, person_id=ME)
APPROVER = BUILTIN_ROLES["approver"].permissions
VIEWER = BUILTIN_ROLES["viewer"].permissions
FOREVER = Administrator(person_id=OTHER, is_permanent=True)
FOR_NOW = Administrator(person_id=OTHER, is_permanent=False)
NOW = FakeClock().now()


def facts(**changes):
    return ChangeFacts(person_ids=frozenset({OTHER}), **changes)


def test_changing_somebody_else_is_not_denied():
    assert find_denial(principal=PRINCIPAL, facts=facts()) is None


@pytest.mark.parametrize("others", [frozenset(), frozenset({OTHER})])
def test_changing_ones_own_access_is_denied_even_among_others(others):
    changed = replace(facts(manages_roles=True), person_ids=others | {ME})

    assert "your own access" in (find_denial(principal=PRINCIPAL, facts=changed) or "")


def test_giving_what_one_has_is_not_denied():
    given = facts(gifts=(Gift(granted=VIEWER, held=VIEWER | APPROVER),))

    assert find_denial(principal=PRINCIPAL, facts=given) is None


def test_giving_what_one_lacks_is_denied_and_named():
    given = facts(
        gifts=(
            Gift(granted=VIEWER, held=APPROVER),
            Gift(granted=APPROVER, held=APPROVER - {Permission.DECIDE_REQUEST}),
        )
    )

    reason = find_denial(principal=PRINCIPAL, facts=given)

    assert reason is not None
    assert "decide_request" in reason
    assert "view_request" not in reason


def test_who_manages_roles_everywhere_may_give_roles_they_do_not_have():
    given = facts(gifts=(Gift(granted=APPROVER, held=frozenset()),), manages_roles=True)

    assert find_denial(principal=PRINCIPAL, facts=given) is None


def test_the_platform_has_no_access_of_its_own_to_compare():
    given = ChangeFacts(
        person_ids=frozenset({make_system_principal().person_id}),
        gifts=(Gift(granted=APPROVER, held=frozenset()),),
    )

    assert find_denial(principal=make_system_principal(), facts=given) is None


@pytest.mark.parametrize("principal", [PRINCIPAL, make_system_principal()])
def test_taking_the_last_administrator_away_is_denied_to_everybody(principal):
    last = facts(administrators_before=(FOREVER,), administrators_after=())
    not_last = facts(administrators_before=(FOREVER, FOREVER), administrators_after=(FOREVER,))

    assert "nobody who can manage roles" in (find_denial(principal=principal, facts=last) or "")
    assert find_denial(principal=principal, facts=not_last) is None


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ((), (), False),
        ((FOREVER,), (FOREVER,), False),
        ((FOREVER,), (), True),
        ((FOREVER,), (FOR_NOW,), True),
        ((FOREVER, FOR_NOW), (FOR_NOW,), True),
        ((FOREVER, FOR_NOW), (FOREVER,), False),
        ((FOR_NOW,), (), True),
        ((FOR_NOW,), (FOR_NOW,), False),
        ((FOR_NOW, FOR_NOW), (FOR_NOW,), False),
    ],
)
def test_an_administrator_for_a_while_does_not_stand_in_for_a_permanent_one(before, after, left):
    assert leaves_nobody(before=before, after=after) is left


@pytest.mark.parametrize(
    ("role", "lifetime", "refused"),
    [
        ("viewer", None, False),
        ("viewer", timedelta(microseconds=1), False),
        ("viewer", timedelta(0), True),
        ("viewer", timedelta(days=-1), True),
        ("viewer", timedelta(days=3650), False),
        ("breakglass", None, True),
        ("breakglass", timedelta(hours=8), False),
        ("breakglass", timedelta(hours=8, microseconds=1), True),
        ("breakglass", timedelta(0), True),
    ],
)
def test_an_assignment_ends_in_the_future_and_an_override_within_eight_hours(
    role, lifetime, refused
):
    problems = check_expiry(
        permissions=BUILTIN_ROLES[role].permissions,
        expires_at=None if lifetime is None else NOW + lifetime,
        at=NOW,
    )

    assert bool(problems) is refused
    assert all(problem.path == "/expires_at" for problem in problems)
