"""How requests end without a decision, and who is told what."""

import pytest
from structlog.testing import capture_logs

from approvals.domain import errors
from approvals.models import Notice, Request, Stage
from approvals.services.expire import expire_due, expire_request
from approvals.services.outbox import NoticeEvent, enqueue
from audit import store as ledger
from core.kernel import ids
from engine.models import Run
from engine.services.runs import cancel_run
from engine.sweep import sweep_once
from tests.integration.approvals.conftest import PEER, stage
from tests.world import fold


def told(request, event):
    notices = Notice.objects.filter(request=request, event=event)
    return sorted(notices.values_list("recipient__username", flat=True))


@pytest.mark.parametrize(
    ("then", "outcome", "run_outcome"),
    [
        ("reject", "rejected", "rejected"),
        ("expire", "expired", "expired"),
        ("fail", "failed", "failed"),
    ],
)
def test_the_sweep_ends_a_request_as_its_rule_says(office, then, outcome, run_outcome):
    request = office.open(expires={"after": "PT1H", "then": then})
    in_time = office.open()
    office.overdue(request)

    assert sweep_once().others == 1

    request.refresh_from_db()
    in_time.refresh_from_db()
    assert (request.status, request.outcome, request.closure) == ("closed", outcome, "time")
    assert request.closed_by is None
    assert in_time.status == "open"
    office.hand.drive(request.run_id)
    assert Run.objects.get(pk=request.run_id).outcome == run_outcome
    assert told(request, "request.expired") == ["mara"]


def test_a_request_ended_by_time_is_gone_for_deciders(office):
    request = office.open()
    office.overdue(request)
    expire_due()

    with pytest.raises(errors.RequestExpiredError) as caught:
        office.decide(request, "ann")

    request.refresh_from_db()
    assert caught.value.details == {
        "outcome": "rejected",
        "closed_at": request.closed_at,
        "closed_by": "",
    }
    kinds = [entry.kind for entry in ledger.read_verified(stream=request.pk, limit=50)]
    assert kinds[-2:] == ["request.closed", "decision.late"]


def test_a_left_over_timer_does_nothing(office):
    decided, early = office.open(), office.open()
    office.decide(decided, "ann")
    office.overdue(decided)

    assert expire_due() == 0
    assert not expire_request(request_id=decided.pk, run_id=decided.run_id)
    assert not expire_request(request_id=early.pk, run_id=early.run_id)
    assert not expire_request(request_id=ids.uuid7(), run_id=None)


DAMAGE = {
    "a run that has ended": lambda row: Run.objects.filter(pk=row.run_id).update(status="CLOSED"),
    "a rule that does not read": lambda row: Request.objects.filter(pk=row.pk).update(rule={}),
    "a stream that is taken": lambda row: Request.objects.filter(pk=row.pk).update(seq=0),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_request_that_cannot_be_ended_does_not_keep_others_open(office, damage):
    before, broken, after = (office.open() for _ in range(3))
    for request in (before, broken, after):
        office.overdue(request)
    DAMAGE[damage](broken)

    with capture_logs() as logs:
        assert expire_due() == 2

    for request in (before, broken, after):
        request.refresh_from_db()
    assert [row.status for row in (before, broken, after)] == ["closed", "open", "closed"]
    (line,) = [line for line in logs if line["event"] == "approvals.expiry_failed"]
    assert line["request"] == str(broken.pk)


def test_a_request_that_could_not_be_ended_is_tried_in_the_next_round(office):
    request = office.open()
    office.overdue(request)
    rule = request.rule
    Request.objects.filter(pk=request.pk).update(rule={})
    assert expire_due() == 0
    Request.objects.filter(pk=request.pk).update(rule=rule)

    assert expire_due() == 1

    request.refresh_from_db()
    assert request.closure == "time"


def test_cancelling_a_run_voids_its_request(office):
    request = office.open(stage("peer", groups=["board"], count=2), PEER | {"id": "two"})
    office.decide(request, "ann")

    cancel_run(principal=office.principal("mara"), run_id=request.run_id, reason="wrong branch")

    request.refresh_from_db()
    assert (request.status, request.outcome, request.closure) == ("closed", "voided", "void")
    assert list(Stage.objects.order_by("position").values_list("status", flat=True)) == [
        "ended",
        "ended",
    ]
    assert not request.audience.filter(is_open=True).exists()
    assert request.audience.count() == 1
    closing = ledger.read_verified(stream=request.pk, limit=50)[-1]
    assert (closing.kind, closing.data["closure"]) == ("request.closed", "void")
    assert told(request, "request.voided") == ["ann", "mara"]
    with pytest.raises(errors.RequestClosedError, match="voided"):
        office.decide(request, "bob")
    office.hand.drive(request.run_id)
    assert fold(request.run_id).closed


def test_those_who_may_decide_are_told_and_who_asked_hears_the_outcome(office):
    office.user("eve", "viewer", groups=("board",))
    office.enroll("mara")
    request = office.open(PEER, stage("two", groups=["board"]), exclude=["earlier-deciders"])

    office.decide(request, "ann")
    office.decide(request, "bob", "reject")

    assert told(request, "request.opened") == ["ann", "bob", "cid"]
    assert told(request, "stage.opened") == ["bob", "cid"]
    assert told(request, "request.decided") == ["mara"]
    notice = Notice.objects.get(request=request, event="request.decided")
    assert notice.facts == {"outcome": "rejected", "by": "Bob"}
    assert (notice.status, notice.attempts, notice.channel) == ("pending", 0, "email")


def test_a_notice_is_written_once(office):
    request = office.open()
    mara = office.users["mara"].pk
    for _ in range(2):
        enqueue(
            event=NoticeEvent.REQUEST_DECIDED,
            request=request,
            recipients=[mara, mara],
            at=request.opened_at,
        )

    assert told(request, "request.decided") == ["mara"]


def test_nobody_is_told_of_nothing(office):
    request = office.open()
    before = Notice.objects.count()

    enqueue(event=NoticeEvent.REQUEST_DECIDED, request=request, recipients=[], at=request.opened_at)

    assert Notice.objects.count() == before


def test_a_run_that_failed_meanwhile_leaves_no_open_request(office):
    request = office.open()
    cancel_run(principal=office.principal("mara"), run_id=request.run_id, reason="stop")

    assert not Request.objects.filter(run_id=request.run_id, status="open").exists()
