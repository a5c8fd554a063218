"""Mail from steps, through a real server."""

import threading
import time
from dataclasses import replace

import pytest

from core.identity.models import User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.groups import add_member
from core.identity.services.roles import assign_role
from engine.actions.email_send import SPEC
from engine.models import Run
from tests.loopback_smtp import serve_smtp
from tests.plans import approval, plan
from tests.world import World

pytestmark = pytest.mark.django_db


def nobody_behind(name):
    return f"The {name} leads to nobody who is active and may view this workflow."


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
    world.user("mara", "requester")
    world.user("ann", "viewer", groups=("duty",))
    world.user("ben", "approver", groups=("duty",))
    world.user("cleo", "viewer")
    world.user("stranger", groups=("strangers",))
    return world


@pytest.fixture
def attempt(attempt, world):
    """Return an attempt of a run there is: who gets mail depends on it."""
    world.publish(plan(approval("ask")), author="mara")
    return replace(attempt, run_id=str(world.start("test", by="mara").run_id))


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

    assert (failed.kind, failed.message) == ("invalid", nobody_behind("user ann"))


def test_who_may_not_view_the_workflow_gets_none(execute, failure, mailbox, world):
    add_member(
        principal=world.system,
        group_id=world.groups["duty"].pk,
        user_id=world.users["stranger"].pk,
    )

    made = execute(SPEC, groups=["duty"], subject="S")
    failed = [
        failure(SPEC, subject="S", **names)
        for names in (
            {"users": ["stranger"]},
            {"users": ["ann", "nobody"]},
            {"groups": ["strangers"]},
            {"groups": ["duty", "none"]},
        )
    ]

    assert made == {"sent_count": 2, "skipped_count": 1}
    assert {message["To"] for message in mailbox.messages} == {"ann@example.org", "ben@example.org"}
    assert [(item.kind, item.message) for item in failed] == [
        ("invalid", nobody_behind(name))
        for name in ("user stranger", "user nobody", "group strangers", "group none")
    ]


def test_who_may_view_only_another_project_gets_none(failure, mailbox, world):
    other = World(slug="other")
    other.user("dora", "viewer")

    failed = failure(SPEC, users=["dora"], subject="S")

    assert (failed.kind, failed.message) == ("invalid", nobody_behind("user dora"))


def test_a_role_on_the_workflow_or_everywhere_is_enough(execute, mailbox, world, attempt):
    workflow = Run.objects.get(pk=attempt.run_id).workflow
    for name, scope_id in (("here", workflow.scope_id), ("everywhere", GLOBAL_SCOPE_ID)):
        world.user(name)
        assign_role(
            principal=world.system,
            role="viewer",
            scope_id=scope_id,
            user_id=world.users[name].pk,
        )

    assert execute(SPEC, users=["here", "everywhere"], subject="S")["sent_count"] == 2


def test_who_has_no_address_is_counted(execute, failure, mailbox, world):
    User.objects.filter(username="ann").update(email="")

    assert execute(SPEC, groups=["duty"], subject="S") == {"sent_count": 1, "skipped_count": 1}
    failed = failure(SPEC, users=["ann"], subject="S")

    assert (failed.kind, failed.message) == (
        "invalid",
        "The mail is for nobody: nobody named has an address.",
    )


def test_between_two_mails_it_looks_at_the_time(failure, mailbox, world):
    def answer(_):
        time.sleep(1.2)
        return "250 ok"

    mailbox.judge = answer

    failed = failure(SPEC, users=["ann", "ben", "cleo"], subject="S", seconds=2.0)

    assert (failed.kind, failed.message) == (
        "timeout",
        "The time was over when 2 of 3 mails were sent.",
    )
    assert len(mailbox.messages) == 2


def test_a_silent_mail_server_is_not_waited_for_past_the_time(failure, mailbox, world):
    released = threading.Event()

    def answer(_):
        released.wait(20)
        return "421 nobody is there any more"

    mailbox.judge = answer
    began = time.monotonic()

    failed = failure(SPEC, users=["ann"], subject="S", seconds=0.5)

    took = time.monotonic() - began
    released.set()
    assert (failed.kind, failed.message) == (
        "timeout",
        "The time was over when 0 of 1 mails were sent.",
    )
    assert took < 10


def test_mail_nobody_needs_any_more_is_not_sent(failure, mailbox, world):
    failed = failure(SPEC, users=["ann"], subject="S", asks_cancelled=lambda: True)

    assert (failed.kind, mailbox.messages) == ("permanent", [])


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
        ({"users": ["nobody"]}, "The user nobody leads to nobody"),
        ({"groups": ["none"], "users": ["ann"]}, "The group none leads to nobody"),
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
