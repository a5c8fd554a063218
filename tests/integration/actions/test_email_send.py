"""Mail from steps, through a real server."""

import pytest

from engine.actions.email_send import SPEC
from tests.loopback_smtp import serve_smtp
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox(settings):
    for mailbox in serve_smtp():
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = mailbox.port
        settings.EMAIL_USE_TLS = False
        settings.DEFAULT_FROM_EMAIL = "Countersign <countersign@example.org>"
        yield mailbox


@pytest.fixture
def world():
    world = World()
    world.user("ann", groups=("duty",))
    world.user("ben", groups=("duty",))
    world.user("cleo")
    return world


def test_people_and_members_of_groups_get_one_mail_each(execute, mailbox, world):
    made = execute(
        SPEC, groups=["duty"], users=["ann", "cleo"], subject="Nobody\nacknowledged", text="Look."
    )

    assert made == {"sent_count": 3, "skipped_count": 0}
    assert [message["To"] for message in mailbox.messages] == [
        "ann@example.org",
        "ben@example.org",
        "cleo@example.org",
    ]
    assert {message["Subject"] for message in mailbox.messages} == {"Nobody acknowledged"}
    assert {message["Auto-Submitted"] for message in mailbox.messages} == {"auto-generated"}
    assert mailbox.messages[0].get_content().strip() == "Look."
    assert mailbox.connections == 1


def test_a_mail_sent_again_is_recognized_and_one_to_another_is_not(execute, mailbox, world):
    for _ in range(2):
        execute(SPEC, groups=["duty"], subject="Again", text="")

    ids = [message["Message-ID"] for message in mailbox.messages]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2
    assert ids[0].endswith("@example.org>")


def test_who_is_inactive_gets_none(execute, failure, mailbox, world):
    world.users["ann"].is_active = False
    world.users["ann"].save()

    assert execute(SPEC, groups=["duty"], subject="S") == {"sent_count": 1, "skipped_count": 1}
    failed = failure(SPEC, users=["ann"], subject="S")

    assert (failed.kind, failed.message) == (
        "invalid",
        "The mail is for nobody: nobody named has an address.",
    )


def test_other_addresses_need_their_domain_allowed(execute, failure, mailbox, settings):
    refused = failure(SPEC, to=["x@partner.example"], subject="S")
    settings.MAIL_DOMAINS_ALLOWED = ["Partner.example"]
    made = execute(SPEC, to=["x@partner.example"], subject="S")
    beside = failure(SPEC, to=["x@evil-partner.example"], subject="S")

    assert (refused.kind, beside.kind) == ("invalid", "invalid")
    assert "MAIL_DOMAINS_ALLOWED" in refused.message
    assert made["sent_count"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"users": ["nobody"]}, "There is no user nobody."),
        ({"groups": ["none"], "users": ["ann"]}, "There is no group none."),
        ({}, "with:"),
        ({"to": ["a@b.example\nBcc: c@d.example"]}, "with/to/0"),
        ({"to": ["not an address"]}, "with/to/0"),
        ({"users": ["ann"], "subject": ""}, "with/subject"),
    ],
)
def test_wrong_arguments_are_refused(failure, mailbox, world, arguments, words):
    failed = failure(SPEC, **{"subject": "S", **arguments})

    assert (failed.kind, words in failed.message) == ("invalid", True), failed
    assert mailbox.messages == []


@pytest.mark.parametrize(
    ("reply", "kind"), [("450 later", "transient"), ("550 no such user", "permanent")]
)
def test_what_the_mail_server_says_decides_whether_to_try_again(
    failure, mailbox, world, reply, kind
):
    mailbox.judge = lambda _: reply

    assert failure(SPEC, users=["ann"], subject="S").kind == kind


def test_a_mail_server_that_is_gone_may_come_back(failure, world, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    assert failure(SPEC, users=["ann"], subject="S").kind == "transient"
