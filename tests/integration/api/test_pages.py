"""Lists: pages by cursor, and as many queries for many rows as for few."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.groups import create_group
from core.identity.services.people import create_user
from core.identity.services.projects import create_project
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.kernel import limits


@pytest.fixture
def busy(town):
    """Return a town with some of everything, and somebody who sees all of it."""
    town.user("alma")
    roles = ("access_admin", "project_admin", "auditor", "approver")
    for role in roles:
        assign_role(
            principal=town.system,
            role=role,
            scope_id=GLOBAL_SCOPE_ID,
            user_id=town.users["alma"].pk,
        )
    town.users["alma"].groups.add(town.group("board"))
    fill(town, 3, "a")
    return town


def fill(town, count: int, letter: str) -> None:
    """Make some more of everything that is listed."""
    for number in range(count):
        name = f"{letter}{number}"
        user = create_user(principal=town.system, username=f"u{name}", name=name)
        create_group(principal=town.system, name=f"g{name}")
        create_project(principal=town.system, slug=f"p{name}", title=name)
        assign_role(
            principal=town.system,
            role="viewer",
            scope_id=town.project.scope_id,
            user_id=user.pk,
        )
        create_token(principal=town.system, name=name, user_id=town.users["alma"].pk)
        town.request()


# Every list with the number of queries of one page, whatever is in it. One of them finds the
# token. Who sees everything needs fewer, because no scope narrows what it sees.
LISTS = {
    "users/": (4, 13),
    "groups/": (4, 13),
    "projects/": (4, 5),
    "roles/": (3, 3),
    "assignments/": (4, 11),
    "tokens/": (4, 4),
    "workflows/": (4, 4),
    "runs/": (4, 4),
    "requests/?view=mine": (11, 11),  # two for who may answer questions about failed steps
    "requests/?view=all": (5, 5),
    "requests/?view=decided": (4, 4),
    "ledger/entries/": (4, 3),
}


def _count(caller, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        response = caller.follow(f"/api/v1/{path}")
    assert response.status_code == 200, response.content
    return len(queries)


def test_lists_take_as_many_queries_for_many_rows_as_for_few(busy):
    callers = (busy.as_("alma"), busy.as_("ann"))
    for caller in callers:
        caller.get("me/")  # notes the use of the token, once a minute
    few = {path: tuple(_count(caller, path) for caller in callers) for path in LISTS}

    fill(busy, 5, "b")

    many = {path: tuple(_count(caller, path) for caller in callers) for path in LISTS}
    assert many == few
    assert few == LISTS


def test_one_run_takes_as_many_queries_for_many_entries_as_for_few(busy):
    caller = busy.as_("alma")
    run_id = busy.run()
    caller.get("me/")
    few = _count(caller, f"runs/{run_id}/events/?limit=1")

    assert _count(caller, f"runs/{run_id}/events/") == few


PATHS = ["users/", "groups/", "projects/", "roles/", "assignments/", "workflows/", "runs/"]
PATHS += ["tokens/"]
PATHS += ["requests/?view=all", "ledger/entries/"]


@pytest.mark.parametrize("path", PATHS)
def test_small_pages_put_together_are_the_list(busy, path):
    caller = busy.as_("alma")
    name, _, query = path.partition("?")
    parameters = dict([query.split("=")]) if query else {}
    [everything] = caller.pages(name, limit=limits.PAGE_SIZE_MAX, **parameters)

    pages = list(caller.pages(name, limit=2, **parameters))

    assert [item for page in pages for item in page] == everything
    assert len(everything) > 2
    assert {len(page) for page in pages[:-1]} == {2}


def test_what_appears_between_two_pages_neither_repeats_nor_hides_anything(busy):
    caller = busy.as_("alma")
    fill(busy, 3, "b")
    [before] = caller.pages("runs/", limit=limits.PAGE_SIZE_MAX)
    seen = []

    for page in caller.pages("runs/", limit=2):
        seen += page
        busy.run()  # newer than everything a page showed

    assert [item["id"] for item in seen] == [item["id"] for item in before]


def test_what_disappears_between_two_pages_takes_nothing_else_with_it(busy):
    caller = busy.as_("alma")
    names = [f"u{letter}{number}" for letter in "bc" for number in range(2)]
    for name in names:
        create_user(principal=busy.system, username=name, name=name)
    [before] = caller.pages("users/", limit=limits.PAGE_SIZE_MAX)
    pages = caller.pages("users/", limit=2)
    first = next(pages)

    type(busy.users["mara"]).objects.filter(username=first[-1]["username"]).update(username="zzz")

    rest = [item["username"] for page in pages for item in page]
    assert rest == [*[item["username"] for item in before[2:]], "zzz"]


def test_the_link_keeps_what_the_list_was_narrowed_to(busy):
    caller = busy.as_("alma")
    busy.run(by="mara")

    pages = list(caller.pages("runs/", limit=1, initiator="mara", status="WAITING"))

    assert len(pages) == 4
    assert {item["initiator"] for page in pages for item in page} == {"mara"}


def test_the_cursor_of_one_list_is_refused_by_another(busy, problem):
    caller = busy.as_("alma")
    link = caller.get("runs/", limit=1).json()["next"]
    cursor = link.split("cursor=")[1].split("&")[0]

    response = caller.follow(f"/api/v1/workflows/?cursor={cursor}")

    problem(response, 422, "api.invalid_input")
