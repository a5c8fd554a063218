"""Every page, in both themes, on a desktop and on a phone. Read `inspect` first.

Nothing that axe finds, nothing the policy refuses, no error, no other host, and no sideways scroll
down to 320 px. What is wrong in the console or on the network is judged by `seat`, at the end.
"""

from dataclasses import dataclass

import pytest
from playwright.sync_api import Page

from tests.e2e.browser.chromium import DESKTOP, PHONE, list_axe_violations, list_sideways
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene

LONG_TITLE = "Release the monthly reports of every branch to the auditors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Addresses of things in every state."""

    open_request: str
    decided_request: str
    waiting_run: str
    done_run: str
    failed_run: str


@pytest.fixture(scope="module")
def places(scene: Scene) -> Places:
    """Return one thing of each state; several more stand beside it in the lists."""
    mara = scene.people["mara"]
    failed = scene.start("broken")
    decided = scene.ask("single", "Give Lin access to the archive")
    scene.decide("ada", decided, "approve", comment="As agreed.")
    rejected = scene.ask("single", "Give everybody access to everything")
    scene.decide("noor", rejected, "reject", comment="Nobody needs that.")
    waiting = scene.start("pair", title=LONG_TITLE)
    mara.wait_run(waiting, statuses=("WAITING",))
    mara.wait_run(failed, statuses=("CLOSED",))
    done = mara.get_request(decided)["run_id"]
    mara.wait_run(done, statuses=("CLOSED",))
    return Places(
        open_request=f"/inbox/{scene.find_request(waiting)}/",
        decided_request=f"/inbox/{decided}/",
        waiting_run=f"/runs/{waiting}/",
        done_run=f"/runs/{done}/",
        failed_run=f"/runs/{failed}/",
    )


def inspect(seat: Seat, username: str, path: str, *, expect: tuple[str, ...] = ()) -> Page:
    """Judge a page in its four variants; returns it as the phone shows it in the dark."""
    browsing = seat(username)
    browsing.expect(*expect)
    found: dict[str, list[str]] = {}
    for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
        browsing.page.set_viewport_size({"width": size[0], "height": size[1]})
        browsing.page.emulate_media(color_scheme="light")
        page = browsing.open(path)
        found[f"{name}, light"] = list_axe_violations(page)
        page.emulate_media(color_scheme="dark")
        # Themes differ in colors only; everything else has just been judged.
        found[f"{name}, dark"] = list_axe_violations(page, rules=["color-contrast"])
        found[f"{name}, width"] = list_sideways(page)
    browsing.page.set_viewport_size({"width": 320, "height": 640})
    found["320 px"] = list_sideways(browsing.page)
    assert {key: value for key, value in found.items() if value} == {}
    return browsing.page


def test_the_sign_in_page(seat: Seat):
    inspect(seat, "", "/sign-in/")


def test_the_sign_in_page_in_place_of_another(seat: Seat):
    inspect(seat, "", "/runs/", expect=("status of 401",))


def test_the_sign_out_page(seat: Seat):
    inspect(seat, "mara", "/sign-out/")


@pytest.mark.parametrize(
    ("username", "path"),
    [
        ("aud", "/inbox/"),
        ("ada", "/inbox/"),
        ("mara", "/inbox/?view=others"),
        ("ada", "/inbox/?view=decided"),
        ("ada", "/inbox/?kind=payment&risk=high"),
        ("ada", "/inbox/?workflow=nothing-like-it"),
    ],
    ids=["empty", "with rows", "others", "decided", "filtered", "filtered to nothing"],
)
@pytest.mark.usefixtures("places")
def test_the_inbox(seat: Seat, username: str, path: str):
    inspect(seat, username, path)


@pytest.mark.parametrize(
    ("username", "which"),
    [("ada", "open_request"), ("mara", "open_request"), ("ada", "decided_request")],
    ids=["may decide", "may not decide", "decided"],
)
def test_one_approval(seat: Seat, places: Places, username: str, which: str):
    inspect(seat, username, getattr(places, which))


def test_the_decision_bar_with_its_fields_open_on_a_phone(seat: Seat, places: Places):
    browsing = seat("ada", size=PHONE)
    page = browsing.open(places.open_request)

    page.get_by_role("button", name="Reject").click()

    assert page.get_by_label("Comment").is_visible()
    assert list_axe_violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert list_sideways(page) == []


def test_the_secrets_of_a_project(seat: Seat):
    browsing = seat("admin")
    page = browsing.open("/projects/demo/secrets/")
    page.get_by_label("Name").fill("DEPLOY_TOKEN")
    page.get_by_label("Value").fill("correct-horse-battery")
    page.get_by_label("What it is for").fill("Deploys releases")
    page.get_by_role("button", name="Set the secret").click()
    page.get_by_text("Deploys releases").wait_for()
    assert "correct-horse" not in page.content()

    inspect(seat, "admin", "/projects/demo/secrets/")
    inspect(seat, "admin", "/projects/demo/secrets/DEPLOY_TOKEN/delete/")


@pytest.mark.parametrize(
    "query",
    ["", "?mine=1", "?state=waiting&workflow=pair", "?initiator=nobody-at-all", "?state=nonsense"],
    ids=["all", "mine", "filtered", "filtered to nothing", "nonsense"],
)
@pytest.mark.usefixtures("places")
def test_the_list_of_runs(seat: Seat, query: str):
    inspect(seat, "mara", f"/runs/{query}")


@pytest.mark.parametrize(
    ("which", "query"),
    [
        ("waiting_run", ""),
        ("waiting_run", "?tab=events"),
        ("waiting_run", "?tab=data"),
        ("done_run", ""),
        ("done_run", "?tab=data"),
        ("failed_run", ""),
    ],
)
def test_one_run(seat: Seat, places: Places, which: str, query: str):
    inspect(seat, "mara", f"{getattr(places, which)}{query}")


@pytest.mark.parametrize("verb", ["pause", "resume", "send", "steps/gate%231/skip"])
def test_asking_for_the_reason_of_what_an_operator_does(seat: Seat, places: Places, verb: str):
    inspect(seat, "rex", f"{places.waiting_run}{verb}/")


def test_running_a_run_again_with_other_inputs(seat: Seat, places: Places):
    page = inspect(seat, "rex", f"{places.done_run}again/")

    page.get_by_text("With other inputs, or another version").click()
    page.get_by_label("Inputs").fill('{"title": "Give Lin access to nothing"}')
    page.get_by_role("button", name="Show what it does").click()

    page.get_by_text("Inputs that differ: title").wait_for()
    assert list_axe_violations(page) == []
    assert list_sideways(page) == []


def test_the_run_page_of_who_operates_runs(seat: Seat, places: Places):
    inspect(seat, "rex", places.waiting_run)


@pytest.mark.parametrize(
    "path", ["/projects/demo/", "/projects/demo/pause/", "/workflows/demo/pair/pause/"]
)
@pytest.mark.usefixtures("scene")
def test_a_project_and_what_pauses_it(seat: Seat, path: str):
    inspect(seat, "rex", path)


def test_asking_for_the_reason_of_a_cancellation(seat: Seat, places: Places):
    inspect(seat, "rex", f"{places.waiting_run}cancel/")


@pytest.mark.parametrize(
    "path",
    [
        "/workflows/",
        "/workflows/demo/release/",
        "/workflows/demo/release/versions/1/",
        "/workflows/demo/release/start/",
        "/workflows/demo/pair/start/",
    ],
)
@pytest.mark.usefixtures("places")
def test_the_pages_of_workflows(seat: Seat, path: str):
    inspect(seat, "mara", path)


@pytest.mark.parametrize("username", ["", "mara"])
def test_the_page_of_an_address_that_leads_nowhere(seat: Seat, username: str):
    inspect(seat, username, "/not/here/", expect=("status of 404",))


def test_the_page_of_what_somebody_may_not_start(seat: Seat, places: Places):
    inspect(seat, "ada", "/workflows/demo/single/start/", expect=("status of 403",))


def test_the_page_of_what_somebody_may_not_do(seat: Seat, places: Places):
    browsing = seat("ada")
    browsing.expect("status of 403")
    page = browsing.open("/workflows/demo/single/versions/1/")

    # Nothing offers it; somebody could still send it.
    page.evaluate(
        """() => { const form = document.querySelector(".theme-form").cloneNode(true);
          form.action = location.pathname; document.body.append(form); form.submit(); }"""
    )

    page.get_by_role("heading", name="You may not do this").wait_for()
    assert list_axe_violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert list_sideways(page) == []


def test_the_theme_that_was_chosen_comes_with_the_page(seat: Seat):
    page = seat("mara").open("/inbox/")
    assert page.locator("html").get_attribute("data-theme") is None

    page.get_by_role("button", name="Theme").click()
    page.locator("html[data-theme=light]").wait_for(state="attached")
    page.get_by_role("button", name="Theme").click()
    page.locator("html[data-theme=dark]").wait_for(state="attached")

    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
