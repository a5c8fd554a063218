"""`blocked` stays true while people come and go, and never decides anything."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from approvals.models import Request
from approvals.services.expire import expire_due
from approvals.services.reach import ReachSweep, refresh_reach
from core.kernel import ids, limits
from core.kernel.clock import FakeClock
from tests.integration.approvals.conftest import PEER, kinds, stage


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def sweep(clock):
    """Return a sweep whose pause after the start is over."""
    sweep = ReachSweep(clock=clock)
    assert sweep() == 0
    clock.advance(timedelta(seconds=limits.REACH_SECONDS))
    return sweep


def told_blocked(request):
    notices = request.notices.filter(event="request.blocked")
    return sorted(notices.values_list("recipient__username", flat=True))


def test_a_request_is_blocked_when_people_leave_and_owners_are_told_once(office, clock, sweep):
    office.user("adam", "project_admin")
    request, fine = office.open(stage("peer", groups=["board"], count=3)), office.open()
    office.leave("cid")

    assert sweep() == 1

    request.refresh_from_db()
    fine.refresh_from_db()
    assert (request.blocked, request.status, fine.blocked) == (True, "open", False)
    assert kinds(request) == ["request.opened", "request.blocked"]
    assert told_blocked(request) == ["adam", "mara"]
    clock.advance(timedelta(seconds=limits.REACH_SECONDS))
    assert sweep() == 0
    assert kinds(request) == ["request.opened", "request.blocked"]


def test_a_request_is_unblocked_when_people_come_and_nothing_is_decided(office, sweep):
    office.group("empty")
    request = office.open(stage("peer", groups=["empty"]))
    assert request.blocked
    office.user("eve", "approver", groups=("empty",))

    assert sweep() == 1

    request.refresh_from_db()
    assert (request.blocked, request.status) == (False, "open")
    assert kinds(request) == ["request.opened", "request.blocked", "request.unblocked"]
    assert office.decide(request, "eve").outcome == "approved"


def test_who_is_excluded_does_not_count(office, sweep):
    request = office.open(exclude=["user.username == 'ann'"])
    for name in ("bob", "cid"):
        office.leave(name)

    assert sweep() == 1

    request.refresh_from_db()
    assert request.blocked


def test_votes_that_were_cast_count_for_those_who_left(office, sweep):
    request = office.open(stage("peer", groups=["board"], count=2))
    office.decide(request, "ann")
    office.leave("ann")
    office.leave("bob")

    assert sweep() == 0

    request.refresh_from_db()
    assert not request.blocked


def test_closed_requests_and_those_without_a_stage_are_left_alone(office, sweep):
    closed, skipped = office.open(), office.open(stage("peer", groups=["board"], when="false"))
    office.overdue(closed)
    expire_due()
    for name in ("ann", "bob", "cid"):
        office.leave(name)

    assert sweep() == 0

    closed.refresh_from_db()
    skipped.refresh_from_db()
    assert (closed.blocked, skipped.blocked) == (False, True)
    assert not refresh_reach(request_id=closed.pk)
    assert not refresh_reach(request_id=skipped.pk)
    assert not refresh_reach(request_id=ids.uuid7())


def test_the_sweep_comes_round_to_all_requests_and_takes_its_time(office, clock, monkeypatch):
    monkeypatch.setattr(limits, "REACH_ROW_COUNT_MAX", 2)
    requests = [office.open(stage("peer", groups=["board"], count=3)) for _ in range(5)]
    office.leave("cid")
    sweep = ReachSweep(clock=clock)
    changed = []

    for _ in range(8):
        changed.append(sweep())
        assert sweep() == 0, "it is not time yet"
        clock.advance(timedelta(seconds=limits.REACH_SECONDS))

    assert changed == [0, 2, 2, 1, 0, 0, 0, 0]
    assert Request.objects.filter(pk__in=[item.pk for item in requests], blocked=True).count() == 5


def test_a_request_that_cannot_be_read_does_not_keep_the_others(office, sweep):
    broken, other = (office.open(stage("peer", groups=["board"], count=3)) for _ in range(2))
    Request.objects.filter(pk=broken.pk).update(rule={})
    office.leave("cid")

    with capture_logs() as logs:
        assert sweep() == 1

    other.refresh_from_db()
    assert other.blocked
    (line,) = [line for line in logs if line["event"] == "approvals.reach_failed"]
    assert line["request"] == str(broken.pk)


def test_a_request_that_has_not_changed_is_not_locked_and_costs_few_queries(office):
    request = office.open(PEER)

    with CaptureQueriesContext(connection) as queries:
        assert not refresh_reach(request_id=request.pk)

    assert len(queries) <= 9
    assert not [item for item in queries if "FOR " in item["sql"].upper().split("WHERE")[-1]]
