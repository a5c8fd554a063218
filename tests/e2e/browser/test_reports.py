"""Compliance reports on a screen and on paper."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.e2e.browser.chromium import PHONE
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene
from tests.e2e.browser.test_pages import inspect

_A4 = (595, 842)  # points


@pytest.fixture(scope="module")
def period(scene: Scene) -> str:
    """Return the address of today's report, after some decisions and a run that failed."""
    mara = scene.people["mara"]
    for number in range(3):
        request = scene.ask("single", f"Give Lin access to archive {number}")
        scene.decide("ada", request, "approve", comment="As agreed.")
    scene.decide("noor", scene.ask("single", "Give all to all"), "reject", comment="No.")
    mara.wait_run(scene.start("broken"), statuses=("CLOSED",))
    today = datetime.now(UTC).date()
    return f"/ledger/report/?since={today - timedelta(days=6)}&until={today + timedelta(days=1)}"


@pytest.mark.parametrize("query", ["", "?since=2031-01-01&until=2031-02-01", "?since=nonsense"])
def test_asking_for_a_report(seat: Seat, query: str):
    expect_error = ("status of 422",) if query else ()
    inspect(seat, "aud", f"/ledger/report/{query}", expect=expect_error)


def test_who_may_report_on_nothing_is_told(seat: Seat):
    page = seat("mara").open("/ledger/report/")

    expect(page.get_by_text("There is nothing you may report on")).to_be_visible()


def test_a_report_in_all_sizes_and_themes(seat: Seat, period: str):
    page = inspect(seat, "aud", period)

    expect(page.get_by_role("heading", name="Compliance report")).to_be_visible()
    expect(page.get_by_text("The record of this period holds")).to_be_visible()


def test_from_a_preset_to_a_figure_to_the_entries_behind_it(seat: Seat, period: str):
    page = seat("aud").open("/ledger/report/")

    page.get_by_role("link", name="Last 30 days").click()
    expect(page.get_by_role("img", name=re.compile("^Approvals per day: "))).to_be_visible()
    page.get_by_text("Show as table").first.click()
    expect(page.get_by_role("columnheader", name="Approved").first).to_be_visible()
    page.locator(".figures a").first.click()

    expect(page).to_have_url(re.compile(r"/ledger/\?kind=run\.started"))
    expect(page.locator("tr[data-row]").first).to_be_visible()


def test_making_one_is_on_record(seat: Seat, period: str):
    page = seat("aud").open(period)
    digest = page.locator("dd.hash").first.inner_text()

    page.locator("#seal-title ~ *, .written").last.click()

    expect(page.get_by_text(digest).first).to_be_visible()


def test_on_paper_it_is_a4_without_the_frame_and_heads_are_repeated(seat: Seat, period: str):
    browsing = seat("aud")
    page = browsing.open(f"{period}")

    # Long enough that every page of the paper begins inside the table.
    page.locator(".t-starters tbody, .t-deciders tbody").first.evaluate(
        "(body) => { const row = body.rows[0];"
        " for (let n = 0; n < 120; n++) body.append(row.cloneNode(true)); }"
    )
    pdf = page.pdf(prefer_css_page_size=True)
    page.emulate_media(media="print")

    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert {(round(float(w)), round(float(h))) for w, h in boxes} == {_A4}
    assert len(boxes) >= 4
    for hidden in (".side", ".topbar", ".bottom-bar", ".screen-only", ".as-table"):
        assert page.locator(hidden).count()
        assert not page.locator(hidden).first.is_visible(), hidden
    style = "(node, name) => getComputedStyle(node)[name]"
    table = page.locator(".report table.table").first
    assert table.locator("thead").evaluate(style, "display") == "table-header-group"
    assert table.locator("tbody tr").first.evaluate(style, "breakInside") == "avoid"
    assert page.locator(".chart svg").first.is_visible()
    assert page.locator("body").evaluate(style, "backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("h1").evaluate(style, "color") == "rgb(0, 0, 0)"


def test_on_paper_the_dark_theme_is_black_on_white_too(seat: Seat, period: str):
    browsing = seat("aud", size=PHONE)
    browsing.page.emulate_media(color_scheme="dark", media="print")
    page = browsing.open(period)

    style = "(node, name) => getComputedStyle(node)[name]"
    assert page.locator("h1").evaluate(style, "color") == "rgb(0, 0, 0)"
    assert page.locator(".card").first.evaluate(style, "backgroundColor") == "rgb(255, 255, 255)"
