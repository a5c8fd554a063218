"""A real Chromium, and what must never happen in it. Read `Browsing` first."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "no chromium: apt-get install chromium"
PATIENCE_MS = 45_000  # for what is waited for; a busy machine is no finding
DESKTOP, PHONE = (1440, 900), (390, 844)
_VENDOR = Path(__file__).parent / "vendor"
# A policy that is broken is an error of the console; Chromium says so itself, but not for all.
_LISTEN = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy broken: ${event.violatedDirective} by ${event.blockedURI}`))"""
_AXE_RUN = """async (options) => (await axe.run(document, options)).violations.map((violation) =>
  `${violation.id}: ` + violation.nodes.map((node) =>
    `${node.target.join(" ")} (${node.any.concat(node.all).map((check) => check.message)})`
  ).slice(0, 4).join(" | "))"""

Theme = Literal["light", "dark"]


def find_chromium() -> str | None:
    """Return the path of the system's Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def launch(playwright: Playwright, path: str) -> Browser:
    """Return a started Chromium."""
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


@dataclass(kw_only=True)  # no slots: Playwright keeps its wrappers on the listening object
class Browsing:
    """Somebody's browser: a page, its context, and what went wrong in it.

    An error of the console, of a script or of the policy is a problem, and so is any request to
    another host. `expected` are parts of messages that a test provokes on purpose.
    """

    url: str
    context: BrowserContext
    has_scripts: bool = True
    page: Page = field(init=False)
    problems: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Listen before anything is opened."""
        self.context.add_init_script(_LISTEN)
        self.context.on("console", self._hear)
        self.context.on("weberror", lambda error: self.problems.append(f"script: {error.error}"))
        self.context.on("request", lambda request: self._judge(request.url))
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self._judge(socket.url))
        self.page.set_default_timeout(PATIENCE_MS)

    def open(self, path: str) -> Page:
        """Open an address of the portal, and wait until it is live if it is to be."""
        self.page.goto(f"{self.url}{path}")
        is_live = self.page.locator("#page[data-topics]:not([data-topics=''])").count()
        if is_live and self.has_scripts:
            self.page.locator("#live[data-state=open]").wait_for(state="attached")
        return self.page

    def sign_in(self, username: str, password: str) -> None:
        """Fill in the sign-in page that is open."""
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    @property
    def session_cookie(self) -> str:
        """Return the name of the cookie that says who somebody is."""
        return f"session-{urlsplit(self.url).port}"

    def expect(self, *parts: str) -> None:
        """Allow console messages that hold any of these, such as "status of 409"."""
        self.expected += parts

    def check(self) -> None:
        """Fail if anything went wrong that was not expected."""
        found = [
            problem
            for problem in self.problems
            if not any(part in problem for part in self.expected)
        ]
        assert not found, found

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url')})")

    def _judge(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != urlsplit(self.url).netloc:
            self.problems.append(f"request to another host: {url}")


def list_axe_violations(page: Page, *, rules: Iterable[str] = ()) -> list[str]:
    """Return what axe finds on a page as it is now, by all of its rules or by some."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate((_VENDOR / "axe.min.js").read_text(encoding="utf-8"))
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    chosen = list(rules)
    if chosen:
        options["runOnly"] = {"type": "rule", "values": chosen}
    found: list[str] = page.evaluate(_AXE_RUN, options)
    return found


def list_sideways(page: Page) -> list[str]:
    """Return what makes a page scroll sideways at its present width; empty if it does not."""
    found: list[str] = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
          [`${document.documentElement.scrollWidth} px wide`,
           ...[...document.querySelectorAll("body *")]
             .filter((part) => part.getBoundingClientRect().right > innerWidth + 1)
             .slice(-6).map((part) => `${part.tagName}.${part.getAttribute("class")}`)]"""
    )
    return found
