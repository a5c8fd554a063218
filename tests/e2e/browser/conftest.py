"""Two people at real browsers before one real system, for all tests in this folder."""

import os
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

from examples.demo.cast import PASSWORD
from tests.e2e.browser.chromium import (
    DESKTOP,
    MISSING,
    PATIENCE_MS,
    Browsing,
    find_chromium,
    launch,
)
from tests.e2e.browser.scene import Scene, prepare_scene
from tests.processes import RunningSystem, running_system

expect.set_options(timeout=PATIENCE_MS)

_CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say that these tests start processes, and give slow machines time.

    Without Chromium these tests are skipped, and fail where CI runs them.
    """
    is_skipped = find_chromium() is None and not os.environ.get("CI")
    for item in items:
        if "/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.processes)
            item.add_marker(pytest.mark.timeout(600))
            item.add_marker(pytest.mark.skipif(is_skipped, reason=MISSING))


@pytest.fixture(scope="session")
def chromium() -> str:
    path = find_chromium()
    assert path is not None, MISSING
    return path


@pytest.fixture(scope="session")
def portal(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    folder = tmp_path_factory.mktemp("portal")
    with running_system(folder, FUNCTION_MODULES="tests.e2e_functions") as running:
        yield running


@pytest.fixture(scope="session")
def scene(portal: RunningSystem) -> Iterator[Scene]:
    """The system with workflows in it, and people who act on it over the API."""
    with prepare_scene(portal) as prepared:
        yield prepared


@pytest.fixture(scope="session")
def session_of(portal: RunningSystem) -> Callable[[str], dict[str, str]]:
    """Return a function that gives the session cookie of somebody, signed in once."""
    known: dict[str, dict[str, str]] = {}

    def find(username: str) -> dict[str, str]:
        if username not in known:
            known[username] = sign_in_by_form(portal.url, username)
        return known[username]

    return find


def sign_in_by_form(url: str, username: str) -> dict[str, str]:
    """Return the cookies of a new session."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        found = _CSRF.search(client.get("/sign-in/").text)
        assert found
        form = {"csrfmiddlewaretoken": found[1], "username": username, "password": PASSWORD}
        answer = client.post("/sign-in/", data=form, headers={"Origin": url})
        assert answer.status_code == 303, answer.text
        return {key: value for key, value in client.cookies.items() if key.startswith("session")}


# Not for the whole session: while Playwright runs, its event loop is everybody's in this process.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright, chromium)
        yield started
        started.close()


Seat = Callable[..., Browsing]


@pytest.fixture
def seat(
    portal: RunningSystem, browser: Browser, session_of: Callable[[str], dict[str, str]]
) -> Iterator[Seat]:
    """Return a function that gives somebody a browser of their own; "" is nobody signed in."""
    seated: list[Browsing] = []

    def take(
        username: str = "", *, size: tuple[int, int] = DESKTOP, scripts: bool = True
    ) -> Browsing:
        context = browser.new_context(
            viewport=ViewportSize(width=size[0], height=size[1]),
            has_touch=size[0] < 760,
            reduced_motion="reduce",
            java_script_enabled=scripts,
        )
        if username:
            context.add_cookies(
                [
                    {"name": name, "value": value, "url": portal.url}
                    for name, value in session_of(username).items()
                ]
            )
        browsing = Browsing(url=portal.url, context=context, has_scripts=scripts)
        seated.append(browsing)
        return browsing

    yield take
    for browsing in seated:
        browsing.context.close()
    for browsing in seated:
        browsing.check()
