"""What the mails say."""

import pytest

from approvals.models import Request
from approvals.outbound.delivery import deliver_due
from approvals.outbound.mail import format_amount
from approvals.services.outbox import NoticeEvent


@pytest.fixture
def receive(office, mailbox):
    """Deliver one notice and return the mail."""

    def deliver(event, **fields):
        office.notice(event, **fields)
        deliver_due()
        (message,) = mailbox.messages
        return message

    return deliver


def test_who_may_decide_learns_what_is_asked_by_when_and_where(office, receive):
    message = receive("request.opened")
    text = message.get_content()

    assert message["Subject"] == f"[{office.request}] Please decide: Release 1.4.0 to production"
    assert message["To"] == "Ada <ada@example.org>"
    assert message["From"] == "countersign@example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    for expected in (
        "Mara asks for a decision",
        "workflow     shop/release, run 12",
        "stage peer",
        "amount       1250.50 EUR",
        "if approved  1.4.0 replaces what production serves.",
        "decide by    ",
    ):
        assert expected in text
    assert "not for mail" not in text, "what is to be decided is read where one signs in"


def test_links_open_pages_and_carry_no_decision(office, receive):
    text = receive("request.opened").get_content()

    links = [word for word in text.split() if "://" in word]
    assert links == [f"https://countersign.example.org/api/v1/requests/{office.request.pk}/"]


def test_who_asked_learns_the_outcome_who_said_what_and_why(office, receive):
    office.vote(office.ada, "reject", comment="Not before\nthe holidays.")
    office.close("rejected")

    message = receive("request.decided", to=office.mara)

    assert "Rejected: Release 1.4.0" in message["Subject"]
    assert "What you asked for was rejected by Ada" in message.get_content()
    assert "EUR\n\n  Ada said reject (peer): Not before the holidays.\n\nOpening" in (
        message.get_content()
    )


def test_who_asked_learns_that_the_time_is_up(office, receive):
    office.close("rejected")

    message = receive("request.expired", to=office.mara)

    assert "Time is up" in message["Subject"]
    assert "ended as rejected" in message.get_content()


def test_who_was_asked_learns_that_it_is_no_longer_asked(office, receive):
    office.close("voided")

    assert "No longer asked" in receive("request.voided")["Subject"]


@pytest.mark.parametrize("event", list(NoticeEvent))
def test_every_event_has_a_text_without_gaps(office, receive, event):
    text = receive(event.value, to=office.mara, facts={"stage": "peer"}).get_content()

    assert "{" not in text
    assert "None" not in text
    assert "&" not in text
    assert "\n\n\n" not in text
    assert text.rstrip().endswith("as Mara.")


def test_what_people_typed_stays_on_its_line_and_is_not_escaped(office, receive):
    Request.objects.filter(pk=office.request.pk).update(
        title="R&D <b>\r\nBcc: all@example.org\u2028Hello"
    )

    message = receive("request.opened")

    assert message["Bcc"] is None
    assert message["Subject"].endswith("Please decide: R&D <b> Bcc: all@example.org Hello")
    assert "\nBcc" not in message.get_content()
    assert "R&D <b>" in message.get_content()


def test_names_outside_ascii_arrive(office, receive):
    noor = office.person("noor", "approver")
    noor.name = "Nóra Ängström, Dr."
    noor.save()

    message = receive("request.opened", to=noor)

    assert message["To"].addresses[0].display_name == "Nóra Ängström, Dr."
    assert message["To"].addresses[0].addr_spec == "noor@example.org"


def test_mails_about_one_request_are_one_conversation(office, mailbox):
    office.notice()
    office.notice("request.expired", to=office.mara)
    deliver_due()

    first, second = mailbox.messages
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (None, "", ""),
        (125050, "EUR", "1250.50 EUR"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-1250, "USD", "-12.50 USD"),
        (1250, "JPY", "1250 JPY"),
        (1250, "KWD", "1.250 KWD"),
    ],
)
def test_amounts_are_written_with_the_decimals_of_their_currency(value, currency, text):
    assert format_amount(value, currency) == text
