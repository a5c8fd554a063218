"""The ledger in a real browser: found, read, and verified there, whatever the server says."""

import html
import re
from collections.abc import Callable
from hashlib import sha256

import pytest
from playwright.sync_api import Page, Route, expect

from audit.domain.notes import SigningKey
from tests.e2e.browser.chromium import DESKTOP, PHONE, list_axe_violations
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene
from tests.e2e.browser.test_pages import inspect

COMMENT = "Agreed with the archive"


@pytest.fixture(scope="module")
def decided(scene: Scene) -> str:
    """Return the id of a request that Ada has approved."""
    request = scene.ask("single", "Give Lin access to the ledger's archive")
    scene.decide("ada", request, "approve", comment=COMMENT)
    return request


@pytest.fixture
def entry_path(seat: Seat, decided: str) -> str:
    """Return the address of the entry of that decision, once it is sealed."""
    page = seat("aud").open(f"/ledger/?subject=request:{decided}&kind=vote.cast")
    link = page.get_by_role("link", name="decided: approve")
    path = link.get_attribute("href")
    assert path is not None
    page.goto(page.url.partition("/ledger/")[0] + path)
    # Sealing takes a moment; the page looks again by itself.
    page.locator("#proof").wait_for()
    return path


def verify(page: Page) -> dict[str, str]:
    """Press the button; return what became of each check."""
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.locator("#verify-note")).to_be_visible()
    return {
        name: page.locator(f"#check-{name}").get_attribute("data-state") or ""
        for name in ("bytes", "path", "signature", "values")
    }


def trust(page: Page, line: str) -> None:
    """Paste a key as somebody who got it elsewhere."""
    if page.locator("#trust:not([open])").count():
        page.locator("#trust > summary").click()
    page.get_by_label("A key from somebody you trust").fill(line)
    page.get_by_role("button", name="Trust this key").click()
    expect(page.locator("#trust-state")).to_contain_text("pasted here on")


def key_of(page: Page) -> str:
    """Return the log's key as its operator would hand it out."""
    keys: list[str] = page.evaluate(
        "() => JSON.parse(document.getElementById('proof-data').textContent).keys"
    )
    return keys[0]


def change_answer(page: Page, path: str, change: Callable[[str], str]) -> None:
    """Let the server lie about one page."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=change(response.text()))

    page.route(f"**{path}", answer)


def test_an_entry_is_searched_for_found_and_verified(seat: Seat, decided: str, entry_path: str):
    page = seat("aud").open("/ledger/")
    page.get_by_label("Who").fill("ada")
    page.get_by_label("What").select_option("vote.cast")
    page.get_by_label("About").fill(decided)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="decided: approve").click()
    page.wait_for_url(f"**{entry_path}")

    before = verify(page)
    said_before = page.locator("#verify-note").inner_text()
    trust(page, key_of(page))
    expect(page.locator("#verify[data-result=approved]")).to_be_attached()
    after = verify(page)

    assert before == {"bytes": "held", "path": "held", "signature": "open", "values": "held"}
    assert "who signed that was not checked" in said_before
    assert set(after.values()) == {"held"}
    assert "pasted here" in page.locator("#check-signature").inner_text()
    assert COMMENT in page.locator("main").inner_text()


def test_a_key_is_remembered_only_on_asking_and_never_called_trusted_by_the_server(
    seat: Seat, entry_path: str
):
    browsing = seat("aud")
    page = browsing.open(entry_path)

    verify(page)
    assert page.evaluate("() => localStorage.getItem('ledger-key')") is None
    page.get_by_role("button", name="Remember the one this server names").click()

    expect(page.locator("#verify-note")).to_contain_text("Only this server named that key")
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator("#trust-state")).to_contain_text("None yet")
    assert page.evaluate("() => localStorage.getItem('ledger-key')") is None


def test_changed_bytes_are_named_as_such(seat: Seat, entry_path: str):
    browsing = seat("aud")
    page = browsing.page
    change_answer(page, entry_path, lambda text: text.replace("approve", "reject"))
    browsing.open(entry_path)

    found = verify(page)

    assert found == {
        "bytes": "failed",
        "path": "pending",
        "signature": "pending",
        "values": "pending",
    }
    said = page.locator("#verify-note").inner_text()
    assert "This does not verify" in said
    assert re.search(r"The hash of these bytes: expected [0-9a-f]{64}, found [0-9a-f]{64}", said)
    assert list_axe_violations(page) == []


def test_changed_bytes_with_a_fitting_leaf_do_not_lead_to_the_root(seat: Seat, entry_path: str):
    browsing = seat("aud")
    page = browsing.page

    def lie(text: str) -> str:
        match = re.search(r'(?s)id="body-text"[^>]*>(.*?)</pre>', text)
        assert match
        body = html.unescape(re.sub("</?b>", "", match[1])).replace("approve", "reject")
        leaf = sha256(b"\x00" + body.encode()).hexdigest()
        return re.sub(
            r'(id="leaf">)[0-9a-f]{64}', rf"\g<1>{leaf}", text.replace("approve", "reject")
        )

    change_answer(page, entry_path, lie)
    browsing.open(entry_path)

    found = verify(page)

    assert (found["bytes"], found["path"], found["signature"]) == ("held", "failed", "pending")
    assert "The root the path leads to" in page.locator("#verify-note").inner_text()


def test_a_page_that_says_other_than_the_bytes_is_named(seat: Seat, entry_path: str):
    browsing = seat("aud")
    page = browsing.page
    change_answer(
        page,
        entry_path,
        lambda text: text.replace('data-field="seq">', 'data-field="seq">1'),
    )
    browsing.open(entry_path)

    verify(page)

    assert "What the page says of “seq”" in page.locator("#verify-note").inner_text()


def test_a_changed_value_does_not_open_the_commitment(seat: Seat, entry_path: str):
    browsing = seat("aud")
    page = browsing.page
    change_answer(page, entry_path, lambda text: text.replace(COMMENT, "Agreed with nobody"))
    browsing.open(entry_path)

    found = verify(page)

    assert (found["path"], found["values"]) == ("held", "failed")
    assert "The commitment to “comment”" in page.locator("#verify-note").inner_text()


def test_a_log_that_the_trusted_key_did_not_sign_is_refused(seat: Seat, entry_path: str):
    page = seat("aud").open(entry_path)
    line = key_of(page)
    other = SigningKey.generate(line.partition("+")[0], seed=bytes(32)).verifier.text

    trust(page, other)
    found = verify(page)

    assert found["signature"] == "failed"
    said = page.locator("#verify-note").inner_text()
    assert "did not sign this" in said
    assert line.split("+")[1] in said


def test_what_is_no_key_is_not_trusted(seat: Seat, entry_path: str):
    page = seat("aud").open(entry_path)
    line = key_of(page)

    for text, why in (
        ("nonsense", "This is no key"),
        (f"{line[:-1]}A" if line[-1] != "A" else f"{line[:-1]}B", "a character of it is wrong"),
    ):
        page.get_by_label("A key from somebody you trust").fill(text)
        page.get_by_role("button", name="Trust this key").click()
        expect(page.locator("#trust-error")).to_contain_text(why)
    assert page.evaluate("() => localStorage.getItem('ledger-key')") is None


def test_a_browser_without_ed25519_says_so_and_does_the_rest(seat: Seat, entry_path: str):
    browsing = seat("aud")
    browsing.page.add_init_script(
        """const own = crypto.subtle.importKey.bind(crypto.subtle);
        crypto.subtle.importKey = (format, data, how, ...rest) => how.name !== "Ed25519"
          ? own(format, data, how, ...rest)
          : Promise.reject(new DOMException("no", "NotSupportedError"));"""
    )
    page = browsing.open(entry_path)
    trust(page, key_of(page))

    found = verify(page)

    assert found == {"bytes": "held", "path": "held", "signature": "open", "values": "held"}
    assert "does not know Ed25519" in page.locator("#check-signature").inner_text()


def test_the_log_is_checked_against_what_the_browser_saw_before(
    seat: Seat, scene: Scene, entry_path: str
):
    browsing = seat("aud")
    page = browsing.open("/ledger/log/")
    check = page.get_by_role("button", name="Check in this browser")

    check.click()
    expect(page.locator("#check-seen")).to_contain_text("remembered for the next time")
    first = page.locator("#seal dd").nth(1).inner_text()
    scene.ask("single", "Something new for the log")
    expect(page.locator("#seal dd").nth(1)).not_to_have_text(first)  # without a reload
    check.click()
    expect(page.locator("#check-seen")).to_contain_text("are all there, unchanged")
    page.evaluate(
        """() => {
          const seen = JSON.parse(localStorage.getItem("ledger-seen"));
          localStorage.setItem("ledger-seen", JSON.stringify({ ...seen, root: "00".repeat(32) }));
        }"""
    )
    check.click()

    expect(page.locator("#check-seen[data-state=failed]")).to_be_attached()
    expect(page.locator("#verify-note")).to_contain_text("This log does not hold together")


def test_an_entry_is_read_by_keyboard_alone(seat: Seat, entry_path: str):
    page = seat("aud").open("/inbox/")

    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url("**/ledger/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ledger/entries/*/")

    page.goto(page.url.partition("/ledger/")[0] + entry_path)
    page.get_by_role("button", name="Verify in this browser").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#verify-note")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/ledger/", ()),
        ("/ledger/?kind=group:approvals&actor=ada&when=week", ()),
        ("/ledger/?actor=nobody-of-that-name", ()),
        ("/ledger/?leaf=nonsense&stream=identity", ("status of 422",)),
        ("/ledger/log/", ()),
    ],
    ids=["all", "filtered", "filtered to nothing", "nonsense", "log"],
)
@pytest.mark.usefixtures("decided")
def test_the_pages_of_the_ledger(seat: Seat, path: str, allowed: tuple[str, ...]):
    inspect(seat, "aud", path, expect=allowed)


def test_the_page_of_an_entry(seat: Seat, entry_path: str):
    page = inspect(seat, "aud", entry_path)

    verify(page)

    assert list_axe_violations(page) == []


def test_the_pages_are_light_enough(seat: Seat, entry_path: str):
    for path in ("/ledger/", entry_path, "/ledger/log/"):
        browsing = seat("aud", size=PHONE if path == entry_path else DESKTOP)
        sizes: dict[str, int] = {}

        def weigh(response, sizes=sizes):
            if response.request.resource_type in {"document", "stylesheet", "script"}:
                body = response.request.sizes()["responseBodySize"]
                kind = response.request.resource_type
                sizes[kind] = sizes.get(kind, 0) + body

        browsing.page.on("requestfinished", lambda request: weigh(request.response()))
        page = browsing.open(path)
        page.wait_for_load_state("networkidle")

        assert 0 < sizes["document"] <= 10_000, (path, sizes)
        assert sizes["stylesheet"] <= 12_000, (path, sizes)
        assert sizes["script"] <= 25_000, (path, sizes)
