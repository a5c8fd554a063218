"""Takes the pictures of the use cases from a running system: `python -m examples.pictures`.

It signs in, opens the page of each use case's pictured story and writes its picture to
`docs/pictures/`. Needs `make run` with its history (`COUNTERSIGN_URL` names another system), what
`requirements-dev.txt` installs, and `chromium` on the path. Read `main`.
"""

import argparse
import os
import shutil
import sys

from playwright.sync_api import Browser, sync_playwright

from countersign import Client
from examples.cases import CASES
from examples.demo.cast import PASSWORD, PROJECT_SLUG
from examples.stories import ROOT, UseCase

PICTURES = ROOT.parent / "docs" / "pictures"
BYTES_MAX = 150_000
_READER = "mara"
_WIDTH, _HEIGHT = 1_280, 860


def main() -> int:
    """Take the pictures the arguments name, by default all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="use cases, by default all")
    names = parser.parse_args().names
    url = os.environ.get("COUNTERSIGN_URL", "http://127.0.0.1:8000").rstrip("/")
    path = shutil.which("chromium") or sys.exit("no chromium: apt-get install chromium")
    cases = [case for case in CASES if not names or case.slug in names]
    with Client(url, "", trust_env=False) as door:
        token = door.create_token(_READER, PASSWORD, name="pictures", lifetime_seconds=600)
    with Client(url, token["token"], trust_env=False) as client, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for case in cases:
            where = f"{url}/runs/{_find_run(client, case)}/"
            picture = PICTURES / f"use-case-{case.slug}.png"
            content = _take(browser, url=url, where=where)
            if len(content) > BYTES_MAX:
                sys.exit(f"{picture.name} would have {len(content)} bytes, over {BYTES_MAX}")
            picture.write_bytes(content)
            print(f"{picture.name}: {picture.stat().st_size // 1_000} kB")
        browser.close()
        client.revoke_token(token["id"])
    return 0


def _find_run(client: Client, case: UseCase) -> str:
    """Return the run of the pictured story: the newest with its inputs."""
    story = next(story for story in case.stories if story.slug == case.pictured)
    workflow = story.workflow or case.workflow
    for run in client.list_runs(project=PROJECT_SLUG, workflow=workflow):
        if client.get_run(run["id"])["inputs"].items() >= dict(story.inputs).items():
            return str(run["id"])
    sys.exit(f"{case.slug}/{story.slug} was not played there; see python -m examples.demo.history")


def _take(browser: Browser, *, url: str, where: str) -> bytes:
    context = browser.new_context(
        viewport={"width": _WIDTH, "height": _HEIGHT}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{url}/sign-in/")
    page.get_by_label("Username").fill(_READER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/inbox/")
    page.goto(where)
    page.wait_for_load_state("networkidle")
    picture = page.screenshot()
    context.close()
    return picture


if __name__ == "__main__":
    sys.exit(main())
