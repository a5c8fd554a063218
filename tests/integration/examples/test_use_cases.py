"""Every story of every use case, over the API, to the end it says; and what it left behind."""

import pytest

from examples.cases import CASES
from tests.integration.examples.stage import Stage, opened_stage

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
