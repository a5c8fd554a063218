"""The administrator's console: who enters, and what it shows."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver
from django.utils.timezone import now

from core.identity.authorize import authorize
from core.identity.console.admins import make_site
from core.identity.domain.permissions import BUILTIN_ROLES
from core.identity.models import ApiToken, RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.console import ENTRY, can_enter_console
from tests.integration.identity.consoles import browser_of, text, user_page

LISTS = (
    "/admin/identity/user/",
    "/admin/auth/group/",
    "/admin/identity/project/",
    "/admin/identity/role/",
    "/admin/identity/roleassignment/",
    "/admin/identity/apitoken/",
)
ADDS = tuple(f"{page}add/" for page in LISTS if page != "/admin/identity/role/")


# --- who enters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", BUILTIN_ROLES)
def test_whoever_manages_accounts_roles_or_tokens_everywhere_enters_and_nobody_else(org, role):
    user = org.user("someone")
    ends = now() + timedelta(hours=1) if role == "breakglass" else None
    org.assign(role, GLOBAL_SCOPE_ID, user=user, expires_at=ends)
    principal = org.principal(user)
    allowed = any(
        authorize(principal=principal, permission=item, scope_id=None).allowed for item in ENTRY
    )

    answer = browser_of(user).get("/admin/")

    assert allowed == (role == "access_admin")
    assert answer.status_code == (200 if allowed else 403)
    assert can_enter_console(principal=principal) is allowed


@pytest.mark.parametrize(
    "page", ["/admin/", *LISTS, *ADDS, "/admin/jsi18n/", "/admin/autocomplete/"]
)
def test_flags_of_the_framework_open_no_page(org, page):
    user = org.user("root")
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)

    assert browser_of(user).get(page).status_code == 403


def test_a_role_in_a_project_does_not_open_the_console(org):
    user = org.user("local")
    org.assign("access_admin", org.pay.scope_id, user=user)

    assert browser_of(user).get("/admin/").status_code == 403


def test_a_role_through_a_team_opens_the_console_until_it_is_taken_back(org):
    user = org.user("member")
    team = org.group("guardians", user)
    assignment = org.assign("access_admin", GLOBAL_SCOPE_ID, group=team)
    browser = browser_of(user)
    before = browser.get("/admin/").status_code
    RoleAssignment.objects.filter(pk=assignment.pk).update(expires_at=now())

    assert before == 200
    assert browser.get("/admin/").status_code == 403


@pytest.mark.parametrize("page", ["/admin/", *LISTS])
def test_whoever_is_not_signed_in_is_sent_to_the_one_sign_in_page(db, page):
    answer = Client().get(page)

    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in/?next={page}")


def test_every_address_of_the_console_is_closed_to_strangers(org, nobody):
    stranger, known = Client(), browser_of(User.objects.get(pk=nobody.user_id))
    addresses = {
        "/admin/" + re.sub(r"<[^>]+>", "1", route) for route in _routes(make_site().get_urls())
    } - {"/admin/login/"}

    answers = {
        address: (stranger.get(address), stranger.post(address), known.get(address))
        for address in addresses
    }

    assert len(addresses) > 35
    for address, (seen, sent, refused) in answers.items():
        assert (seen.status_code, sent.status_code, refused.status_code) == (302, 302, 403), address
        assert seen["Location"].startswith("/sign-in/?next="), address


def _routes(patterns, prefix=""):
    for item in patterns:
        # Two of Django's are regular expressions: all tables of an app, and what is left over.
        route = prefix + str(item.pattern).replace("^(?P<app_label>identity|auth)/$", "identity/")
        if isinstance(item, URLResolver):
            yield from _routes(item.url_patterns, route)
        else:
            yield route


def test_the_framework_s_own_doors_are_closed(browser):
    assert browser.get("/admin/login/")["Location"].startswith("/sign-in/")
    assert browser.get("/admin/logout/")["Location"] == "/sign-out/"
    assert browser.get("/admin/password_change/").status_code == 404
    assert browser.get("/admin/password_change/done/").status_code == 404
    assert browser.get("/admin/nowhere/").status_code == 404


def test_the_place_in_the_navigation_is_shown_to_those_who_may_enter_and_costs_one_query(
    org, admin, nobody
):
    pages = {}
    for principal in (admin, nobody):
        user = User.objects.get(pk=principal.user_id)
        pages[principal.username] = text(browser_of(user).get("/inbox/"))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        can_enter_console(principal=admin)

    assert 'id="nav-access"' in pages["admin"]
    assert 'id="nav-access"' not in pages["nobody"]
    assert len(queries) == 1


# --- what it shows -------------------------------------------------------------------------------


def test_every_page_is_complete_and_has_nothing_inline(org, admin, browser):
    user = org.user("ada")
    team = org.group("board", user)
    assignment = org.assign("viewer", org.pay.scope_id, group=team)
    org.assign("viewer", org.pay_flow.pk, user=user)
    made = browser.post("/admin/identity/apitoken/add/", {"act": "add", "name": "ci", "days": "1"})
    token = ApiToken.objects.get()
    rows = [
        user_page(user),
        f"/admin/auth/group/{team.pk}/change/",
        f"/admin/identity/project/{org.pay.pk}/change/",
        f"/admin/identity/role/{assignment.role_id}/change/",
        f"/admin/identity/roleassignment/{assignment.pk}/change/",
        f"/admin/identity/apitoken/{token.pk}/change/",
    ]
    histories = [row.replace("/change/", "/history/") for row in rows]

    pages = ["/admin/", "/admin/identity/", *LISTS, *ADDS, *rows, *histories]
    answers = [made, *(browser.get(page) for page in pages)]

    assert made.status_code == 201
    assert [answer.status_code for answer in answers[1:]] == [200] * len(pages)
    for answer in answers:
        body = text(answer)
        assert "Back to inbox" in body
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", body), body
        assert not re.search(r"<script(?![^>]*\ssrc=)", body)
        assert len(re.findall(r"<h1", body)) == 1
        assert answer["Cache-Control"].count("no-store")


def test_the_front_page_says_what_it_is_for_and_what_changed(org, browser):
    user = org.user("ada")
    body = text(browser.get("/admin/"))

    assert "For rare repairs" in body
    assert (
        f'<a href="{user_page(user)}"><bdi>ada</bdi></a> added by <bdi>the platform</bdi>' in body
    )
    assert re.search(r"Projects</b></a><span class=\"figure\">2<", body)


def test_the_theme_of_the_cookie_stands_in_the_first_tag(browser):
    browser.cookies["theme"] = "dark"

    assert '<html lang="en" data-theme="dark">' in text(browser.get("/admin/"))


@pytest.mark.parametrize("page", ["/admin/", *LISTS])
def test_a_list_takes_the_same_number_of_queries_for_2_rows_and_for_30(org, admin, browser, page):
    def grow(first, last):
        for index in range(first, last):
            user = org.user(f"user{index}")
            team = org.group(f"team{index}", user)
            org.project(f"project{index}")
            org.assign("viewer", org.pay_flow.pk, user=user)
            org.assign("viewer", GLOBAL_SCOPE_ID, group=team)
            org.token(user, name=f"token{index}", project_id=org.pay.pk)

    def count():
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(page).status_code == 200
        return len(queries)

    grow(0, 2)
    browser.get(page)  # what is cached once for each process
    few = count()
    grow(2, 30)

    assert count() == few
    assert few <= 16


@pytest.mark.parametrize(
    ("page", "found", "missing"),
    [
        ("/admin/identity/user/?q=ada", "ada", "ben"),
        ("/admin/identity/user/?kind__exact=person&is_active__exact=1", "ada", "nothing"),
        ("/admin/auth/group/?q=board", "board", "crew"),
        ("/admin/identity/project/?q=pay", "pay", "ship"),
        ("/admin/identity/role/?q=decide_request", "approver", "auditor"),
        ("/admin/identity/roleassignment/?q=ship", "ben", "ada"),
        ("/admin/identity/roleassignment/?scope__kind__exact=project", "ben", "admin</a>"),
    ],
)
def test_lists_are_searched_and_filtered(org, browser, page, found, missing):
    ada, ben = org.user("ada"), org.user("ben")
    org.group("board", ada)
    org.group("crew", ben)
    org.assign("viewer", org.ship.scope_id, user=ben)

    body = text(browser.get(page))
    rows = body[body.index('id="result_list"') : body.index("</table>")]

    assert found in rows
    assert missing not in rows


def test_names_are_escaped_wherever_they_stand(org, browser):
    user = org.user("ada")
    User.objects.filter(pk=user.pk).update(name="<b onclick='x'>Ada</b>")

    for page in ("/admin/", "/admin/identity/user/", user_page(user)):
        assert "<b onclick" not in text(browser.get(page))
