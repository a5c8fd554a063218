"""Every story of every use case, over the API, to the end it says; and what it left behind."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from countersign import ApiError
from examples.agent.ask import use_tool
from examples.cases import CASES
from examples.compliance.functions import ARCHIVE
from examples.etl.functions import WAREHOUSE
from examples.orders.functions import PAYMENTS, STOCK
from examples.provisioning.functions import CLOUD
from examples.publishing.functions import SITE
from examples.repair.functions import COMMITS
from examples.training.functions import MODELS
from examples.vulnerabilities.functions import INSTALLED
from tests.integration.examples.stage import Stage, opened_stage, outputs_of

# The release is played where its target runs: tests/e2e/test_demo.py.
PLAYED = [case for case in CASES if case.slug != "release"]
STORIES = [(case, story) for case in PLAYED for story in case.stories]


@pytest.fixture(scope="module")
def founded_demo(django_db_setup, django_db_blocker):
    with opened_stage(django_db_blocker):
        yield


@pytest.fixture
def stage(founded_demo, db, tmp_path, monkeypatch):
    monkeypatch.setenv("VAR", str(tmp_path))
    return Stage()


@pytest.mark.parametrize(
    ("case", "story"), STORIES, ids=[f"{case.slug}-{story.slug}" for case, story in STORIES]
)
def test_every_story_ends_as_it_says(stage, case, story):
    run = stage.play(case, story)

    assert run["workflow"] == (story.workflow or case.workflow)
    assert (run["outcome"] or "waiting") == story.ends


# --- what is left behind -------------------------------------------------------------------------


def find(slug, story):
    """Return a use case and one of its stories."""
    case = next(case for case in CASES if case.slug == slug)
    return case, next(item for item in case.stories if item.slug == story)


def test_what_failed_gives_the_money_and_the_goods_back(stage):
    stage.play(*find("orders", "no-carrier"))

    assert STOCK.read("SELECT quantity FROM stock WHERE sku = 'LMP-101'") == [(40,)]
    assert STOCK.read("SELECT * FROM reserved") == []
    assert PAYMENTS.read("SELECT status FROM payments") == [("refunded",)]


def test_a_busy_provider_charges_a_card_once(stage):
    run = stage.play(*find("orders", "busy-provider"))

    assert outputs_of(run, "charge")["attempts"] == 3
    assert PAYMENTS.read("SELECT status FROM payments") == [("captured",)]


def test_playing_a_story_again_changes_nothing(stage):
    case, story = find("orders", "large")
    first = stage.play(case, story)

    again = stage.play(case, story)

    assert (again["id"], again["seq"], again["head"]) == (first["id"], first["seq"], first["head"])
    assert PAYMENTS.read("SELECT count(*) FROM payments") == [(1,)]


def test_every_vulnerable_component_is_updated_to_the_version_that_fixes_it(stage):
    stage.play(*find("vulnerabilities", "critical"))

    rows = INSTALLED.read("SELECT name, version FROM installed ORDER BY name")
    assert rows == [("imagepress", "4.2.9"), ("tokenring", "0.9.5"), ("yamlette", "3.0.4")]


def test_the_report_that_is_filed_is_the_one_that_was_signed(stage):
    run = stage.play(*find("compliance", "third-quarter"))

    ((sha256, text, signed_by),) = ARCHIVE.read("SELECT sha256, text, signed_by FROM reports")
    assert sha256 == run["outputs"]["report_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert signed_by == "Jun Sato, Owen Byrne"
    assert "r.voss (erp): left on 2026-07-31, the account is still there" in text


def test_nothing_of_an_environment_that_failed_is_left(stage):
    stage.play(*find("provisioning", "quota"))

    assert CLOUD.read("SELECT * FROM resources") == []


def test_a_recalled_article_is_off_the_site_and_a_live_one_on_it(stage):
    stage.play(*find("publishing", "recalled"))
    assert SITE.read("SELECT slug FROM pages") == []

    stage.play(*find("publishing", "live"))

    ((html,),) = SITE.read("SELECT html FROM pages WHERE slug = 'prices'")
    assert html.startswith("<h1>Our prices for next year</h1>\n<p>The small plan")


def test_a_model_that_loses_customers_is_not_in_use_any_more(stage):
    stage.play(*find("training", "lost-customers"))

    assert MODELS.read("SELECT * FROM in_use") == []
    assert MODELS.read("SELECT count(*) FROM models") == [(1,)]


def test_a_day_is_loaded_once_however_often(stage):
    stage.play(*find("etl", "clean"))
    before = WAREHOUSE.read("SELECT count(*), sum(cents) FROM sales WHERE day = '2026-09-14'")

    stage.play(*find("etl", "backfill"))

    after = WAREHOUSE.read("SELECT count(*), sum(cents) FROM sales WHERE day = '2026-09-14'")
    assert before == after == [(178, before[0][1])]
    assert WAREHOUSE.read("SELECT count(DISTINCT day) FROM sales") == [(3,)]


def test_only_the_patch_that_was_read_is_merged(stage):
    run = stage.play(*find("repair", "second-try"))

    ((patch,),) = COMMITS.read("SELECT patch FROM commits")
    assert "year % 400 == 0" in patch
    assert run["outputs"]["attempts"] == 2


@pytest.mark.parametrize("who", ["scout", "mara"])
def test_neither_an_agent_nor_its_owner_decides_what_it_asks(stage, who):
    run = stage.play(*find("agent", "for-on-call"))
    (request,) = stage.client_of("ivo").list_requests(view="mine", run_id=run["id"])
    client = stage.client_of(who)
    seen = client.get_request(request["id"])

    with pytest.raises(ApiError) as refused:
        client.decide(request["id"], "approve", digest=seen["digest"], stage=seen["stage"])

    assert refused.value.status == 403
    assert stage.client_of("ivo").get_request(request["id"])["votes"] == []


def test_an_agent_is_told_what_a_person_said(stage):
    run = stage.play(*find("agent", "no-erasing"))
    agent = stage.client_of("scout")

    assert run["initiator"] == "scout"
    repeating: Any = Repeating(agent, run["id"])
    answer = use_tool(repeating, tool="erase_customer", arguments={}, reason="again")
    assert answer == "A person said no: A figure of speech. Ask the customer, in writing."


class Repeating:
    """A client whose start is answered with a run that is there; the rest is the client's."""

    def __init__(self, client, run_id):
        self._client, self._run_id = client, run_id

    def start_run(self, *_, **__):
        return {"id": self._run_id}

    def __getattr__(self, name):
        return getattr(self._client, name)


@pytest.mark.parametrize(
    ("slug", "name"),
    [("publishing", "live"), ("incident", "for-on-call"), ("onboarding", "for-the-contract")],
)
def test_a_story_that_still_waits_is_found_as_it_was_left(stage, slug, name):
    case, story = find(slug, name)
    first = stage.play(case, story)

    again = stage.play(case, story)

    assert (again["status"], again["seq"]) == ("WAITING", first["seq"])
    assert again["id"] == first["id"]


def test_a_story_that_was_interrupted_is_played_to_its_end(stage):
    case, story = find("publishing", "third-draft")
    begun = replace(story, acts=story.acts[:3], ends="waiting", waits_in="draft")
    run = stage.play(case, begun)

    assert stage.play(case, story)["id"] == run["id"]
