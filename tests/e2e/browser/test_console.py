"""The administrator's console in a real browser: the same judgement as every other page."""

import pytest

from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.test_pages import inspect

TABLES = (
    "identity/user",
    "auth/group",
    "identity/project",
    "identity/role",
    "identity/roleassignment",
    "identity/apitoken",
)


def test_the_front_page_of_the_console(seat: Seat):
    inspect(seat, "admin", "/admin/")


@pytest.mark.parametrize("table", TABLES)
def test_a_list_of_the_console_and_a_row_of_it(seat: Seat, table: str):
    page = inspect(seat, "admin", f"/admin/{table}/")
    row = page.locator("#result_list tbody th a").first
    if row.count():
        inspect(seat, "admin", row.get_attribute("href") or "")


def test_a_list_of_the_console_filtered_to_nothing(seat: Seat):
    inspect(seat, "admin", "/admin/identity/user/?q=nobody-at-all")


@pytest.mark.parametrize("table", ["identity/user", "identity/roleassignment", "identity/apitoken"])
def test_a_form_of_the_console(seat: Seat, table: str):
    inspect(seat, "admin", f"/admin/{table}/add/")


def test_the_console_is_closed_to_who_decides(seat: Seat):
    inspect(seat, "ada", "/admin/", expect=("status of 403",))
