"""The portal, measured: bytes and queries of a page, and how soon it shows news. Read `measure`.

Bytes and times are those of a real browser against the web process; queries are counted in this
process, for a page with few rows and with many.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.harness import System
from benchmarks.main_job import GATED, wait_until
from benchmarks.results import Row, spread

if TYPE_CHECKING:
    from django.test import Client
    from playwright.sync_api import Browser, BrowserContext, Page

_SLUG = "portal"
_MANY = 50
_CHANGES = 60
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# Tells when a page has taken in what a signal announced; in the page's own clock, as Unix time.
_STAMP = "document.addEventListener('page:shown', () => { window.shownAt = Date.now(); });"


def measure(system: System) -> Iterator[Row]:
    """Yield every row of the portal."""
    bench = Bench.make()
    system.collect_static()
    with system.workers(1):
        first = bench.open_requests(2)
        few = bench.count_queries(first[0])
        bench.open_requests(_MANY)
        many = bench.count_queries(first[0])
        for name, count in few.items():
            note = f"{count} with 2 rows, {many[name]} with {_MANY + 2}"
            yield Row(
                bench="portal",
                metric=f"queries/{name}",
                value=many[name],
                unit="statements",
                n=1,
                note=note,
            )
        with system.web() as url, bench.browser() as browser:
            yield from bench.bytes_of_pages(browser, url, first[0])
            samples = bench.notice_to_visible_change(browser, url)
            yield from spread(
                "portal",
                "notice_to_visible_change_ms",
                samples,
                note="committed decision to the run's page changed in an open browser",
            )


@dataclass(kw_only=True)
class Bench:
    """Two people, a workflow with an approval, and their signed-in browsers."""

    starter: Any
    decider: Any

    @classmethod
    def make(cls) -> "Bench":
        """Make the people and publish the workflow."""
        from benchmarks.organisation import make_organisation  # noqa: PLC0415 - needs Django

        starter, decider, _ = make_organisation([GATED], slug=_SLUG)
        return cls(starter=starter, decider=decider)

    def open_requests(self, count: int) -> list[tuple[UUID, UUID]]:
        """Start runs and wait until each waits for the decider: (run id, request id)."""
        from approvals.models import Request  # noqa: PLC0415 - needs Django
        from engine.services.runs import start_run  # noqa: PLC0415 - needs Django

        run_ids = [
            start_run(
                principal=self.starter, project_slug=_SLUG, workflow_slug="gated", inputs={}
            ).run_id
            for _ in range(count)
        ]
        mine = Request.objects.filter(run_id__in=run_ids, status="open")
        wait_until(lambda: mine.count() == count)
        return list(mine.values_list("run_id", "pk"))

    def count_queries(self, first: tuple[UUID, UUID]) -> dict[str, int]:
        """Return the statements of each page, session and user included."""
        from django.db import connection  # noqa: PLC0415 - needs Django
        from django.test.utils import CaptureQueriesContext  # noqa: PLC0415 - needs Django

        client = self._client(self.decider)
        counts = {}
        for name, path in pages(*first).items():
            client.get(path)  # what is read once and kept
            with CaptureQueriesContext(connection) as captured:
                assert client.get(path).status_code == 200, path  # noqa: PLR2004
            counts[name] = len(captured)
        return counts

    def bytes_of_pages(
        self, browser: "Browser", url: str, first: tuple[UUID, UUID]
    ) -> Iterator[Row]:
        """Yield the bytes that travel for each page, with an empty cache and with a full one."""
        for name, path in pages(*first).items():
            context = self._context(browser, url, self.decider)
            page = context.new_page()
            cold, warm = _bytes_of(page, url + path), _bytes_of(page, url + path)
            context.close()
            for label, value in (("first_load_bytes", cold), ("again_bytes", warm)):
                yield Row(bench="portal", metric=f"{label}/{name}", value=value, unit="bytes", n=1)

    def notice_to_visible_change(self, browser: "Browser", url: str) -> list[float]:
        """Return milliseconds from a committed decision to the changed page of the run."""
        from benchmarks.organisation import approve  # noqa: PLC0415 - needs Django

        context = self._context(browser, url, self.starter)
        context.add_init_script(_STAMP)
        page = context.new_page()
        samples = []
        for run_id, request_id in self.open_requests(_CHANGES):
            page.goto(f"{url}/runs/{run_id}/")
            page.locator("#live[data-state=open]").wait_for()
            page.wait_for_timeout(150)  # the subscription is answered
            approve(principal=self.decider, request_id=request_id)
            committed = time.time() * 1e3
            samples.append(_shown_at(page, after=committed) - committed)
        context.close()
        return samples

    @contextmanager
    def browser(self) -> Iterator["Browser"]:
        """Run a browser. Raises: FileNotFoundError without Chromium."""
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only here

        chromium = shutil.which("chromium")
        if chromium is None:
            msg = "no chromium: install Debian's package chromium"
            raise FileNotFoundError(msg)
        # Playwright keeps an event loop in this thread, where Django suspects asynchronous callers.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        with sync_playwright() as driver:
            found = driver.chromium.launch(executable_path=chromium, args=list(_FLAGS))
            yield found
            found.close()

    def _client(self, who: Any) -> "Client":
        from django.test import Client  # noqa: PLC0415 - needs Django

        from core.identity.models import User  # noqa: PLC0415 - needs Django

        client = Client(headers={"host": "127.0.0.1"})
        client.force_login(
            User.objects.get(pk=who.user_id), backend="django.contrib.auth.backends.ModelBackend"
        )
        return client

    def _context(self, browser: "Browser", url: str, who: Any) -> "BrowserContext":
        from django.conf import settings  # noqa: PLC0415 - needs Django

        name = settings.SESSION_COOKIE_NAME
        value = self._client(who).cookies[name].value
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": name, "value": value, "url": url}])
        return context


def pages(run_id: UUID, request_id: UUID) -> dict[str, str]:
    """Return the pages that are measured, by name."""
    return {
        "inbox": "/inbox/",
        "approval": f"/inbox/{request_id}/",
        "runs": "/runs/",
        "run": f"/runs/{run_id}/",
        "workflows": "/workflows/",
        "workflow": f"/workflows/{_SLUG}/gated/",
        "version": f"/workflows/{_SLUG}/gated/versions/1/",
    }


def _bytes_of(page: "Page", address: str) -> int:
    """Return the bytes that came over the wire for a visit."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    total = 0

    def add(event: dict[str, Any]) -> None:
        nonlocal total
        total += int(event["encodedDataLength"])

    session.on("Network.loadingFinished", add)
    page.goto(address, wait_until="load")
    page.wait_for_timeout(400)
    session.detach()
    return total


def _shown_at(page: "Page", *, after: float) -> float:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        shown = page.evaluate("window.shownAt ?? 0")
        if shown > after:
            return float(shown)
        time.sleep(0.002)
    msg = "the page does not change"
    raise TimeoutError(msg)
