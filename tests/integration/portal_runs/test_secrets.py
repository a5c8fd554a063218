"""Secrets of a project in the portal: set and deleted, never shown."""

import pytest
from django.core import signing
from django.test import Client

from core.toolkit.portal import carrying
from core.toolkit.sealing import unseal
from engine.secrets.models import Secret, about_secret
from tests.integration.portal_runs.conftest import DEFINITION, send, text, words

PAGE = "/projects/acme/secrets/"
VALUE = "hunter2\nof two lines"


@pytest.fixture
def yard(yard):
    yard.user("ada", "project_admin")
    return yard


def value_of(name):
    secret = Secret.objects.get(name=name)
    return unseal(secret.sealed, about=about_secret(secret)).decode()


def set_token(yard, **more):
    given = {"name": "TOKEN", "secret": VALUE.replace("\n", "\r\n"), "description": "for ships"}
    return send(yard.browse("ada"), PAGE, **{**given, **more})


def test_an_administrator_sets_a_secret_and_sees_who_and_when(yard):
    answer = set_token(yard)

    assert (answer.status_code, answer["Location"]) == (303, PAGE)
    assert value_of("TOKEN") == VALUE
    page = text(yard.browse("ada").get(PAGE))
    assert "TOKEN" in page
    assert "for ships" in page
    assert "ada" in page
    assert "no live workflow" in page
    assert "hunter2" not in page


def test_the_page_says_which_live_workflows_use_it(yard):
    set_token(yard)
    use = DEFINITION.replace("steps:", "secrets: [TOKEN]\nsteps:").replace(
        "{function: p.ok, version", '{function: p.ok, t: "${{ secrets.TOKEN }}", version'
    )
    yard.save(use)

    page = text(yard.browse("vera").get(PAGE))

    assert '<a class="soft-link" href="/workflows/acme/ship/"' in page
    assert "no live workflow" not in page
    yard.save()
    assert "no live workflow" in text(yard.browse("vera").get(PAGE))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "token"}, "A capital letter"),
        ({"name": "A" * 65}, "A capital letter"),
        ({"secret": "abc"}, "Between 4 and"),
        ({"secret": "    "}, "Between 4 and"),
        ({"secret": "x" * 20_000}, "Between 4 and"),
        ({"description": "x" * 600}, "A line of at most"),
    ],
)
def test_what_is_wrong_stands_at_the_field_and_the_value_nowhere(yard, wrong, said):
    answer = set_token(yard, **wrong)

    assert answer.status_code == 422
    assert said in words(answer)
    assert 'name="secret" rows="3"' in text(answer)
    assert "x" * 20_000 not in text(answer)
    assert "hunter2" not in text(answer)
    assert not Secret.objects.exists()


def test_a_viewer_reads_names_and_may_change_nothing(yard):
    set_token(yard)
    browser = yard.browse("vera")

    page = text(browser.get(PAGE))
    assert "TOKEN" in page
    assert "secret-form" not in page
    assert "Delete…" not in page
    assert send(browser, PAGE, name="TOKEN", secret="another").status_code == 403
    assert send(browser, f"{PAGE}TOKEN/delete/").status_code == 403

    assert value_of("TOKEN") == VALUE


def test_a_stranger_finds_nothing(yard):
    set_token(yard)
    browser = yard.browse("stan")

    assert browser.get(PAGE).status_code == 404
    assert browser.get(f"{PAGE}TOKEN/delete/").status_code == 404


def test_deleting_asks_first_and_says_what_uses_it(yard):
    set_token(yard)
    browser = yard.browse("ada")
    assert "Delete TOKEN ?" in words(browser.get(f"{PAGE}TOKEN/delete/"))

    answer = send(browser, f"{PAGE}TOKEN/delete/")

    assert (answer.status_code, answer["Location"]) == (303, PAGE)
    assert not Secret.objects.exists()
    assert browser.get(f"{PAGE}TOKEN/delete/").status_code == 404
    assert "No secrets yet" in words(browser.get(PAGE))


def test_a_value_that_was_typed_without_a_session_is_not_carried(yard):
    given = {"name": "TOKEN", "secret": VALUE, "description": "d", "owner": "1"}

    answer = Client().post(PAGE, given)

    assert answer.status_code == 401
    packed = answer.context["carried"]
    assert packed
    fields = signing.loads(packed, salt=carrying._SALT)["fields"]
    assert set(fields) == {"name", "description", "owner"}


def test_a_workflow_leads_to_the_secrets_of_its_project(yard):
    yard.save()

    assert f'href="{PAGE}"' in text(yard.browse("vera").get("/workflows/acme/ship/"))
