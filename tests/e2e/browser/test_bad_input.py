"""What goes wrong while somebody decides: races, changes, lost connections and lost sessions.

In every case: it is said in place, nothing typed is lost, and what counts is recorded once.
"""

from playwright.sync_api import Page, WebSocketRoute, expect

from examples.demo.cast import PASSWORD
from tests.e2e.browser.chromium import PHONE, list_axe_violations
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene

TYPED = "I called the bank <b>twice</b> & wrote it down"


def write(page: Page, *, ticket: str = "") -> None:
    """Type into the decision bar."""
    page.get_by_label("Comment").fill(TYPED)
    if ticket:
        page.get_by_label("Ticket").fill(ticket)


def press(page: Page, word: str) -> None:
    """Send a decision."""
    page.get_by_role("button", name=word, exact=False).click()


def expect_typed(page: Page) -> None:
    expect(page.get_by_label("Comment")).to_have_value(TYPED)


def silence(page: Page) -> None:
    """Let no signal reach a page, so that it stays as it was."""
    page.route_web_socket("**/ws/", lambda socket: socket.close())


def test_what_is_missing_is_said_at_its_field_and_has_the_focus(scene: Scene, seat: Seat):
    request = scene.ask("single", "Missing reason")
    ada = seat("ada")
    ada.expect("status of 422")
    page = ada.open(f"/inbox/{request}/")

    press(page, "Reject")

    expect(page.locator("#problem")).to_be_focused()
    expect(page.locator("#problem")).to_contain_text("Nothing was recorded yet")
    expect(page.get_by_label("Comment")).to_have_attribute("aria-invalid", "true")
    assert list_axe_violations(page) == []
    page.get_by_label("Comment").fill("No longer needed.")
    press(page, "Reject")
    expect(page.locator("#outcome")).to_contain_text("Rejected by Ada Okafor")
    assert scene.count_votes(request) == 1


def test_somebody_else_was_faster(scene: Scene, seat: Seat):
    request = scene.ask("single", "A race for the archive")
    ada = seat("ada")
    silence(ada.page)
    ada.expect("status of 409", "WebSocket")
    page = ada.page
    page.goto(f"{ada.url}/inbox/{request}/")
    write(page)
    scene.decide("noor", request, "reject", comment="Not now.")

    press(page, "Approve")

    expect(page.locator("#problem")).to_contain_text("Your decision was not recorded")
    expect(page.locator("#problem blockquote")).to_have_text(TYPED)
    expect(page.locator("#outcome")).to_contain_text("Rejected by Noor Haddad")
    assert list_axe_violations(page) == []
    assert scene.count_votes(request) == 1


def test_what_changed_meanwhile_is_shown_before_it_counts(scene: Scene, seat: Seat):
    request = scene.ask("pair", "Pay the second half")
    ada = seat("ada")
    silence(ada.page)
    ada.expect("status of 412", "WebSocket")
    page = ada.page
    page.goto(f"{ada.url}/inbox/{request}/")
    write(page)
    scene.decide("noor", request, "approve", form={"ticket": "NOOR-9"})

    press(page, "Approve")

    expect(page.locator("#problem")).to_be_focused()
    expect(page.locator("#problem")).to_contain_text("Your decision was not recorded")
    expect(page.locator("#problem .changes")).to_contain_text("NOOR-9")
    expect_typed(page)
    assert list_axe_violations(page) == []
    assert scene.count_votes(request) == 1
    press(page, "Approve")
    expect(page.locator("#outcome")).to_contain_text("Approved")
    assert scene.count_votes(request) == 2


def test_a_change_while_writing_is_announced_and_leaves_the_text_alone(scene: Scene, seat: Seat):
    request = scene.ask("pair", "Pay while somebody writes")
    page = seat("ada").open(f"/inbox/{request}/")
    write(page)
    page.get_by_label("Comment").press("End")

    scene.decide("noor", request, "approve", form={"ticket": "NOOR-10"})

    expect(page.get_by_text("This changed while you were writing")).to_be_visible()
    expect(page.get_by_label("Comment")).to_be_focused()
    expect_typed(page)
    page.get_by_role("link", name="View changes").click()
    expect(page.get_by_text("NOOR-10").first).to_be_visible()
    expect_typed(page)
    press(page, "Approve")
    expect(page.locator("#outcome")).to_contain_text("Approved")


def test_a_connection_lost_while_sending_loses_nothing_and_doubles_nothing(
    scene: Scene, seat: Seat
):
    request = scene.ask("single", "Send it over a bad line")
    ada = seat("ada")
    ada.expect("ERR_INTERNET_DISCONNECTED", "WebSocket")
    page = ada.open(f"/inbox/{request}/")
    write(page)
    ada.context.set_offline(True)

    press(page, "Approve")

    expect(page.get_by_text("The connection was lost")).to_be_visible()
    expect(page.get_by_text("It is not known whether this was recorded")).to_be_visible()
    expect_typed(page)
    ada.context.set_offline(False)
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_text("Not recorded so far")).to_be_visible()
    expect_typed(page)
    press(page, "Approve")
    expect(page.locator("#outcome")).to_contain_text("Approved by Ada Okafor")
    assert scene.count_votes(request) == 1


def test_an_answer_lost_on_its_way_back_is_found_on_record(scene: Scene, seat: Seat):
    request = scene.ask("single", "Answer lost")
    ada = seat("ada")
    silence(ada.page)
    ada.expect("ERR_FAILED", "WebSocket")
    page = ada.page
    page.goto(f"{ada.url}/inbox/{request}/")
    write(page)

    def deliver_but_lose_the_answer(route):
        if route.request.method == "POST":
            route.fetch(max_redirects=0)
            route.abort()
        else:
            route.continue_()

    page.route(f"**/inbox/{request}/", deliver_but_lose_the_answer)
    press(page, "Approve")

    expect(page.get_by_text("It is not known whether this was recorded")).to_be_visible()
    page.get_by_role("button", name="Look again").click()
    expect(page.locator("#outcome")).to_contain_text("Approved by Ada Okafor")
    assert scene.count_votes(request) == 1


def test_a_session_that_ended_keeps_what_was_typed_until_signed_in_again(scene: Scene, seat: Seat):
    for scripts in (True, False):
        request = scene.ask("pair", f"Session lost, scripts {scripts}")
        ada = seat("ada", scripts=scripts)
        ada.expect("status of 401", "status of 422", "WebSocket")
        page = ada.page
        page.goto(f"{ada.url}/inbox/{request}/")
        write(page, ticket="CHG-5")
        ada.context.clear_cookies(name=ada.session_cookie)

        press(page, "Approve")

        expect(page.get_by_text("You were signed out")).to_be_visible()
        assert scene.count_votes(request) == 0
        ada.sign_in("ada", "wrong, at first")
        expect(page.get_by_text("That did not work")).to_be_visible()
        ada.sign_in("ada", PASSWORD)
        expect(page.get_by_text("What you typed is back")).to_be_visible()
        expect_typed(page)
        expect(page.get_by_label("Ticket")).to_have_value("CHG-5")
        assert scene.count_votes(request) == 0
        press(page, "Approve")
        expect(page.locator(".activity")).to_contain_text(TYPED)
        assert scene.count_votes(request) == 1


def test_a_socket_that_is_lost_is_said_and_the_page_catches_up(scene: Scene, seat: Seat):
    request = scene.ask("single", "Seen late")
    page = seat("mara").page
    sockets: list[WebSocketRoute] = []

    def connect(socket):
        if is_cut:
            socket.close()
        else:
            sockets.append(socket)
            socket.connect_to_server()

    is_cut = False
    page.route_web_socket("**/ws/", connect)
    page.goto(f"{scene.system.url}/inbox/{request}/")
    mark = page.locator("#live")
    expect(mark).to_have_text("Live")

    is_cut = True
    sockets[0].close()
    expect(mark).to_have_text("Reconnecting")
    scene.decide("noor", request, "approve")
    is_cut = False

    expect(mark).to_have_text("Live")
    expect(page.locator("#outcome")).to_contain_text("Approved by Noor Haddad")


def test_signing_out_elsewhere_is_said_and_leaves_the_text_alone(scene: Scene, seat: Seat):
    request = scene.ask("single", "Signed out in another tab")
    ada = seat()
    ada.expect("status of 401")
    page = ada.page
    page.goto(f"{ada.url}/sign-in/?next=/inbox/{request}/")
    ada.sign_in("ada", PASSWORD)
    expect(page.locator("#live")).to_have_text("Live")
    write(page)

    other = ada.context.new_page()
    other.goto(f"{ada.url}/sign-out/")
    other.get_by_role("button", name="Sign out").click()
    other.get_by_role("heading", name="Sign in").wait_for()

    expect(page.locator("#live")).to_contain_text("Not live")
    expect_typed(page)
    press(page, "Approve")
    expect(page.get_by_text("You were signed out")).to_be_visible()
    assert scene.count_votes(request) == 0


def test_a_draft_is_there_again_after_looking_at_another_request(scene: Scene, seat: Seat):
    first = scene.ask("single", "The one with the draft")
    scene.ask("single", "The one beside it")
    page = seat("ada").open(f"/inbox/{first}/")
    write(page)

    page.locator("[data-row]", has_text="The one beside it").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The one beside it")
    expect(page.get_by_label("Comment")).to_have_value("")
    page.locator("[data-row]", has_text="The one with the draft").get_by_role("link").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("The one with the draft")
    expect_typed(page)


def test_the_first_tap_on_a_phone_never_sends(scene: Scene, seat: Seat):
    request = scene.ask("single", "Tapped by mistake")
    page = seat("ada", size=PHONE).open(f"/inbox/{request}/")

    page.get_by_role("button", name="Approve").tap()

    expect(page.get_by_label("Comment")).to_be_visible()
    assert scene.count_votes(request) == 0
    page.get_by_role("button", name="Reject").tap()
    expect(page.get_by_label("Comment")).to_be_focused()
    assert scene.count_votes(request) == 0
