"""Signing out over HTTP: with a token, and with a browser's session."""

from django.conf import settings
from rest_framework.test import APIClient

from audit import store as ledger
from audit.domain.entry import stream_id_of
from core.identity.models import User

PATH = "/api/v1/auth/logout/"


def _browser(town, name):
    """Return a browser in which somebody is signed in, with the CSRF token of its pages."""
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(town.users[name])
    client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
    return client, {"X-CSRFToken": "a" * 32}


def _last_entry():
    return ledger.read_stream(stream=stream_id_of("identity"), limit=10_000)[-1]


def test_a_token_is_revoked_by_signing_out_with_it(town, problem):
    mara, spare = town.as_("mara"), town.as_("ann")

    assert mara.post("auth/logout/").status_code == 204

    problem(mara.get("me/"), 401, "api.credentials_refused")
    problem(mara.post("auth/logout/"), 401, "api.credentials_refused")
    assert spare.get("me/").status_code == 200
    assert _last_entry().kind == "token.revoked"


def test_a_session_ends_by_signing_out_and_the_others_of_the_account_stay(town):
    here, headers = _browser(town, "mara")
    there, _ = _browser(town, "mara")
    stolen = here.cookies[settings.SESSION_COOKIE_NAME].value

    answer = here.post(PATH, headers=headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert _last_entry().kind == "session.ended"
    assert answer.cookies[settings.SESSION_COOKIE_NAME].value == ""
    here.cookies[settings.SESSION_COOKIE_NAME] = stolen
    assert here.get("/api/v1/me/").status_code == 401
    assert there.get("/api/v1/me/").status_code == 200
    assert town.as_("mara").get("me/").status_code == 200
    assert User.objects.get(username="mara").session_generation == 0


def test_a_foreign_page_signs_nobody_out(town, problem):
    client, _ = _browser(town, "mara")

    problem(client.post(PATH), 403, "api.csrf_refused")

    assert client.get("/api/v1/me/").status_code == 200


def test_signing_out_takes_being_signed_in_and_is_no_link(town, nobody, problem):
    problem(nobody.post("auth/logout/"), 401, "api.not_authenticated")
    problem(town.as_("mara").get("auth/logout/"), 405, "api.method_not_allowed")
