"""Graphs of containers, of many instances and of machines, in every variant and by keyboard."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.drawings import check, read_page
from tests.e2e.browser.chromium import PHONE
from tests.e2e.browser.conftest import Seat
from tests.e2e.browser.scene import Scene
from tests.e2e.browser.test_pages import inspect

NESTED = """
schema: flow/v1
kind: dag
name: nested
title: Boxes in boxes
triggers: [{manual: {}}, {api: {}}]
steps:
  prepare:
    uses: python/call@1
    with: {function: t.slow, seconds: 0, name: prepare}
    cache: {key: prepare, ttl: PT1H}
    mutex: prepare
  regions:
    needs: [prepare]
    map: {items: "['eu-west', 'us-east']", as: region}
    steps:
      build: {uses: python/call@1, with: {function: t.slow, seconds: 0, name: build}}
      test:
        needs: [build]
        strategy: {matrix: {os: [linux, mac], python: ["3.12", "3.13"]}}
        uses: python/call@1
        with: {function: t.slow, seconds: 0, name: test}
      poll:
        needs: [build]
        loop: {until: "result.attempt == 2", max-iterations: 2}
        uses: python/call@1
        with: {function: t.slow, seconds: 0, name: poll}
        on-error: {then: continue}
      gate:
        needs: [test]
        approval:
          title: Go on?
          stages: [{id: peer, approvers: {groups: [engineers]}, quorum: {count: 1}}]
          expires: {after: P1D, then: reject}
  answer:
    needs: [regions]
    race:
      - {id: given, wait: {event: {type: answer.given, correlate: {run: run.id}}}}
      - {id: nobody, wait: {timer: P1D}}
"""

MANY = """
schema: flow/v1
kind: dag
name: many
title: A map of fifty
inputs: {type: object, properties: {waits: {type: array}}}
triggers: [{manual: {}}, {api: {}}]
steps:
  scan:
    map: {items: inputs.waits, as: wait, tolerate-failures: 50}
    uses: python/call@1
    with: {function: t.slow, seconds: "${{ wait }}", name: scan}
  after:
    needs: [scan]
    approval:
      title: Go on?
      stages: [{id: peer, approvers: {groups: [engineers]}, quorum: {count: 1}}]
      expires: {after: P1D, then: reject}
"""

ORDER = """
schema: flow/v1
kind: states
name: order
title: A machine
initial: draft
vars: {round: 0}
triggers: [{manual: {}}, {api: {}}]
states:
  draft:
    uses: python/call@1
    with: {function: t.slow, seconds: 0, name: draft}
    transitions:
      - {on-success: true, if: vars.round < 2, to: draft, set: {round: vars.round + 1}}
      - {on-success: true, to: review}
  review:
    approval:
      title: Is it good?
      stages: [{id: peer, approvers: {groups: [engineers]}, quorum: {count: 1}}]
      expires: {after: P3D, then: reject}
    transitions:
      - {on-outcome: approved, to: publish}
      - {on-outcome: rejected, to: draft}
      - {after: P2D, to: refused}
    events: [{event: order.withdrawn, correlate: {run: run.id}, to: refused}]
  publish:
    steps:
      build: {uses: python/call@1, with: {function: t.slow, seconds: 0, name: build}}
      push: {needs: [build], uses: python/call@1, with: {function: t.slow, seconds: 0, name: p}}
    transitions:
      - {on-success: true, to: published}
      - {on-error: true, to: review}
  published: {final: true}
  refused: {final: true, result: rejected}
"""


@pytest.fixture(scope="module")
def places(scene: Scene) -> dict[str, str]:
    """Return the addresses of a run and a version of each."""
    mara, pia = scene.people["mara"], scene.people["pia"]
    found: dict[str, str] = {}
    for source, inputs in (
        (NESTED, {}),
        (MANY, {"waits": [*["soon", "later"], *[0] * 48]}),
        (ORDER, {}),
    ):
        version = mara.save_version("demo", source, message="for the tests")
        name = version["workflow"]
        pia.publish_version("demo", name, version["rev"])
        run = mara.start_run("demo", name, inputs=inputs)["id"]
        mara.wait_run(run, statuses=("WAITING",))
        found[f"{name} run"] = f"/runs/{run}/"
        found[f"{name} version"] = f"/workflows/demo/{name}/versions/{version['rev']}/"
    return found


@pytest.mark.parametrize("kind", ["run", "version"])
@pytest.mark.parametrize("name", ["nested", "many", "order"])
def test_a_graph_in_every_variant(seat: Seat, places: dict[str, str], name: str, kind: str):
    page = inspect(seat, "mara", places[f"{name} {kind}"])

    check(read_page(page.content()))


def test_news_of_a_page_that_was_left_change_nothing(seat: Seat, places: dict[str, str]):
    address = places["many run"]
    page = seat("mara").open(address)

    def delay(route: Route) -> None:
        page.wait_for_timeout(1_500)
        route.continue_()

    page.route(re.compile(re.escape(address) + "$"), delay)
    page.evaluate(
        """async (to) => {
            const portal = document.querySelector("script[type=module]").src;
            const { show, refresh } = await import(new URL("page.js", portal));
            await Promise.all([show(to), refresh()]);
        }""",
        f"{address}?step=scan",
    )

    expect(page.locator("#panel")).to_contain_text("50")


def test_many_instances_lead_to_the_table_of_all(seat: Seat, places: dict[str, str]):
    page = seat("mara").open(places["many run"])
    graph = page.locator("#graph-svg")

    expect(graph.locator("a.node", has_text="Item")).to_have_count(5)
    assert graph.locator("a.is-failed").count() == 2
    graph.get_by_role("link", name="45 more").click()

    expect(page).to_have_url(re.compile(r"step=scan$"))
    expect(page.locator("#panel")).to_contain_text("50")
    page.get_by_role("link", name="Draw all steps").click()
    expect(graph.locator("a.node", has_text="Item")).to_have_count(50)


def test_a_machine_says_where_it_is_and_leads_to_what_it_has_not_seen(
    seat: Seat, places: dict[str, str]
):
    page = seat("mara").open(places["order run"])
    graph = page.locator("#graph-svg")

    expect(graph.locator("a.here")).to_have_count(1)
    expect(graph.locator("a.here")).to_contain_text("Here now")
    expect(graph.locator("a", has_text="3 visits")).to_have_count(1)
    graph.locator("#node-published").click()

    expect(page).to_have_url(re.compile(r"/versions/\d+/#node-published$"))
    expect(page.locator("#node-published")).to_be_attached()


@pytest.mark.parametrize("name", ["nested", "order"])
def test_boxes_and_states_are_reached_and_followed_by_keyboard(
    seat: Seat, places: dict[str, str], name: str
):
    page = seat("mara").open(places[f"{name} run"])
    first = page.locator("#graph-svg a.node").first
    page.locator("#graph-area").focus()

    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    if name == "nested":
        page.keyboard.press("Tab")
        expect(page.locator("#node-regions")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#node-regions\\.item")).to_be_focused()
    chosen = page.evaluate("document.activeElement.id")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("step="))
    expect(page.locator(f'#graph-svg [id="{chosen}"]')).to_have_attribute("aria-current", "true")
    expect(page.locator(f'[id="{chosen}"]')).to_be_focused()


def test_zoom_keeps_boxes_and_ways_together(seat: Seat, places: dict[str, str]):
    page = seat("mara", size=PHONE).open(places["order run"])

    def ratio() -> float:
        part: float = page.evaluate(
            """() => document.querySelector("#node-review").getBoundingClientRect().width /
              document.querySelector("#graph-svg").getBoundingClientRect().width"""
        )
        return part

    before = ratio()

    page.get_by_role("button", name="Fit the graph").click()

    assert ratio() == pytest.approx(before, rel=0.01)
    svg = page.locator("#graph-svg").bounding_box()
    area = page.locator("#graph-area").bounding_box()
    assert svg is not None
    assert area is not None
    assert svg["width"] <= area["width"] + 1
