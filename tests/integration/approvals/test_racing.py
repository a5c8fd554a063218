"""People, time and cancels at the same moment, each on a connection of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection, connections, transaction

from approvals.domain import errors
from approvals.models import Request, Vote
from approvals.services.expire import expire_due, expire_request
from audit import store as ledger
from core.kernel.errors import PlatformError
from core.toolkit.db import read_database_clock
from engine.models import Run
from engine.services.runs import cancel_run
from tests.integration.approvals.conftest import new_office, stage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(transactional_db):
    return new_office()


def together(*acts):
    """Run functions at the same moment; return what each returned or refused with."""
    barrier = threading.Barrier(len(acts))

    def run(act):
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return act()
        except PlatformError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def read_chain(request):
    """Return the kinds of the request's entries, having checked every link."""
    return [entry.kind for entry in ledger.read_verified(stream=request.pk, limit=200)]


def count_resolved(request):
    entries = ledger.read_verified(stream=request.run_id, limit=200)
    return sum(entry.kind == "approval.resolved" for entry in entries)


def test_two_approvals_at_once_reach_a_quorum_of_two(office):
    for _ in range(6):
        request = office.open(stage("peer", groups=["board"], count=2))

        results = together(
            partial(office.decide, request, "ann"),
            partial(office.decide, request, "bob"),
            partial(office.decide, request, "cid"),
        )

        request.refresh_from_db()
        assert request.outcome == "approved"
        late = [item for item in results if isinstance(item, errors.RequestClosedError)]
        assert len(late) == 1, results
        assert Vote.objects.filter(request=request).count() == 2
        assert count_resolved(request) == 1
        assert read_chain(request).count("request.closed") == 1


def test_one_person_many_times_at_once_has_one_vote(office):
    request = office.open(stage("peer", groups=["board"], count=2))
    office.second_account("ann2", of="ann")

    results = together(
        *[partial(office.decide, request, "ann", idempotency_key="k")] * 3,
        *[partial(office.decide, request, "ann2")] * 2,
    )

    assert sorted(result.replayed for result in results) == [False, True, True, True, True]
    assert len({result.vote_id for result in results}) == 1
    assert Vote.objects.filter(request=request).count() == 1
    assert read_chain(request).count("decision.repeated") == 4


def test_a_yes_and_a_no_of_one_person_at_once_count_once(office):
    request = office.open(stage("peer", groups=["board"], count=2))

    results = together(
        partial(office.decide, request, "ann"), partial(office.decide, request, "ann", "reject")
    )

    refused = [item for item in results if isinstance(item, PlatformError)]
    assert len(refused) == 1
    assert isinstance(refused[0], errors.AlreadyDecidedError | errors.RequestClosedError)
    assert Vote.objects.filter(request=request).count() == 1


def test_first_form_values_at_once_are_signed_one_after_the_other(office):
    form = {"type": "object", "properties": {"risk": {"enum": ["low", "high"]}}}
    request = office.open(stage("peer", groups=["board"], count=2), form=form)
    seen = bytes(request.shown_digest).hex()

    results = together(
        partial(office.decide, request, "ann", digest_hex=seen, form={"risk": "low"}),
        partial(office.decide, request, "bob", digest_hex=seen, form={"risk": "high"}),
    )

    refused = [item for item in results if isinstance(item, PlatformError)]
    assert [type(item) for item in refused] == [errors.SubjectChangedError]
    assert Vote.objects.filter(request=request).count() == 1


def test_a_decision_and_the_end_of_time_never_both_win(office):
    for _ in range(4):
        request = office.open()
        Request.objects.filter(pk=request.pk).update(expires_at=read_database_clock())

        expired, decided = together(
            partial(expire_request, request_id=request.pk, run_id=request.run_id),
            partial(office.decide, request, "ann"),
        )

        request.refresh_from_db()
        assert expired is True
        assert isinstance(decided, errors.RequestExpiredError)
        assert request.outcome == "rejected"
        assert count_resolved(request) == 1
        assert read_chain(request)[-1] in {"request.closed", "decision.late"}


def test_many_sweeps_at_once_end_a_request_once(office):
    requests = [office.open() for _ in range(4)]
    for request in requests:
        office.overdue(request)

    ended = together(expire_due, expire_due, expire_due)

    left = expire_due()
    assert sum(ended) + left == len(requests)
    assert {count_resolved(request) for request in requests} == {1}


def test_a_decision_and_a_cancel_at_once_leave_one_end(office):
    for _ in range(4):
        request = office.open()

        cancelled, decided = together(
            partial(
                cancel_run,
                principal=office.principal("mara"),
                run_id=request.run_id,
                reason="wrong branch",
            ),
            partial(office.decide, request, "ann"),
        )

        request.refresh_from_db()
        if isinstance(decided, PlatformError):
            assert isinstance(decided, errors.RequestClosedError)
            assert request.outcome == "voided"
        else:
            assert request.outcome == "approved"
        assert not isinstance(cancelled, PlatformError)
        office.hand.drive(request.run_id)
        assert Run.objects.get(pk=request.run_id).status == "CLOSED"
        assert read_chain(request).count("request.closed") == 1


def test_a_decision_that_waited_for_the_lock_over_the_deadline_is_late(office):
    request = office.open()
    locked, release = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM engine_run WHERE id = %s FOR NO KEY UPDATE", (request.run_id,)
                )
                locked.set()
                release.wait(timeout=20)
        finally:
            connections.close_all()

    def decide():
        try:
            return office.decide(request, "ann")
        except PlatformError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(hold)
        locked.wait(timeout=20)
        deciding = pool.submit(decide)
        _wait_for_waiter()
        Request.objects.filter(pk=request.pk).update(expires_at=read_database_clock())
        release.set()
        holding.result(timeout=20)
        assert isinstance(deciding.result(timeout=20), errors.RequestExpiredError)


def _wait_for_waiter():
    """Wait until some connection waits for a row."""
    with connection.cursor() as cursor:
        for _ in range(400):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.02)")
    pytest.fail("nobody waits")


def test_requests_of_one_office_are_decided_side_by_side(office):
    requests = [office.open(stage("peer", groups=["board"], count=2)) for _ in range(4)]

    together(
        *[partial(office.decide, request, who) for request in requests for who in ("ann", "bob")]
    )

    outcomes = Request.objects.filter(pk__in=[item.pk for item in requests])
    assert set(outcomes.values_list("outcome", flat=True)) == {"approved"}
