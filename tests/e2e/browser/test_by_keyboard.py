"""Keys, focus, and buttons that are pressed too often: nothing irreversible by one key."""

from playwright.sync_api import Page, expect

from tests.e2e.browser.chromium import list_axe_violations
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene


def settle(page: Page) -> None:
    """Wait until whatever was sent has been answered."""
    page.wait_for_load_state("networkidle")


def test_enter_in_a_field_decides_nothing(scene: Scene, seat: Seat):
    request = scene.ask("pair", "Enter in a field")
    for scripts in (True, False):
        page = seat("ada", scripts=scripts).open(f"/inbox/{request}/")
        page.get_by_label("Comment").fill("Half a thought")
        page.get_by_label("Ticket").fill("CHG-3")

        page.get_by_label("Ticket").press("Enter")
        settle(page)

        expect(page.get_by_label("Comment")).to_have_value("Half a thought")
        assert scene.count_votes(request) == 0


def test_a_key_chooses_and_only_another_sends(scene: Scene, seat: Seat):
    request = scene.ask("pair", "One key is not enough")
    page = seat("ada").open(f"/inbox/{request}/")

    page.keyboard.press("Control+Enter")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve")).to_have_attribute("aria-pressed", "true")
    settle(page)
    assert scene.count_votes(request) == 0

    page.keyboard.press("Escape")
    page.keyboard.press("r")
    expect(page.get_by_role("button", name="Reject")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Approve")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("Comment")).to_be_focused()
    page.keyboard.type("are all letters here")
    expect(page.get_by_label("Comment")).to_have_value("are all letters here")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#outcome")).to_contain_text("Rejected by Ada Okafor")


def test_what_was_chosen_stays_chosen_when_the_page_is_asked_for_again(scene: Scene, seat: Seat):
    request = scene.ask("pair", "Chosen before news came")
    page = seat("ada").open(f"/inbox/{request}/")
    page.keyboard.press("a")

    page.evaluate(
        """async () => {
            const portal = document.querySelector("script[type=module]").src;
            await (await import(new URL("page.js", portal))).refresh();
        }"""
    )

    expect(page.get_by_role("button", name="Approve")).to_have_attribute("aria-pressed", "true")


def test_the_answers_to_a_question_have_keys_of_their_own(scene: Scene, seat: Seat):
    run_id = scene.start("asking")
    scene.people["mara"].wait_run(run_id, statuses=("WAITING",))
    request = scene.find_request(run_id)
    page = seat("rex").open(f"/inbox/{request}/")
    assert list_axe_violations(page) == []

    for key, name in (("r", "Retry"), ("f", "Fail"), ("s", "Skip")):
        page.keyboard.press("Escape")
        page.keyboard.press(key)
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    settle(page)
    assert scene.count_votes(request) == 0

    expect(page.get_by_label("Comment")).to_be_focused()
    page.keyboard.type("nobody misses it")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#outcome")).to_contain_text("Skipped by")
    scene.people["mara"].wait_run(run_id, statuses=("CLOSED",))


def test_a_button_that_is_pressed_again_and_again_decides_once(scene: Scene, seat: Seat):
    request = scene.ask("pair", "Pressed in a hurry")
    page = seat("ada").open(f"/inbox/{request}/")

    page.get_by_role("button", name="Approve").evaluate(
        "(button) => { for (let count = 0; count < 5; count++) button.click(); }"
    )

    expect(page.locator(".activity")).to_contain_text("Ada Okafor approved")
    settle(page)
    assert scene.count_votes(request) == 1


def test_places_and_the_list_of_keys_are_reached_by_keys(seat: Seat):
    page = seat("ada").open("/inbox/")

    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    assert list_axe_violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    for key, word in (("r", "Runs"), ("w", "Workflows"), ("i", "Inbox")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_have_text(word)


def test_the_first_stop_of_the_keyboard_skips_to_the_content(scene: Scene, seat: Seat):
    request = scene.ask("single", "Skip to me")
    page = seat("ada").open(f"/inbox/{request}/")
    page.evaluate("document.activeElement?.blur()")

    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page.locator("#main")).to_be_focused()


def test_the_graph_of_a_run_just_started_can_be_zoomed(scene: Scene, seat: Seat):
    page = seat("mara").open("/workflows/demo/single/start/")
    page.get_by_label("Title").fill("Zoomed at once")
    page.get_by_role("button", name="Start").click()
    drawn = page.locator("#graph-svg")
    zoom_in = page.get_by_role("button", name="Zoom in")
    expect(zoom_in).to_be_visible()  # not before its script is there: a press is never lost
    before = drawn.bounding_box()
    assert before is not None

    zoom_in.click()

    after = drawn.bounding_box()
    assert after is not None
    assert after["width"] > before["width"] * 1.2


def test_a_request_that_arrives_while_a_row_has_the_focus_moves_nothing(scene: Scene, seat: Seat):
    scene.ask("single", "Was here before")
    page = seat("ada").open("/inbox/")
    page.keyboard.press("j")
    focused = page.locator("[data-row] a:focus")
    address = focused.get_attribute("href")

    scene.ask("pair", "Arrives on top")

    news = page.locator("#feed-news")
    expect(news).to_be_visible()
    expect(focused).to_have_attribute("href", address or "")
    expect(page.get_by_text("Arrives on top")).to_have_count(0)
    news.click()
    expect(page.get_by_text("Arrives on top")).to_be_visible()
