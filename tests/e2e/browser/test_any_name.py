"""Titles in every script, with emoji, right to left and 300 characters long, on every page."""

import pytest
from playwright.sync_api import expect

from tests.e2e.browser.chromium import list_axe_violations, list_sideways
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene

TITLES = {
    "many scripts": "Выпуск 発売日 출시 إطلاق שחרור प्रकाशन ปล่อย Έκδοση ኢትዮጵያ",
    "emoji": "👩🏽‍💻🚀🏳️‍🌈 ship it 🇺🇳 1️⃣ e\u0301\u0323\u0307\u0302\u0300",
    "right to left": "الموافقة على الدفعة رقم ١٢٣ \u202eevil\u202c للعميل",
    "no spaces": "x" * 300,
    "markup": '"><img src=x onerror=alert(1)><script>alert(1)</script>{{ 7 }}{% x %}&amp;',
}

SHOWN_CHARS = 150  # longer titles are cut, with "…"


@pytest.mark.parametrize("kind", TITLES)
def test_a_title_stays_in_its_place_and_is_shown_as_it_was_typed(
    scene: Scene, seat: Seat, kind: str
):
    title = TITLES[kind]
    request = scene.ask("pair", title)
    run = scene.people["mara"].get_request(request)["run_id"]
    browsing = seat("ada")
    places = ("/inbox/", f"/inbox/{request}/", "/runs/", f"/runs/{run}/", f"/runs/{run}/?tab=data")

    for place in places:
        page = browsing.open(place)
        expect(page.get_by_text(title[:SHOWN_CHARS]).first).to_be_attached()
        for width in (1440, 390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert list_sideways(page) == [], f"{place} at {width}"
        page.set_viewport_size({"width": 1440, "height": 900})
        if place == f"/inbox/{request}/":
            assert list_axe_violations(page) == []

    scene.decide("noor", request, "reject", comment=f"{title} is no good")
    page = browsing.open(f"/inbox/{request}/")
    expect(page.locator(".activity")).to_contain_text(f"{title} is no good")
    page.set_viewport_size({"width": 320, "height": 800})
    assert list_sideways(page) == []
