"""The main job in browsers, by people: ask, hear of it, may not, decide, and see it go on."""

import pytest
from playwright.sync_api import Page, expect

from examples.demo.cast import PASSWORD
from tests.e2e.browser.chromium import DESKTOP, PHONE, Browsing
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene

SLOW_MS = 180_000  # tests, a scan and a build run before anybody is asked


def start_release(browsing: Browsing, *, version: str) -> Page:
    """Start a release to staging from the list of workflows; returns the run's page."""
    page = browsing.open("/workflows/")
    page.get_by_role("link", name="Start… release").click()
    page.get_by_label("Version").fill(version)
    page.get_by_label("Env").select_option(label="staging")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        f"Release tidyhours {version} to staging"
    )
    return page


def approve_by_keyboard(page: Page, title: str) -> None:
    """Find the row, open it, choose, fill in, tick and send, without touching the mouse."""
    for _ in range(40):
        page.keyboard.press("j")
        if title in page.locator("[data-row]:focus-within").inner_text():
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=title)).to_be_focused()
    page.keyboard.press("a")
    expect(page.get_by_label("Change ticket")).to_be_focused()
    page.keyboard.type("CHG-77")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_label("I have read what the scan found")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")


def approve_by_tapping(page: Page, title: str) -> None:
    """Open the row, tap once for the fields, and once more to send."""
    page.get_by_role("link", name=title).tap()
    approve = page.get_by_role("button", name="Approve")
    expect(approve).to_be_visible()
    expect(page.get_by_label("Change ticket")).to_be_hidden()
    approve.tap()
    expect(page.get_by_label("Change ticket")).to_be_visible()
    page.get_by_label("Change ticket").fill("CHG-78")
    page.get_by_label("I have read what the scan found").check()
    approve.tap()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_release_is_asked_for_decided_and_done(scene: Scene, seat: Seat, size: tuple[int, int]):
    version = f"1.{size[0]}.0"
    title = f"Release tidyhours {version} to staging"
    ada = seat("ada", size=size)
    inbox = ada.open("/inbox/")
    mara = seat(size=size)
    mara.expect("status of 401")  # what she asked for needs a session
    mara.open("/workflows/")
    mara.sign_in("mara", PASSWORD)
    expect(mara.page.get_by_role("heading", level=1)).to_have_text("Workflows")

    run = start_release(mara, version=version)
    expect(inbox.locator("[data-row]", has_text=title)).to_be_visible(timeout=SLOW_MS)
    expect(run.locator("#summary")).to_contain_text("Waiting", timeout=SLOW_MS)

    run.get_by_role("link", name="Open the request").click()
    expect(run.get_by_role("heading", level=1)).to_have_text(title)
    expect(run.get_by_text("You may not decide this")).to_be_visible()
    expect(run.locator("#why-not")).to_contain_text("who asks may not decide")
    expect(run.get_by_role("button", name="Approve")).to_have_count(0)
    run.go_back()
    expect(run.locator("#summary")).to_be_visible()

    if size == DESKTOP:
        approve_by_keyboard(inbox, title)
    else:
        approve_by_tapping(inbox, title)

    expect(inbox.locator("#outcome")).to_contain_text("Approved by Ada Okafor")
    expect(run.locator("#summary")).to_contain_text("Succeeded", timeout=SLOW_MS)
