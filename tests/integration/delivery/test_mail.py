"""What the mails say, in HTML and in text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import resolve

from approvals.domain.rule import Asks, rule_to_json
from approvals.models import Notice, Request, Vote
from approvals.outbound.delivery import deliver_due
from approvals.outbound.mail import compose
from approvals.services.outbox import NoticeEvent
from core.identity.models import User
from core.kernel import limits
from engine.domain.plan import Plan, Step, Uses
from engine.models import Run
from tests.integration.delivery.conftest import RULE
from tests.world import World

PUBLIC = "https://countersign.example.org"
NASTY = (
    "R&D <b onclick='x'>\r\nBcc: all@example.org\u2028Hello \u202etxt.exe",
    "مراجعة الإصدار ٤ قبل النشر",
    "部署计费服务到生产环境",
    "🚀" * 40,
    "x" * 200,
)


@pytest.fixture
def receive(office, mailbox):
    """Deliver one notice and return the mail."""

    def deliver(event, **fields):
        office.notice(event, **fields)
        deliver_due()
        (message,) = mailbox.messages
        return message

    return deliver


class _Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.links, self.tags, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "action"}]

    def handle_data(self, data):
        self.words.append(data)


def text_of(message):
    return message.get_body(preferencelist=("plain",)).get_content()


def html_of(message):
    return message.get_body(preferencelist=("html",)).get_content()


def page_of(message):
    return _Page(html_of(message))


def said_in(page):
    return re.sub(r"\s+", " ", " ".join(page.words))


def test_who_may_decide_learns_what_is_asked_by_when_and_where(office, receive):
    Request.objects.filter(pk=office.request.pk).update(
        subject={"artifact": "registry/shop:1.4.0", "steps": {"test": "passed"}, "cves": [1, 2]}
    )
    message = receive("request.opened")
    text, html = text_of(message), said_in(page_of(message))

    assert message["Subject"] == f"[{office.request}] Please decide: Release 1.4.0 to production"
    assert message["To"] == "Ada <ada@example.org>"
    assert message["From"] == "countersign@example.org"
    assert message.get_content_type() == "multipart/alternative"
    for expected in (
        "Mara asks for a decision",
        "Release 1.4.0 to production",
        "shop/release, run 12",
        "stage peer",
        "Medium",
        "1,250.50 EUR",
        "1.4.0 replaces what production serves.",
        "Nothing changes.",
        f"{office.request.expires_at:%Y-%m-%d %H:%M} UTC",
        "registry/shop:1.4.0",
        "Steps · Test",
        "1, 2",
    ):
        assert expected in text
        assert expected in html
    assert "  Amount       1,250.50 EUR\n" in text
    assert "Nothing is decided from this mail" in text
    assert "Nothing is decided from this mail" in html


@pytest.mark.parametrize("event", list(NoticeEvent))
def test_every_link_of_every_mail_is_the_address_of_a_page_that_changes_nothing(
    office, receive, event
):
    message = receive(event.value, to=office.ada, facts={"stage": "peer"})
    browser = Client()
    browser.force_login(office.ada, backend="django.contrib.auth.backends.ModelBackend")

    page = f"{PUBLIC}/inbox/{office.request.pk}/"
    assert re.findall(r"\w+://[^\s<>\"']+", text_of(message)) == [page]
    assert page_of(message).links == [page]
    assert set(re.findall(r"\w+://[^\s<>\"']+", html_of(message))) == {page}
    path = urlsplit(page).path
    assert resolve(path).view_name == "approvals_portal:request"
    before = Request.objects.values().get(pk=office.request.pk)
    assert browser.get(path).status_code == 200
    assert Request.objects.values().get(pk=office.request.pk) == before
    assert not Vote.objects.exists()


@pytest.mark.parametrize("event", list(NoticeEvent))
def test_no_mail_has_a_form_a_script_or_something_to_load(office, receive, event):
    page = page_of(receive(event.value, to=office.mara, facts={"stage": "peer"}))

    assert not {"form", "script", "input", "button", "img", "link", "iframe"} & set(page.tags)


@pytest.mark.parametrize("event", list(NoticeEvent))
def test_every_event_has_a_text_without_gaps(office, receive, event):
    text = text_of(receive(event.value, to=office.mara, facts={"stage": "peer"}))

    assert "{" not in text
    assert "None" not in text
    assert "&" not in text
    assert "\n\n\n" not in text
    assert text.rstrip().endswith("as Mara.")


@pytest.mark.parametrize("event", list(NoticeEvent))
@pytest.mark.parametrize("title", NASTY)
def test_what_people_typed_can_neither_become_a_header_nor_markup(office, receive, event, title):
    Request.objects.filter(pk=office.request.pk).update(
        title=title, if_approved=title, subject={title: title}, closed_by_name=title
    )
    office.mara.name = "Mara\r\nBcc: other@example.org"
    office.mara.save()
    message = receive(event.value, to=office.mara, facts={"stage": "peer", "reason": title})
    text, page = text_of(message), page_of(message)

    assert message["Bcc"] is None
    assert len(message.get_all("To")) == 1
    assert [to.addr_spec for to in message["To"].addresses] == ["mara@example.org"]
    assert "\nBcc" not in text
    assert "\u202e" not in str(message["Subject"]) + text + html_of(message)
    assert page.tags.count("b") == html_of(message).count('<b style="')
    assert len(str(message["Subject"])) < 150


def test_what_people_typed_is_escaped_in_html_and_as_it_is_in_text(office, receive):
    Request.objects.filter(pk=office.request.pk).update(title="R&D <b>\r\nBcc: x\u2028Hello")

    message = receive("request.opened")

    assert message["Subject"].endswith("Please decide: R&D <b> Bcc: x Hello")
    assert "R&D <b> Bcc: x Hello" in text_of(message)
    assert "R&amp;D &lt;b&gt; Bcc: x Hello" in html_of(message)


def test_who_asked_learns_the_outcome_who_said_what_and_why(office, receive):
    office.vote(office.ada, "reject", comment="Not before\nthe holidays.")
    office.close("rejected")

    message = receive("request.decided", to=office.mara)

    assert "Rejected: Release 1.4.0" in message["Subject"]
    for said in (text_of(message), said_in(page_of(message))):
        assert "What you asked for was rejected by Ada" in said
        assert "Not before the holidays." in said
        assert "not for mail" not in said, "what was to be decided is known to who asked"
    assert "EUR\n\n  Ada rejected (peer): Not before the holidays.\n\nOpen" in text_of(message)


def test_who_asked_learns_that_the_time_is_up(office, receive):
    office.close("rejected")

    message = receive("request.expired", to=office.mara)

    assert "Time is up" in message["Subject"]
    assert "ended as rejected" in text_of(message)


def test_who_was_asked_learns_that_it_is_no_longer_asked(office, receive):
    office.close("voided")

    message = receive("request.voided", facts={"reason": "the run was cancelled"})

    assert "No longer asked" in message["Subject"]
    assert "before it was decided: the run was cancelled." in text_of(message)


def test_who_is_told_that_a_request_is_stuck_is_not_told_what_it_asks(office, receive):
    Request.objects.filter(pk=office.request.pk).update(
        if_approved="the secret end", subject={"a": "the secret fact"}, title="the secret title"
    )
    owner = office.person("owner", "access_admin")

    message = receive("request.blocked", to=owner, facts={"stage": "peer"})

    assert message["Subject"] == f"[{office.request}] Stuck: too few people may decide"
    whole = text_of(message) + html_of(message)
    assert "secret" not in whole
    assert "1,250.50" not in whole
    assert "shop/release" in whole


def test_names_outside_ascii_arrive(office, receive):
    noor = office.person("noor", "approver")
    noor.name = "Nóra Ängström, Dr."
    noor.save()

    message = receive("request.opened", to=noor)

    assert message["To"].addresses[0].display_name == "Nóra Ängström, Dr."
    assert message["To"].addresses[0].addr_spec == "noor@example.org"


def test_mails_about_one_request_are_one_conversation_and_filters_know_them(office, mailbox):
    office.notice()
    office.notice("request.expired", to=office.mara)
    deliver_due()

    first, second = mailbox.messages
    assert first["References"] == first["In-Reply-To"] == second["References"]
    assert office.request.pk.hex in first["References"]
    assert first["Message-ID"] != second["Message-ID"]
    for message in (first, second):
        assert message["List-Id"].endswith("<approvals.countersign.example.org>")
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["X-Auto-Response-Suppress"] == "All"


@pytest.mark.parametrize("address", ["http://[::1]:8000", "http://localhost:8000"])
def test_an_address_without_a_name_still_makes_valid_message_ids(office, settings, address):
    settings.PUBLIC_URL = address
    notice = Notice.objects.get(pk=office.notice().pk)

    headers = compose(notice).extra_headers

    assert headers["Message-ID"] == f"<n.{notice.pk.hex}@localhost>"
    assert headers["List-Id"].endswith("<approvals.localhost>")


# --- questions and runs --------------------------------------------------------------------------


def make_question(office, *, error="timeout"):
    """Make the request of the office a question about a step that failed."""
    rule = replace(RULE, asks=Asks.QUESTION)
    Request.objects.filter(pk=office.request.pk).update(
        kind="question",
        rule=rule_to_json(rule),
        title="Step deploy failed: what now?",
        if_approved="",
        if_rejected="",
        subject={"step": "deploy", "error": error, "message": "no result", "attempt": 3},
    )
    office.request.refresh_from_db()


@pytest.mark.parametrize(("error", "is_twice"), [("timeout", False), ("uncertain", True)])
def test_who_may_answer_learns_what_failed_and_what_each_answer_does(
    office, receive, error, is_twice
):
    make_question(office, error=error)
    message = receive("request.opened")

    for said in (re.sub(r"\s+", " ", text_of(message)), said_in(page_of(message))):
        for expected in (
            "waits for somebody to say what becomes of this step",
            "Started by Mara",
            "Retry The step executes again",
            "Skip The step counts as skipped",
            "Fail The step fails",
            "Attempt",
        ):
            assert expected in said, expected
        assert ("done twice" in said) is is_twice
        assert "If approved" not in said
        assert "If you approve" not in said


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("retry", "To be retried"), ("skip", "Skipped"), ("fail", "Failed")],
)
def test_who_started_the_run_learns_what_becomes_of_the_step(office, receive, outcome, words):
    make_question(office)
    office.vote(office.ada, outcome, comment="seen that before")
    office.close(outcome)

    message = receive("request.decided", to=office.mara)

    assert f"] {words}: Step deploy failed" in message["Subject"]
    assert "Ada decided at" in text_of(message)
    assert "seen that before" in text_of(message)


@pytest.fixture
def run(office):
    """Return a run of the office's project."""
    world = World(slug="depot")
    world.user("rita", "requester", "editor", "publisher")
    verb = Uses(action="python/call@1", arguments={"function": "t.none"})
    plan = Plan(
        name="review",
        title="Review of <b>x</b>",
        inputs_schema={"type": "object"},
        variables={},
        steps={"a": Step(id="a", verb=verb)},
        outputs={},
    )
    world.publish(plan, author="rita")
    return Run.objects.get(pk=world.start("review", by="rita").run_id)


def stuck(office, run, *, to="rita", since="2026-03-01T12:00:00+00:00"):
    return office.notice(
        "run.stuck",
        request=None,
        run=run,
        to=User.objects.get(username=to),
        facts={"state": "legal", "since": since},
    )


@pytest.mark.parametrize(
    ("since", "words"),
    [
        ("2026-03-01T12:00:00+00:00", "in the state legal since 2026-03-01 12:00 UTC"),
        (None, "in the state legal for too long"),
    ],
)
def test_who_is_named_learns_which_run_is_in_which_state_and_since_when(
    office, run, mailbox, since, words
):
    stuck(office, run, since=since)
    deliver_due()
    (message,) = mailbox.messages

    assert message["Subject"].startswith(f"[Run {run.number}] Still in legal: ")
    for said in (re.sub(r"\s+", " ", text_of(message)), said_in(page_of(message))):
        assert words in said
        assert "depot/review" in said
        assert f"{PUBLIC}/runs/{run.pk}/" in said
    assert message["References"].startswith(f"<u.{run.pk.hex}@")


@pytest.mark.parametrize("why", ["closed", "may not see"])
def test_an_alarm_that_is_no_news_any_more_is_not_sent(office, run, mailbox, why):
    if why == "closed":
        Run.objects.filter(pk=run.pk).update(status="CLOSED")
    notice = stuck(office, run, to="rita" if why == "closed" else "ada")

    deliver_due()

    notice.refresh_from_db()
    assert (notice.status, mailbox.messages) == ("dropped", [])


def test_an_alarm_that_is_refused_for_good_is_dead_and_keeps_nothing_else(office, run, mailbox):
    notice = stuck(office, run)
    Notice.objects.filter(pk=notice.pk).update(attempts=limits.DELIVERY_ATTEMPT_COUNT_MAX)

    deliver_due()

    notice.refresh_from_db()
    assert (notice.status, mailbox.messages) == ("dead", [])
