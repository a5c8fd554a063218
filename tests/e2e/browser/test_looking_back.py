"""Looking back at a run in a real browser."""

import re

from playwright.sync_api import expect

from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene
from tests.e2e.browser.test_pages import inspect


def test_from_now_to_the_past_and_back(seat: Seat, scene: Scene):
    request = scene.ask("single", "Look back at this")
    run_id = scene.people["mara"].get_request(request)["run_id"]
    scene.decide("ada", request, "approve", comment="As agreed.")
    scene.people["mara"].wait_run(run_id, statuses=("CLOSED",))
    page = seat("mara").open(f"/runs/{run_id}/")

    page.get_by_role("link", name="Look back").click()
    expect(page.get_by_text(re.compile("This is the past: after entry"))).to_be_visible()
    expect(page.locator("#summary")).to_contain_text("Succeeded")
    slider = page.get_by_role("slider", name="Entry")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("This is the past: after entry 1 of")).to_be_visible()
    expect(page.locator("#summary")).to_contain_text("0 of 1 done")
    page.get_by_role("link", name="Entry after").click()
    expect(page.get_by_text("This is the past: after entry 2 of")).to_be_visible()
    page.get_by_role("link", name="Back to now").click()

    expect(page.get_by_text("This is the past")).to_have_count(0)
    expect(page.locator("#summary")).to_contain_text("Succeeded")


def test_the_past_in_all_sizes_and_themes(seat: Seat, scene: Scene):
    run_id = scene.start("pair", title="A run that waits for two people and is looked back at")
    scene.people["mara"].wait_run(run_id, statuses=("WAITING",))

    inspect(seat, "mara", f"/runs/{run_id}/?at=2")
