"""The portal in a browser that runs no scripts: the same job, done by forms and links alone."""

import re

import pytest
from playwright.sync_api import expect

from examples.demo.cast import PASSWORD
from tests.e2e.browser.chromium import DESKTOP, PHONE
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene
from tests.processes import eventually


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_run_is_started_decided_and_done(scene: Scene, seat: Seat, size: tuple[int, int]):
    title = f"By hand at {size[0]} px"
    mara = seat(size=size, scripts=False)
    mara.expect("status of 401", "status of 422")
    mara.open("/workflows/demo/pair/start/")
    mara.sign_in("mara", PASSWORD)
    run = mara.page
    run.get_by_role("button", name="Start").click()
    expect(run.get_by_text("This is needed.")).to_be_visible()
    run.get_by_label("Title").fill(title)
    run.get_by_role("button", name="Start").click()
    expect(run).to_have_url(re.compile("/runs/"))
    run_id = run.url.rstrip("/").rpartition("/")[2]
    scene.people["mara"].wait_run(run_id, statuses=("WAITING",))

    for name in ("ada", "noor"):
        page = seat(name, size=size, scripts=False).open("/inbox/")
        page.get_by_role("link", name=title).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        if name == "ada":
            page.get_by_label("Ticket").fill("CHG-1")
        page.get_by_label("Comment").fill(f"Read by {name}.")
        page.get_by_role("button", name="Approve").click()
        expect(page.locator(".activity")).to_contain_text(f"Read by {name}.")

    scene.people["mara"].wait_run(run_id, statuses=("CLOSED",))
    run.reload()
    expect(run.locator("#summary")).to_contain_text("Succeeded")


def test_what_is_missing_comes_back_with_what_was_typed(scene: Scene, seat: Seat):
    request = scene.ask("pair", "Rejected by hand")
    ada = seat("ada", scripts=False)
    ada.expect("status of 422")
    page = ada.open(f"/inbox/{request}/")
    page.get_by_label("Ticket").fill("CHG-2")

    page.get_by_role("button", name="Reject").click()

    expect(page.locator("#problem")).to_contain_text("Nothing was recorded yet")
    expect(page.get_by_label("Ticket")).to_have_value("CHG-2")
    page.get_by_label("Comment").fill("Not this month.")
    page.get_by_role("button", name="Reject").click()
    expect(page.locator("#outcome")).to_contain_text("Rejected by Ada Okafor")


def test_an_operator_cancels_a_run_with_a_reason(scene: Scene, seat: Seat):
    run_id = scene.start("single", title="Called off")
    scene.people["mara"].wait_run(run_id, statuses=("WAITING",))
    rex = seat("rex", scripts=False)
    rex.expect("status of 422")
    page = rex.open(f"/runs/{run_id}/")

    page.get_by_role("link", name="Cancel run").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("Say why, for whoever reads the record.")).to_be_visible()
    page.get_by_label("Reason").fill("Nobody needs it any more.")
    page.get_by_role("button", name="Cancel the run").click()

    eventually(lambda: scene.people["mara"].get_run(run_id)["status"] == "CLOSED")
    page.reload()
    expect(page.locator("#summary")).to_contain_text("Cancelled")
