"""Notices reach people at least once, whatever mail servers and workers do."""

import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.utils.timezone import now
from structlog.testing import capture_logs

from approvals.models import Notice, Request
from approvals.outbound import claims
from approvals.outbound.delivery import Delivered, OverdueSweep, deliver_due, retry_delay
from approvals.selectors.requests import get_request
from approvals.tasks import deliver_notices
from audit import store as ledger
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.services import people
from core.kernel import limits
from core.kernel.clock import FakeClock
from core.kernel.record import Via
from tests.integration.delivery.conftest import SYSTEM


def _make_due(notice):
    Notice.objects.filter(pk=notice.pk).update(next_at=now() - timedelta(seconds=1))


def _read(notice):
    return Notice.objects.get(pk=notice.pk)


def test_a_notice_is_delivered_once(office, mailbox):
    notice = office.notice()

    first, second = deliver_due(), deliver_due()

    assert (first, second) == (Delivered(sent=1), Delivered())
    assert len(mailbox.messages) == 1
    assert _read(notice).status == "sent"
    assert _read(notice).sent_at is not None
    assert _read(notice).attempts == 1


def test_the_task_delivers_what_is_due_and_nothing_else(office, mailbox):
    office.notice(next_at=now() + timedelta(minutes=1))
    due = office.notice()

    deliver_notices(something_new="from a later version")

    assert _read(due).status == "sent"
    assert len(mailbox.messages) == 1


def test_several_notices_share_a_connection_and_a_bound(office, mailbox):
    for _ in range(5):
        office.notice()

    assert deliver_due(limit=3) == Delivered(sent=3)
    assert mailbox.connections <= 3
    assert deliver_due() == Delivered(sent=2)


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_deliver_each_notice_once(committed_office, mailbox):
    notices = [committed_office.notice() for _ in range(12)]

    def work(_):
        try:
            return deliver_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(work, range(4)))

    assert sum(answer.sent for answer in answers) == len(notices)
    ids = [message["Message-ID"] for message in mailbox.messages]
    assert len(ids) == len(set(ids)) == len(notices)


def test_a_server_that_is_down_is_tried_again_later_and_later_then_no_more(
    office, settings, mailbox
):
    settings.EMAIL_PORT = 1
    notice = office.notice()

    delays = []
    for attempt in range(1, limits.DELIVERY_ATTEMPT_COUNT_MAX + 1):
        answer = deliver_due()
        row = _read(notice)
        assert row.attempts == attempt
        assert "ConnectionRefusedError" in row.last_error
        if attempt < limits.DELIVERY_ATTEMPT_COUNT_MAX:
            assert answer == Delivered(later=1)
            delays.append((row.next_at - now()).total_seconds())
            assert deliver_due() == Delivered(), "it is not due again yet"
            _make_due(notice)

    assert _read(notice).status == "dead"
    assert deliver_due() == Delivered()
    for attempt, delay in enumerate(delays, start=1):
        least = retry_delay(attempt=attempt).total_seconds()
        assert least - 5 <= delay <= least * 1.25
    assert mailbox.messages == []


def test_delays_double_up_to_a_bound():
    seconds = [retry_delay(attempt=number).total_seconds() for number in (1, 2, 3, 7, 8, 1000)]

    assert seconds == [30, 60, 120, 1920, 3600, 3600]


def test_a_server_that_comes_back_gets_the_mail(office, settings, mailbox):
    notice, port = office.notice(), settings.EMAIL_PORT
    settings.EMAIL_PORT = 1
    deliver_due()
    settings.EMAIL_PORT = port
    _make_due(notice)

    assert deliver_due() == Delivered(sent=1)
    assert _read(notice).last_error == ""


@pytest.mark.parametrize(
    ("reply", "status"),
    [("550 no such user", "dead"), ("451 try later", "pending"), ("421 too busy", "pending")],
)
def test_what_a_server_refuses_for_good_is_not_tried_again(office, mailbox, reply, status):
    mailbox.judge = lambda address: reply if address.startswith("ada") else "250 ok"
    refused, accepted = office.notice(), office.notice("request.expired", to=office.mara)

    answer = deliver_due()

    assert _read(refused).status == status
    assert reply[:3] in _read(refused).last_error
    assert _read(accepted).status == "sent", "one refusal does not hold up the others"
    assert answer.sent == 1


def test_a_worker_that_dies_delays_a_notice_and_loses_nothing(office, mailbox):
    notice = office.notice()
    lost = claims.claim_next()

    assert lost is not None
    assert lost.notice_id == notice.pk
    assert claims.claim_next() is None
    assert _read(notice).next_at > now() + limits.DELIVERY_LEASE / 2
    _make_due(notice)
    assert deliver_due() == Delivered(sent=1)
    assert _read(notice).attempts == 2


def test_what_a_slow_worker_notes_after_its_lease_does_not_count(office, mailbox):
    notice = office.notice()
    slow = claims.claim_next()
    _make_due(notice)
    quick = claims.claim_next()

    assert slow is not None
    assert quick is not None
    assert not claims.note_dead(slow, reason="late")
    assert not claims.note_later(slow, delay=timedelta(0), reason="late")
    assert not claims.note_sent(slow)
    assert claims.note_sent(quick)
    assert not claims.note_dead(quick, reason="twice")
    assert _read(notice).status == "sent"
    assert mailbox.messages == []


def _records(office):
    found = ledger.read_verified(stream=office.request.pk, limit=50)
    return [entry for entry in found if entry.kind == "notice.failed"]


def test_a_notice_that_is_given_up_is_on_record_and_shown_with_its_request(office, mailbox):
    mailbox.judge = lambda address: "550 no such user" if "ada" in address else "250 ok"
    notice = office.notice()
    office.notice("request.expired", to=office.mara)
    vera = office.person("vera", "viewer")

    assert deliver_due() == Delivered(sent=1, dead=1)

    (entry,) = _records(office)
    assert entry.data["notice"] == str(notice.pk)
    assert entry.data["recipient"] == str(office.ada.pk)
    assert (entry.data["event"], entry.data["attempts"]) == ("request.opened", 1)
    assert "550" in entry.payloads["reason"]
    origin = make_origin(user=vera, via=Via.API, auth="token")
    principal = get_principal(user=vera, origin=origin)
    shown = get_request(principal=principal, request_id=office.request.pk).undelivered
    assert [(item.username, item.event, item.attempt_count) for item in shown] == [
        ("ada", "request.opened", 1)
    ]
    assert deliver_due() == Delivered()
    assert len(_records(office)) == 1


def test_what_is_tried_again_or_not_worth_sending_is_not_on_record(office, settings, mailbox):
    settings.EMAIL_PORT = 1
    office.notice()
    office.notice("stage.opened", facts={"stage": "board"})

    assert deliver_due() == Delivered(later=1, dropped=1)
    assert _records(office) == []


def test_a_notice_that_is_given_up_after_its_request_closed_is_on_record_too(office, mailbox):
    mailbox.judge = lambda _address: "550 no such user"
    office.close()
    office.notice("request.decided", to=office.mara)

    assert deliver_due() == Delivered(dead=1)
    assert len(_records(office)) == 1


def test_a_record_that_fails_does_not_hold_up_other_mail(office, mailbox):
    mailbox.judge = lambda address: "550 no such user" if "ada" in address else "250 ok"
    refused = office.notice()
    fine = office.notice("request.expired", to=office.mara)
    Request.objects.filter(pk=office.request.pk).update(head=b"short")

    with capture_logs() as logs:
        assert deliver_due() == Delivered(sent=1, dead=1)

    assert (_read(refused).status, _read(fine).status) == ("dead", "sent")
    assert "approvals.notice_unrecorded" in [line["event"] for line in logs]


def test_a_notice_whose_workers_always_die_is_given_up(office, mailbox):
    notice = office.notice(attempts=limits.DELIVERY_ATTEMPT_COUNT_MAX)

    assert deliver_due() == Delivered(dead=1)
    assert _read(notice).status == "dead"
    assert mailbox.messages == []


def test_two_deliveries_of_one_notice_are_one_message(office, mailbox):
    notice = office.notice()
    deliver_due()
    Notice.objects.filter(pk=notice.pk).update(status="pending", next_at=now())

    deliver_due()

    first, second = mailbox.messages
    assert first["Message-ID"] == f"<n.{notice.pk.hex}@countersign.example.org>"
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


def test_a_notice_that_cannot_be_written_does_not_hold_up_the_others(office, mailbox):
    broken = office.notice("request.from_the_future")
    fine = office.notice("request.expired", to=office.mara)

    answer = deliver_due()

    assert (answer.sent, answer.later) == (1, 1)
    assert _read(fine).status == "sent"
    assert "request.from_the_future" in _read(broken).last_error


def test_an_account_that_was_closed_gets_no_mail(office, mailbox):
    notice = office.notice()
    people.deactivate_user(principal=SYSTEM, user_id=office.ada.pk)

    assert deliver_due() == Delivered(dropped=1)
    assert "closed" in _read(notice).last_error
    assert mailbox.messages == []


def test_an_account_without_address_gets_no_mail(office, mailbox):
    office.notice(to=office.person("noor", "approver", email=""))

    assert deliver_due() == Delivered(dropped=1)
    assert mailbox.messages == []


def test_who_may_no_longer_see_a_request_is_told_nothing_of_it(office, mailbox):
    stranger = office.person("eve")
    office.notice(to=stranger)
    office.notice("request.decided", to=stranger)

    assert deliver_due() == Delivered(dropped=2)
    assert mailbox.messages == []


def test_owners_are_told_that_a_request_is_stuck_without_what_it_asks(office, mailbox):
    office.notice("request.blocked", to=office.person("sam"), facts={"stage": "peer"})

    assert deliver_due() == Delivered(sent=1)
    text = mailbox.messages[0].get_body(("plain",)).get_content()
    assert "too few people" in text
    assert "Release 1.4.0" not in text + mailbox.messages[0]["Subject"]


def test_nobody_is_asked_what_has_been_settled(office, mailbox):
    office.notice()
    office.notice("stage.opened", facts={"stage": "board"})
    open_stage = office.notice("stage.opened", facts={"stage": "peer"})
    office.close()
    closed = deliver_due()

    assert closed == Delivered(dropped=3)
    assert _read(open_stage).last_error == "the question was settled before the notice was sent"


def test_a_stage_that_is_over_is_not_asked_about(office, mailbox):
    over = office.notice("stage.opened", facts={"stage": "board"})
    asked = office.notice("stage.opened", facts={"stage": "peer"})

    deliver_due()

    assert (_read(over).status, _read(asked).status) == ("dropped", "sent")


def test_the_file_backend_writes_a_readable_file(office, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    office.notice()

    assert deliver_due() == Delivered(sent=1)
    (file,) = (tmp_path / "mail").iterdir()
    assert "Please decide: Release 1.4.0" in file.read_text()


def test_the_memory_backend_keeps_what_was_sent(office):
    office.notice()

    deliver_due()

    assert len(mail.outbox) == 1


def test_the_sweep_hints_only_for_what_is_overdue_and_not_without_end(office):
    clock = FakeClock()
    sweep = OverdueSweep(clock=clock)
    assert sweep() == 0

    notice = office.notice(next_at=now() - timedelta(seconds=limits.DELIVERY_OLD_SECONDS + 1))
    assert [sweep(), sweep()] == [1, 0]
    clock.advance(timedelta(seconds=limits.DELIVERY_HINT_SECONDS))
    assert sweep() == 1
    Notice.objects.filter(pk=notice.pk).update(status="sent")
    clock.advance(timedelta(seconds=limits.DELIVERY_HINT_SECONDS))
    assert sweep() == 0


def test_an_authentication_fault_of_ours_does_not_kill_notices(office, mailbox, monkeypatch):
    def refuse(*_args):
        raise smtplib.SMTPAuthenticationError(535, b"wrong password")

    monkeypatch.setattr(smtplib.SMTP, "sendmail", refuse)
    notice = office.notice()

    assert deliver_due() == Delivered(later=1)
    assert _read(notice).status == "pending"
