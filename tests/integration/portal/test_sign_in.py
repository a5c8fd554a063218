"""Signing in and out, and what was typed when a session ended."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from approvals.models import Vote
from audit.models import Entry
from tests.integration.portal.conftest import bar, csrf_of, field, text
from tests.world import PASSWORD


def test_a_page_asks_who_you_are_and_goes_on_to_what_was_asked_for(office):
    browser = Client()

    asked = browser.get("/inbox/?view=decided")

    assert asked.status_code == 401
    data = {
        "username": "MARA",
        "password": PASSWORD,
        "next": field(asked, "next"),
        "csrfmiddlewaretoken": csrf_of(asked),
    }
    answer = browser.post("/sign-in/", data)
    assert (answer.status_code, answer["Location"]) == (303, "/inbox/?view=decided")
    assert browser.get(answer["Location"]).status_code == 200


def test_signing_in_is_on_record(browse):
    browse("mara")

    entry = Entry.objects.filter(kind="session.begun").latest("pk")
    assert entry.kind == "session.begun"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("mara", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("mara\x00", "x"),
        ("m" * 500, PASSWORD),
    ],
)
def test_a_wrong_name_and_a_wrong_password_are_answered_alike(office, username, password):
    browser = Client()

    answer = browser.post("/sign-in/", {"username": username, "password": password})

    assert answer.status_code == 422
    assert "do not belong together" in text(answer)
    assert "sessionid" not in answer.cookies


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil", "x"]
)
def test_signing_in_never_leads_away(office, target):
    answer = Client().post("/sign-in/", {"username": "mara", "password": PASSWORD, "next": target})

    assert (answer.status_code, answer["Location"]) == (303, "/")


def test_attempts_are_counted(office, settings):
    settings.API_THROTTLE_RATES = {**settings.API_THROTTLE_RATES, "login": "2/300"}
    browser = Client(REMOTE_ADDR="192.0.2.77")

    answers = [browser.post("/sign-in/", {"username": "mara", "password": "x"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert int(answers[2]["Retry-After"]) > 0
    assert "Come back in" in text(answers[2])


def test_signing_out_needs_more_than_a_link(browse):
    browser = browse("mara")
    page = browser.get("/sign-out/")
    assert browser.get("/inbox/").status_code == 200

    answer = browser.post("/sign-out/", {"csrfmiddlewaretoken": csrf_of(page)})

    assert answer.status_code == 303
    assert browser.get("/inbox/").status_code == 401
    assert Entry.objects.filter(kind="session.ended").exists()


def test_the_theme_is_kept_and_nonsense_is_not(browse):
    browser = browse("mara")
    token = "none needed"

    for theme, attribute in (("dark", 'data-theme="dark"'), ("light", 'data-theme="light"')):
        browser.post("/theme/", {"theme": theme, "csrfmiddlewaretoken": token})
        assert attribute in text(browser.get("/inbox/"))
    browser.post("/theme/", {"theme": '"><script>', "csrfmiddlewaretoken": token})
    assert 'data-theme="light"' in text(browser.get("/inbox/"))


def test_what_was_typed_survives_a_session_that_ended(office, browse):
    request = office.open()
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    typed = {**bar(browser.get(address)), "comment": "Two\nlines é 🎉", "decision": "approve"}
    Session.objects.all().delete()

    asked = browser.post(address, typed)

    assert asked.status_code == 401
    assert "What you typed is kept" in text(asked)
    data = {name: field(asked, name) for name in ("csrfmiddlewaretoken", "next", "carried")}
    answer = browser.post("/sign-in/", {**data, "username": "ann", "password": PASSWORD})
    assert answer["Location"] == address
    again = browser.get(address)
    assert "Two\nlines é 🎉</textarea>" in text(again)
    assert "What you typed is back" in text(again)
    assert "data-keep data-said" in text(again)  # a live update leaves it in the form
    assert not Vote.objects.exists()
    assert "What you typed is back" not in text(browser.get(address))
    sent = browser.post(address, {**bar(again), "comment": "yes", "decision": "approve"})
    assert sent.status_code == 303
    assert Vote.objects.count() == 1


def test_what_somebody_typed_is_given_to_nobody_else(office, browse):
    request = office.open(confirm="I looked")
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    typed = {**bar(browser.get(address)), "comment": "ann's words", "confirmed": "1"}
    Session.objects.all().delete()
    asked = browser.post(address, {**typed, "decision": "approve"})

    data = {name: field(asked, name) for name in ("csrfmiddlewaretoken", "next", "carried")}
    browser.post("/sign-in/", {**data, "username": "bob", "password": PASSWORD})

    page = text(browser.get(address))
    assert "ann's words" not in page
    assert "ann&#x27;s words" not in page
    assert "What you typed is back" not in page


def test_a_page_that_holds_typed_text_is_kept_by_no_cache(office, browse):
    request = office.open()
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    typed = {**bar(browser.get(address)), "comment": "secret", "decision": "approve"}
    Session.objects.all().delete()

    assert "no-store" in browser.post(address, typed)["Cache-Control"]


def test_signing_in_elsewhere_meanwhile_loses_nothing(office, browse):
    request = office.open()
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    typed = {**bar(browser.get(address)), "comment": "still mine", "decision": "approve"}
    Session.objects.all().delete()
    asked = browser.post(address, typed)
    data = {name: field(asked, name) for name in ("next", "carried")}
    fresh = csrf_of(browser.get("/sign-in/"))
    other_tab = {"username": "ann", "password": PASSWORD, "csrfmiddlewaretoken": fresh}
    browser.post("/sign-in/", other_tab)

    answer = browser.post(
        "/sign-in/",
        {**data, "username": "ann", "password": PASSWORD, "csrfmiddlewaretoken": "x" * 64},
        headers={"Sec-Fetch-Site": "same-origin"},
    )

    assert (answer.status_code, answer["Location"]) == (303, address)
    assert "still mine</textarea>" in text(browser.get(address))


def test_a_stale_sign_in_form_comes_back_with_what_it_carried(office, browse):
    request = office.open()
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    typed = {**bar(browser.get(address)), "comment": "kept", "decision": "approve"}
    Session.objects.all().delete()
    asked = browser.post(address, typed)
    data = {name: field(asked, name) for name in ("next", "carried")}

    again = browser.post(
        "/sign-in/",
        {**data, "username": "ann", "password": PASSWORD, "csrfmiddlewaretoken": "x" * 64},
        headers={"Sec-Fetch-Site": "same-origin"},
    )

    assert again.status_code == 403
    assert {name: field(again, name) for name in data} == data


def test_one_name_cannot_be_tried_from_many_addresses(office, settings):
    settings.API_THROTTLE_RATES = {**settings.API_THROTTLE_RATES, "login": "2/300"}

    statuses = [
        Client(REMOTE_ADDR=f"192.0.2.{number}")
        .post("/sign-in/", {"username": "Otto", "password": "x"})
        .status_code
        for number in (1, 2, 3)
    ]

    assert statuses == [422, 422, 429]


def test_a_session_ends_when_it_was_to_end_whatever_is_kept_in_it(office, browse):
    request = office.open()
    browser = browse("ann")
    before = browser.session.get_expiry_date()
    address = f"/inbox/{request.pk}/"
    old = {**bar(browser.get(address)), "comment": "x", "csrfmiddlewaretoken": "x" * 64}

    browser.post(address, old, headers={"Sec-Fetch-Site": "same-origin"})

    assert "carried" in browser.session
    assert browser.session.get_expiry_date() == before


def test_only_what_we_packed_is_carried(office, browse):
    request = office.open()
    browser = Client()
    token = csrf_of(browser.get("/sign-in/"))
    data = {"username": "ann", "password": PASSWORD, "csrfmiddlewaretoken": token}

    browser.post("/sign-in/", {**data, "carried": "forged:value"})

    page = browser.get(f"/inbox/{request.pk}/")
    assert page.status_code == 200
    assert "What you typed is back" not in text(page)


def test_a_form_from_before_signing_in_again_comes_back_unsent(office, browse):
    request = office.open()
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    old = {**bar(browser.get(address)), "comment": "still here", "decision": "approve"}
    old["csrfmiddlewaretoken"] = "x" * 64

    answer = browser.post(address, old, headers={"Sec-Fetch-Site": "same-origin"})

    assert (answer.status_code, answer["Location"]) == (303, address)
    assert "still here</textarea>" in text(browser.get(address))
    assert not Vote.objects.exists()


def test_a_form_of_another_site_is_refused_and_carries_nothing(office, browse):
    request = office.open()
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    old = {"comment": "put there", "decision": "approve", "csrfmiddlewaretoken": "x" * 64}

    answer = browser.post(address, old, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert "put there" not in text(browser.get(address))
    assert not Vote.objects.exists()
