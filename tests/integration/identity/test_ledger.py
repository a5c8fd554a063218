"""Identity on the real ledger: chained, verified, and seen by others once it is committed."""

import threading

import pytest
from django.db import connection

from audit.domain.entry import read_entry, stream_id_of
from audit.store import read_verified
from core.identity.authorize import require
from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.identity.models import Person
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services import groups, people, roles
from core.kernel.record import ActorKind


@pytest.fixture(autouse=True)
def _real_ledger(_remembering_ledger, settings):
    """Record where production records."""
    settings.LEDGER_SINK = "audit.sink.LedgerSink"


def entries_of(stream):
    return read_verified(stream=stream_id_of(stream), limit=1000)


def elsewhere(call):
    """Return what a call returns on another connection, which sees what is committed only."""
    results = []

    def run():
        try:
            results.append(call())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=60)
    return results[0]


@pytest.mark.django_db
def test_what_identity_records_is_one_unbroken_chain(org):
    ada = org.user("ada", email="ada@example.com", password="between the looms")
    org.assign("approver", org.pay.scope_id, group=org.group("board", ada))
    org.token(ada)

    entries = entries_of("identity")

    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    kinds = {entry.kind for entry in entries}
    assert {"user.created", "team.created", "member.added", "token.created"} <= kinds
    assert [entry.kind for entry in entries_of(f"project:{org.pay.pk}")] == [
        "setting.changed",
        "project.created",
        "role.assigned",
    ]
    # Names and addresses may have to be erased one day: no hashed byte depends on them in clear.
    assert not [entry for entry in entries if b"ada@example.com" in entry.body]
    assert not [entry for entry in entries if b"Ada" in entry.body]


@pytest.mark.django_db
def test_an_entry_says_who_did_it_how_and_by_which_assignment(org):
    admin = org.user("admin")
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=admin)

    user = people.create_user(principal=org.principal(admin), username="ada", name="Ada")

    entry = read_entry(entries_of("identity")[-1].body)
    assert (entry.kind, entry.subject) == ("user.created", str(user.pk))
    assert (entry.actor.id, entry.actor.kind) == (str(admin.pk), ActorKind.PERSON)
    assert (entry.via, entry.auth) == ("api", "session")
    assert entry.policy == "access_admin everywhere"


def test_others_see_the_refusal_and_nothing_of_what_was_rolled_back(committed_org):
    nobody = committed_org.principal(committed_org.user("nobody"))
    board = committed_org.group("board")
    before = len(entries_of("identity"))

    with pytest.raises(AccessForbiddenError):
        groups.add_member(principal=nobody, group_id=board.pk, user_id=nobody.user_id)

    (entry,) = elsewhere(lambda: entries_of("access"))
    assert entry.kind == "access.refused"
    assert read_entry(entry.body).actor.id == str(nobody.user_id)
    assert entry.data["permission"] == "manage_users"
    assert elsewhere(lambda: len(entries_of("identity"))) == before
    assert elsewhere(board.user_set.count) == 0


def test_refusals_of_many_at_once_are_all_recorded_and_wait_for_nobody(committed_org):
    principals = [committed_org.principal(committed_org.user(f"user{i}")) for i in range(6)]
    board = committed_org.group("board")
    barrier = threading.Barrier(len(principals))
    refused = []

    def run(principal):
        try:
            barrier.wait(timeout=20)
            for _ in range(5):
                try:
                    groups.add_member(
                        principal=principal, group_id=board.pk, user_id=principal.user_id
                    )
                except AccessForbiddenError:
                    refused.append(principal.user_id)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(principal,)) for principal in principals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert len(refused) == 30
    assert [entry.seq for entry in entries_of("access")] == list(range(1, 31))


def test_changes_that_touch_the_same_rows_in_different_services_do_not_deadlock(committed_org):
    org = committed_org
    users = [org.user(f"user{i}") for i in range(4)]
    board = org.group("board")
    barrier = threading.Barrier(4)
    errors = []

    def in_thread(*calls):
        def run():
            try:
                barrier.wait(timeout=20)
                for call in calls * 3:
                    call()
            except Exception as error:  # noqa: BLE001  # a thread's edge: the test looks at it
                errors.append(error)
            finally:
                connection.close()

        return threading.Thread(target=run)

    def assign_and_revoke(user, scope_id):
        row = org.assign("viewer", scope_id, user=user)
        roles.revoke_assignment(principal=org.system, assignment_id=row.pk)

    def join_and_leave(user):
        groups.add_member(principal=org.system, group_id=board.pk, user_id=user.pk)
        groups.remove_member(principal=org.system, group_id=board.pk, user_id=user.pk)

    threads = [
        in_thread(
            lambda: assign_and_revoke(users[0], org.pay.scope_id), lambda: org.token(users[1])
        ),
        in_thread(lambda: org.token(users[0]), lambda: join_and_leave(users[1])),
        in_thread(
            lambda: people.deactivate_user(principal=org.system, user_id=users[2].pk),
            lambda: people.activate_user(principal=org.system, user_id=users[2].pk),
        ),
        in_thread(
            lambda: people.change_user(principal=org.system, user_id=users[2].pk, name="X"),
            lambda: assign_and_revoke(users[3], GLOBAL_SCOPE_ID),
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=100)

    assert errors == []
    entries_of("identity")
    entries_of(f"project:{org.pay.pk}")


def test_a_refusal_outside_any_service_is_on_record_too(committed_org):
    nobody = committed_org.principal(committed_org.user("nobody"))

    with pytest.raises(AccessForbiddenError):
        require(principal=nobody, permission=Permission.VIEW_AUDIT, scope_id=None)

    assert [entry.kind for entry in entries_of("access")] == ["access.refused"]
    assert Person.objects.count() == 1
