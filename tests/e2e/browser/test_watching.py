"""What the other tests rely on: whatever goes wrong in a page is noticed."""

import pytest

from tests.e2e.browser.chromium import PATIENCE_MS, list_axe_violations, list_sideways
from tests.e2e.browser.conftest import Seat

WRONGS = {
    "policy": "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
    "console": "console.error('an error of the console')",
    "script": "setTimeout(() => { throw new Error('an error of a script') })",
    "other host": "new Image().src = 'http://127.0.0.1:9/elsewhere.png'",
}


@pytest.mark.parametrize("kind", WRONGS)
def test_what_goes_wrong_in_a_page_is_noticed(seat: Seat, kind: str):
    browsing = seat()
    page = browsing.open("/sign-in/")
    browsing.check()

    page.evaluate(f"() => {{ {WRONGS[kind]} }}")
    for _ in range(PATIENCE_MS // 100):
        page.wait_for_timeout(100)  # lets Playwright hear what the page says
        if browsing.problems:
            break

    with pytest.raises(AssertionError):
        browsing.check()
    browsing.problems.clear()


def test_what_axe_and_the_width_should_find_is_found(seat: Seat):
    page = seat().open("/sign-in/")
    assert list_axe_violations(page) == []
    assert list_sideways(page) == []

    page.evaluate("() => { document.querySelector('label').remove(); }")
    page.evaluate("() => { document.querySelector('h1').style.width = '3000px'; }")

    assert any("label" in violation for violation in list_axe_violations(page))
    assert list_sideways(page) != []
