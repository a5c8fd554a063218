"""What holds for every address: who is asking, in which form, and how errors look."""

import json

import pytest
from django.test import Client

from core.identity.models import ApiToken
from core.kernel import limits
from tests.integration.api.conftest import Caller
from tests.world import PASSWORD


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer", "TOKEN"])
def test_a_token_says_who_is_asking(town, scheme):
    secret = town.as_("mara").client._credentials["HTTP_AUTHORIZATION"].split()[1]

    response = Client(headers={"authorization": f"{scheme} {secret}"}).get("/api/v1/me/")

    body = response.json()
    assert (response.status_code, body["username"], body["auth"]) == (200, "mara", "token")
    assert body["token"]["permissions"] is None
    assert body["user_id"] == str(town.users["mara"].pk)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer a b",
        "Bearer cs_nope",
        f"Bearer cs_{'0' * 64}",
        "Bearer é",
        "Token " + "x" * 5000,
    ],
)
def test_a_token_that_does_not_hold_is_refused(db, problem, header):
    response = Client(headers={"authorization": header}).get("/api/v1/me/")

    problem(response, 401, "api.credentials_refused")
    assert response["WWW-Authenticate"].startswith("Token realm=")


def test_a_revoked_token_is_refused_from_the_next_request_on(town, problem):
    caller = town.as_("mara")
    assert caller.get("me/").status_code == 200

    ApiToken.objects.all().delete()

    problem(caller.get("me/"), 401, "api.credentials_refused")


def test_a_closed_account_is_refused_from_the_next_request_on(town, problem):
    caller = town.as_("mara")
    town.users["mara"].is_active = False
    town.users["mara"].save()

    problem(caller.get("me/"), 401, "api.credentials_refused")


@pytest.mark.parametrize("header", [None, "Basic bWFyYTp4", "Digest x"])
def test_without_credentials_nothing_is_told(town, problem, header):
    client = Client(headers={} if header is None else {"authorization": header})

    response = client.get("/api/v1/me/")

    problem(response, 401, "api.not_authenticated")
    assert "Bearer" in response["WWW-Authenticate"]


def _session(town, name: str) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(town.users[name], backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_session_may_read(town):
    body = _session(town, "mara").get("/api/v1/me/").json()

    assert (body["username"], body["auth"], body["token"]) == ("mara", "session", None)


def test_a_session_changes_nothing_without_its_csrf_token(town, problem, settings):
    client = _session(town, "mara")
    body = json.dumps({"name": "laptop"})

    refused = client.post("/api/v1/tokens/", body, content_type="application/json")

    problem(refused, 403, "api.csrf_refused")
    assert ApiToken.objects.count() == 0
    token = "a" * 32
    client.cookies[settings.CSRF_COOKIE_NAME] = token
    accepted = client.post(
        "/api/v1/tokens/",
        body,
        content_type="application/json",
        headers={"x-csrftoken": token},
    )
    assert accepted.status_code == 201


def test_a_token_needs_no_csrf_token(town):
    secret = town.as_("mara").client._credentials["HTTP_AUTHORIZATION"]
    client = Client(enforce_csrf_checks=True, headers={"authorization": secret})

    response = client.post("/api/v1/lint/", "{}", content_type="application/json")

    assert response.status_code == 422


@pytest.mark.parametrize("path", ["nope", "nope/", "runs/7/", "runs/x/events", "", "me/me/"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_address_is_a_problem_too(problem, path, method):
    client = Client(enforce_csrf_checks=True)

    problem(getattr(client, method)(f"/api/v1/{path}"), 404, "api.not_found")


def test_a_strange_host_is_a_problem_under_the_api_and_a_page_elsewhere(problem):
    strange = {"host": "evil.example"}

    problem(Client().get("/api/v1/me/", headers=strange), 400, "api.malformed")
    elsewhere = Client().get("/admin/", headers=strange)
    assert (elsewhere.status_code, elsewhere["Content-Type"][:9]) == (400, "text/html")


def test_what_is_missing_elsewhere_is_a_page():
    response = Client().get("/nope")

    assert (response.status_code, response["Content-Type"][:9]) == (404, "text/html")


def test_an_unknown_version_of_the_api_is_a_problem_too(problem):
    problem(Client().get("/api/v2/me/"), 404, "api.not_found")
    problem(Client().get("/api/"), 404, "api.not_found")


@pytest.mark.parametrize("path", ["me", "me/", "runs", "runs/", "workflows/acme/x/runs"])
def test_both_spellings_of_an_address_answer_without_a_redirect(town, path):
    assert town.as_("mara").get(path).status_code in {200, 405}


@pytest.mark.parametrize(
    ("method", "path"), [("post", "me/"), ("put", "runs/"), ("get", "lint/"), ("delete", "me/")]
)
def test_a_method_an_address_does_not_have_is_named(town, problem, method, path):
    response = town.as_("mara").send(method, path)

    problem(response, 405, "api.method_not_allowed")
    assert response["Allow"]


def test_head_answers_like_get_without_a_body(town):
    response = town.as_("mara").client.head("/api/v1/me/")

    assert (response.status_code, response.content) == (200, b"")
    assert response["Content-Type"] == "application/json"


def test_options_tells_the_methods_to_callers_only(town, problem):
    response = town.as_("mara").client.options("/api/v1/runs/")

    assert response.status_code == 200
    assert set(response["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    problem(Client().options("/api/v1/runs/"), 401, "api.not_authenticated")


def _lint(town, body: bytes, content_type: str = "application/json"):
    return town.as_("mara").client.generic("POST", "/api/v1/lint/", body, content_type=content_type)


@pytest.mark.parametrize("body", [b"{", b"{'source': 1}", b'{"a": 1, "a": 2}', b'{"a": NaN}'])
def test_a_body_that_is_no_json_is_malformed(town, problem, body):
    problem(_lint(town, body), 400, "api.malformed")


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null"])
def test_a_body_that_is_no_object_is_invalid(town, problem, body):
    problem(_lint(town, body), 422, "api.invalid_input")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
def test_a_body_of_another_type_is_refused(town, problem, content_type):
    problem(_lint(town, b"source=x", content_type), 415, "api.unsupported_media_type")


def test_a_body_with_parameters_of_its_type_is_read(town):
    body = b'{"source": 7}'

    assert _lint(town, body, "application/json; charset=utf-8").status_code == 422


def test_a_body_over_the_limit_is_refused(town, problem):
    body = b'{"source": "' + b"x" * limits.BODY_BYTES_MAX + b'"}'

    found = problem(_lint(town, body), 413, "api.body_too_large")

    assert found["bytes_max"] == limits.BODY_BYTES_MAX


def test_an_answer_in_another_type_is_not_to_be_had(town, problem):
    response = town.as_("mara").client.get("/api/v1/me/", headers={"accept": "text/html"})

    problem(response, 406, "api.not_acceptable")


def test_every_wrong_field_is_listed_at_once(town, problem):
    response = town.as_("mara").post(
        "requests/00000000-0000-7000-8000-000000000009/decide/",
        {"confirmed": "yes", "comment": 7, "form": [], "surprise": 1},
    )

    errors = problem(response, 422, "api.invalid_input")["errors"]
    assert {(item["path"], item["code"]) for item in errors} == {
        ("/decision", "required"),
        ("/confirmed", "invalid"),
        ("/comment", "invalid"),
        ("/form", "not_a_dict"),
        ("/surprise", "unknown_field"),
    }


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"limit": "0"}, "query:limit"),
        ({"cursor": "x"}, "query:cursor"),
        ({"status": "nope"}, "query:status"),
        ({"surprise": "1"}, "query:surprise"),
        ({"project": "a\x00b"}, "query:project"),
    ],
)
def test_wrong_query_parameters_are_listed(town, problem, parameters, path):
    body = problem(town.as_("mara").get("runs/", **parameters), 422, "api.invalid_input")

    assert [item["path"] for item in body["errors"]] == [path]


def test_a_bug_tells_a_reference_and_nothing_else(town, problem, settings):
    client = Client(raise_request_exception=False)
    client.force_login(town.users["mara"], backend="django.contrib.auth.backends.ModelBackend")
    settings.LEDGER_SINK = "nowhere.at.all"  # making a token writes to the ledger

    response = client.post("/api/v1/tokens/", '{"name": "x"}', content_type="application/json")

    body = problem(response, 500, "api.internal")
    assert "nowhere" not in json.dumps(body)
    assert ApiToken.objects.count() == 0


def test_answers_are_kept_by_no_cache(town, nobody):
    assert town.as_("mara").get("me/")["Cache-Control"] == "no-store"
    assert nobody.get("me/")["Cache-Control"] == "no-store"


def test_a_password_buys_a_token_where_the_setting_allows_it(town, settings, nobody, problem):
    wanted = {"username": "mara", "password": PASSWORD, "lifetime_seconds": 60}
    settings.API_PASSWORD_TOKENS = True

    response = nobody.post("auth/token/", wanted)

    assert response.status_code == 201
    assert Caller(response.json()["token"]).get("me/").json()["username"] == "mara"
    settings.API_PASSWORD_TOKENS = False
    problem(nobody.post("auth/token/", wanted), 404, "identity.password_tokens_off")


@pytest.mark.parametrize(
    ("username", "password"),
    [("mara", "wrong"), ("nobody", PASSWORD), ("mara", "\N{GRINNING FACE}")],
)
def test_a_wrong_password_and_a_wrong_name_look_alike(town, nobody, problem, username, password):
    body = problem(
        nobody.post("auth/token/", {"username": username, "password": password}),
        401,
        "identity.password_refused",
    )

    assert username not in body["detail"]


def test_a_closed_account_buys_nothing(town, nobody, problem):
    town.users["mara"].is_active = False
    town.users["mara"].save()

    response = nobody.post("auth/token/", {"username": "mara", "password": PASSWORD})

    problem(response, 401, "identity.password_refused")
