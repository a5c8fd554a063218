"""Changes of access that meet."""

import threading

import pytest
from django.db import connection

from core.identity.domain.errors import AccessForbiddenError, AlreadyAssignedError, NameTakenError
from core.identity.models import RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services import people, roles
from core.kernel.errors import PlatformError
from tests.fakes import ledger as fake


@pytest.fixture
def org(committed_org):
    """Every connection must see it."""
    return committed_org


def at_once(*calls):
    """Run calls in threads that start together; return what each raised, `None` if nothing."""
    barrier = threading.Barrier(len(calls))
    results: list[PlatformError | None] = [None] * len(calls)

    def run(index, call):
        try:
            barrier.wait(timeout=20)
            call()
        except PlatformError as error:
            results[index] = error
        finally:
            fake.forget()
            connection.close()

    threads = [threading.Thread(target=run, args=(index, call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def administrators():
    return RoleAssignment.objects.filter(role__slug="access_admin", user__is_active=True)


@pytest.mark.parametrize("way", ["revoke", "deactivate", "one of each"])
@pytest.mark.parametrize("_turn", range(3))
def test_two_administrators_who_dismiss_each_other_leave_one(org, way, _turn):
    ada, bob = org.user("ada"), org.user("bob")
    of_ada = org.assign("access_admin", GLOBAL_SCOPE_ID, user=ada)
    of_bob = org.assign("access_admin", GLOBAL_SCOPE_ID, user=bob)
    as_ada, as_bob = org.principal(ada), org.principal(bob)

    def revoke(principal, assignment):
        return lambda: roles.revoke_assignment(principal=principal, assignment_id=assignment.pk)

    def deactivate(principal, user):
        return lambda: people.deactivate_user(principal=principal, user_id=user.pk)

    calls = {
        "revoke": (revoke(as_ada, of_bob), revoke(as_bob, of_ada)),
        "deactivate": (deactivate(as_ada, bob), deactivate(as_bob, ada)),
        "one of each": (revoke(as_ada, of_bob), deactivate(as_bob, ada)),
    }[way]
    results = at_once(*calls)

    assert [type(result) for result in results if result] == [AccessForbiddenError]
    assert administrators().count() == 1


def test_the_platform_removing_both_administrators_at_once_leaves_one(org):
    assignments = [
        org.assign("access_admin", GLOBAL_SCOPE_ID, user=org.user(name)) for name in ("ada", "bob")
    ]

    results = at_once(
        *(
            lambda row=row: roles.revoke_assignment(principal=org.system, assignment_id=row.pk)
            for row in assignments
        )
    )

    assert [type(result) for result in results if result] == [AccessForbiddenError]
    assert "nobody who can manage roles" in str(next(filter(None, results)))
    assert administrators().count() == 1


def test_the_same_role_assigned_twice_at_once_is_assigned_once(org):
    ada = org.user("ada")

    results = at_once(*[lambda: org.assign("viewer", org.pay.scope_id, user=ada)] * 3)

    refused = [type(result) for result in results if result]
    assert refused == [AlreadyAssignedError] * 2
    assert RoleAssignment.objects.filter(user=ada).count() == 1


def test_the_same_name_taken_twice_at_once_is_taken_once(org):
    results = at_once(*[lambda: org.user("ada")] * 3)

    assert [type(result) for result in results if result] == [NameTakenError] * 2
    assert User.objects.filter(username="ada").count() == 1
