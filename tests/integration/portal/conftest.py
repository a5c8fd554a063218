"""Browsers without scripts: Django's client, signed in, against real PostgreSQL and Redis."""

import html
import re

import pytest
from django.test import Client

from tests.founding import founded, lend
from tests.integration.approvals.conftest import new_office
from tests.world import PASSWORD


@pytest.fixture(scope="module")
def founded_office(django_db_setup, django_db_blocker):
    """Found an office once for a module."""
    with founded(new_office, blocker=django_db_blocker) as office:
        yield office


@pytest.fixture
def office(founded_office, db):
    return lend(founded_office)


@pytest.fixture
def browse(office):
    """Return a function that gives a signed-in browser of somebody."""

    def sign_in(name, **headers):
        browser = Client(enforce_csrf_checks=True, headers=headers)
        token = csrf_of(browser.get("/sign-in/"))
        data = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": token}
        answer = browser.post("/sign-in/", data)
        assert answer.status_code == 303, answer.content
        return browser

    return sign_in


def csrf_of(answer):
    """Return the token in a page's form."""
    return field(answer, "csrfmiddlewaretoken")


def field(answer, name):
    """Return the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', text(answer))
    assert found, f"no field {name}"
    return html.unescape(found[1])


def text(answer):
    """Return a page's text."""
    return answer.content.decode()


def bar(answer):
    """Return the hidden values of the decision bar, as a browser would send them."""
    names = ("csrfmiddlewaretoken", "owner", "digest", "stage", "key", "seen")
    return {name: field(answer, name) for name in names}
